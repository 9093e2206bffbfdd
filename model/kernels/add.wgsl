// Sums of equal shapes. forward: x [n], z [n], y [n] = x + scale * z; into: x [n], y [n] += scale * x.
// Four elements per thread, a workgroup apart, so that loads stay coalesced for any n. No workgroup memory.
override n: u32;
override scale: f32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * 1024u + lane;
  for (var k = 0u; k < 4u; k++) {
    let i = first + k * 256u;
    if (i < n) { y[i] = x[i] + scale * z[i]; }
  }
}

@group(0) @binding(1) var<storage, read_write> sum: array<f32>;

@compute @workgroup_size(256)
fn into(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * 1024u + lane;
  for (var k = 0u; k < 4u; k++) {
    let i = first + k * 256u;
    if (i < n) { sum[i] = sum[i] + scale * x[i]; }
  }
}
