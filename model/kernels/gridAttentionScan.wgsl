// states [batch and head, chunk, size]: each chunk's becomes the decayed sum of all before it (entry `ahead`) or of
// all after it (`back`). One thread per value walks the chunks, AT_ONCE loads in flight.
override rows: u32;
override nHeads: u32;
override size: u32;
override chunks: u32 = (rows + 63u) / 64u;

const AT_ONCE = 16u;

@group(0) @binding(0) var<storage, read> slope: array<f32>;
@group(0) @binding(1) var<storage, read_write> states: array<f32>;

fn walk(group: vec3u, t: u32, reverse: bool) {
  let e = group.x * 64u + t;
  if (e >= size) { return; }
  let base = group.y * chunks * size + e;
  let decay = exp(-64.0 * slope[group.y % nHeads]);
  var sum = 0.0;
  for (var c = 0u; c < chunks; c += AT_ONCE) {
    var own: array<f32, AT_ONCE>;
    for (var k = 0u; k < AT_ONCE; k++) {
      let at = min(c + k, chunks - 1u);
      own[k] = states[base + select(at, chunks - 1u - at, reverse) * size];
    }
    for (var k = 0u; k < AT_ONCE; k++) {
      if (c + k < chunks) {
        states[base + select(c + k, chunks - 1u - (c + k), reverse) * size] = sum;
        sum = own[k] + decay * sum;
      }
    }
  }
}

@compute @workgroup_size(64)
fn ahead(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) { walk(group, t, false); }

@compute @workgroup_size(64)
fn back(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) { walk(group, t, true); }
