// Squared ReLU. forward: x [n], y [n]; backward: x [n], dY [n], dX [n].
// n counts Wide values (launcher: one or four elements). Four per thread, a workgroup apart, loaded before any is
// stored. No workgroup memory, no barriers.
override n: u32;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read_write> y: array<Y>;

fn places(group: vec3u, groups: vec3u, lane: u32) -> vec4u {
  return (group.y * groups.x + group.x) * 1024u + lane + vec4u(0u, 256u, 512u, 768u);
}
fn positive(value: Wide) -> Wide { return max(value, Wide(0.0)); }

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = places(group, groups, lane);
  let at = min(i, vec4u(n - 1u));
  let r0 = positive(Wide(x[at.x]));
  let r1 = positive(Wide(x[at.y]));
  let r2 = positive(Wide(x[at.z]));
  let r3 = positive(Wide(x[at.w]));
  if (i.x < n) { y[i.x] = Y(r0 * r0); }
  if (i.y < n) { y[i.y] = Y(r1 * r1); }
  if (i.z < n) { y[i.z] = Y(r2 * r2); }
  if (i.w < n) { y[i.w] = Y(r3 * r3); }
}

@group(0) @binding(1) var<storage, read> dY: array<Y>;
@group(0) @binding(2) var<storage, read_write> dX: array<Z>;

@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = places(group, groups, lane);
  let at = min(i, vec4u(n - 1u));
  let d0 = 2.0 * positive(Wide(x[at.x])) * Wide(dY[at.x]);
  let d1 = 2.0 * positive(Wide(x[at.y])) * Wide(dY[at.y]);
  let d2 = 2.0 * positive(Wide(x[at.z])) * Wide(dY[at.z]);
  let d3 = 2.0 * positive(Wide(x[at.w])) * Wide(dY[at.w]);
  if (i.x < n) { dX[i.x] = Z(d0); }
  if (i.y < n) { dX[i.y] = Z(d1); }
  if (i.z < n) { dX[i.z] = Z(d2); }
  if (i.w < n) { dX[i.w] = Z(d3); }
}
