// Sums of runs of rows: x [rows, C], start [P + 1], result [P, C] = Σ x[r, :] over r in [start[p], start[p + 1]).
// One thread per four columns of a segment, rows in order; four rows are loaded ahead of their sums. No workgroup
// memory, no barriers. C % 4 == 0.
override P: u32;
override C: u32;
override C4: u32 = C / 4u;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> start: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<Out>;

fn segment(i: u32) -> vec4f {
  let p = i / C4;
  let end = start[p + 1u];
  let c = i % C4;
  var sum = vec4f();
  for (var r = start[p]; r < end; r += 4u) {
    let at = min(r + vec4u(0u, 1u, 2u, 3u), vec4u(end - 1u)) * C4 + c;
    let v0 = vec4f(x[at.x]);
    let v1 = vec4f(x[at.y]);
    let v2 = vec4f(x[at.z]);
    let v3 = vec4f(x[at.w]);
    sum += v0;
    sum += select(vec4f(), v1, r + 1u < end);
    sum += select(vec4f(), v2, r + 2u < end);
    sum += select(vec4f(), v3, r + 3u < end);
  }
  return sum;
}

@compute @workgroup_size(64)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i < P * C4) { result[i] = Out(segment(i)); }
}

@compute @workgroup_size(64)
fn accumulate(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i < P * C4) { result[i] = Out(vec4f(result[i]) + segment(i)); }
}
