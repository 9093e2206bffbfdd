// states [batch and head, chunk, size]: each chunk's becomes the decayed sum of all before it (entry `ahead`) or of
// all after it (`back`). A workgroup takes 32 values, a thread one of eight stretches of the chunks: it sums its
// stretch, takes over what the stretches before it carry, and walks once more. AT_ONCE loads are in flight.
override rows: u32;
override nHeads: u32;
override size: u32;
override chunks: u32 = (rows + 63u) / 64u;
override per: u32 = (chunks + 7u) / 8u;

const AT_ONCE = 8u;

@group(0) @binding(0) var<storage, read> slope: array<f32>;
@group(0) @binding(1) var<storage, read_write> states: array<f32>;

var<workgroup> carries: array<f32, 256>;

fn walk(group: vec3u, t: u32, reverse: bool) {
  let e = group.x * 32u + t % 32u;
  let base = group.y * chunks * size + min(e, size - 1u);
  let gamma = 64.0 * slope[group.y % nHeads];
  let decay = exp(-gamma);
  let first = t / 32u * per;
  let last = min(first + per, chunks);
  var sum = 0.0;
  for (var c = first; c < last; c += AT_ONCE) {
    var own: array<f32, AT_ONCE>;
    for (var k = 0u; k < AT_ONCE; k++) {
      let at = min(c + k, chunks - 1u);
      own[k] = states[base + select(at, chunks - 1u - at, reverse) * size];
    }
    for (var k = 0u; k < AT_ONCE; k++) {
      if (c + k < last) { sum = own[k] + decay * sum; }
    }
  }
  carries[t] = sum;
  workgroupBarrier();
  let across = exp(-gamma * f32(per));
  sum = 0.0;
  for (var s = t % 32u; s < t; s += 32u) { sum = carries[s] + across * sum; }
  if (e >= size) { return; }
  for (var c = first; c < last; c += AT_ONCE) {
    var own: array<f32, AT_ONCE>;
    for (var k = 0u; k < AT_ONCE; k++) {
      let at = min(c + k, chunks - 1u);
      own[k] = states[base + select(at, chunks - 1u - at, reverse) * size];
    }
    for (var k = 0u; k < AT_ONCE; k++) {
      if (c + k < last) {
        states[base + select(c + k, chunks - 1u - (c + k), reverse) * size] = sum;
        sum = own[k] + decay * sum;
      }
    }
  }
}

@compute @workgroup_size(256)
fn ahead(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) { walk(group, t, false); }

@compute @workgroup_size(256)
fn back(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) { walk(group, t, true); }
