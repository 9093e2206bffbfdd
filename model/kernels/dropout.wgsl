// Dropout: y [n] = x [n] / (1 − rate) where a hash of (seed, site, element) reaches `threshold`, else 0.
// The hash is model/random.ts's hash32, so both devices drop the same elements.
// X and Y, f32 or f16, are prepended. Four elements per thread, a workgroup apart. No workgroup memory, no barriers.
override n: u32;
override site: u32;
override threshold: u32;
override scale: f32;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> seed: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Y>;

fn hash32(key: u32, counter: u32) -> u32 {
  var h = (key * 0x9e3779b1u) ^ (counter * 0x85ebca77u);
  h ^= h >> 16u;
  h *= 0x7feb352du;
  h ^= h >> 15u;
  h *= 0x846ca68bu;
  h ^= h >> 16u;
  return h;
}

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let key = hash32(hash32(seed[0], seed[1]), site);
  let first = (group.y * groups.x + group.x) * 1024u + lane;
  for (var k = 0u; k < 4u; k++) {
    let i = first + k * 256u;
    if (i < n) { y[i] = Y(select(0.0, f32(x[i]) * scale, hash32(key, i) >= threshold)); }
  }
}
