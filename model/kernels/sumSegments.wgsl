// Sums of runs of rows: x [rows, C], start [P + 1], result [P, C] = Σ x[r, :] over r in [start[p], start[p + 1]).
// One thread per four columns of a segment, rows in order. No workgroup memory, no barriers. C % 4 == 0.
override P: u32;
override C: u32;
override C4: u32 = C / 4u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> start: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<vec4f>;

fn segment(i: u32) -> vec4f {
  let p = i / C4;
  let end = start[p + 1u];
  var sum = vec4f();
  for (var r = start[p]; r < end; r++) { sum += x[r * C4 + i % C4]; }
  return sum;
}

@compute @workgroup_size(64)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i < P * C4) { result[i] = segment(i); }
}

@compute @workgroup_size(64)
fn accumulate(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i < P * C4) { result[i] = result[i] + segment(i); }
}
