// Sums of equal shapes. forward: x [n], z [n], y [n] = x + scale * z; into: x [n], y [n] += scale * x.
// n counts Wide values (launcher: one or four elements). Four per thread, a workgroup apart, loaded before any is
// stored. No workgroup memory.
override n: u32;
override scale: f32;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> z: array<Y>;
@group(0) @binding(2) var<storage, read_write> y: array<Z>;

fn places(group: vec3u, groups: vec3u, lane: u32) -> vec4u {
  return (group.y * groups.x + group.x) * 1024u + lane + vec4u(0u, 256u, 512u, 768u);
}

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = places(group, groups, lane);
  let at = min(i, vec4u(n - 1u));
  let s0 = Wide(x[at.x]) + scale * Wide(z[at.x]);
  let s1 = Wide(x[at.y]) + scale * Wide(z[at.y]);
  let s2 = Wide(x[at.z]) + scale * Wide(z[at.z]);
  let s3 = Wide(x[at.w]) + scale * Wide(z[at.w]);
  if (i.x < n) { y[i.x] = Z(s0); }
  if (i.y < n) { y[i.y] = Z(s1); }
  if (i.z < n) { y[i.z] = Z(s2); }
  if (i.w < n) { y[i.w] = Z(s3); }
}

@group(0) @binding(1) var<storage, read_write> sum: array<Y>;

@compute @workgroup_size(256)
fn into(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = places(group, groups, lane);
  let at = min(i, vec4u(n - 1u));
  let s0 = Wide(sum[at.x]) + scale * Wide(x[at.x]);
  let s1 = Wide(sum[at.y]) + scale * Wide(x[at.y]);
  let s2 = Wide(sum[at.z]) + scale * Wide(x[at.z]);
  let s3 = Wide(sum[at.w]) + scale * Wide(x[at.w]);
  if (i.x < n) { sum[i.x] = Y(s0); }
  if (i.y < n) { sum[i.y] = Y(s1); }
  if (i.z < n) { sum[i.z] = Y(s2); }
  if (i.w < n) { sum[i.w] = Y(s3); }
}
