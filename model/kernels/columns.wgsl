// Joins and splits rows: y [rows, n1+n2] = x1 [rows, n1] | x2 [rows, n2]. One thread per element of y.
override rows: u32;
override n1: u32;
override n2: u32;

@group(0) @binding(0) var<storage, read> x1: array<f32>;
@group(0) @binding(1) var<storage, read> x2: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn join(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  let n = n1 + n2;
  if (i >= rows * n) { return; }
  let row = i / n;
  let column = i % n;
  if (column < n1) { y[i] = x1[row * n1 + column]; } else { y[i] = x2[row * n2 + column - n1]; }
}

@group(0) @binding(0) var<storage, read> joined: array<f32>;
@group(0) @binding(1) var<storage, read_write> part1: array<f32>;
@group(0) @binding(2) var<storage, read_write> part2: array<f32>;

@compute @workgroup_size(256)
fn split(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  let n = n1 + n2;
  if (i >= rows * n) { return; }
  let row = i / n;
  let column = i % n;
  if (column < n1) { part1[row * n1 + column] = joined[i]; } else { part2[row * n2 + column - n1] = joined[i]; }
}
