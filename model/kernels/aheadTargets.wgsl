// What the heads for bytes further ahead predict: targets [size], the symbol behind each position of windows of `rows`
// positions, SKIP where it is not scored → out [size, heads], the symbol 2 + j behind it; SKIP where a symbol up to there
// is not scored or lies behind the window. One thread per position. No workgroup memory, no barriers.
override size: u32;
override rows: u32;
override heads: u32;

const SKIP = 0xffffffffu;

@group(0) @binding(0) var<storage, read> targets: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(256)
fn ahead(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let t = (group.y * groups.x + group.x) * 256u + thread;
  if (t >= size) { return; }
  let windowEnd = t - t % rows + rows;
  var isScored = targets[t] != SKIP;
  for (var j = 0u; j < heads; j++) {
    let symbol = targets[min(t + 1u + j, size - 1u)];
    isScored = isScored && t + 1u + j < windowEnd && symbol != SKIP;
    out[t * heads + j] = select(SKIP, symbol, isScored);
  }
}
