// y [n] = x [n], held as the launcher's aliases X and Y say: vec4 of f32 or f16. Two quads per thread, a workgroup
// apart, both asked for before the first is stored. n is counted in quads. No workgroup memory, no barriers.
override n: u32;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read_write> y: array<Y>;

@compute @workgroup_size(256)
fn convert(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 512u + lane;
  if (i >= n) { return; }
  let first = x[i];
  if (i + 256u < n) {
    let second = x[i + 256u];
    y[i + 256u] = Y(second);
  }
  y[i] = Y(first);
}
