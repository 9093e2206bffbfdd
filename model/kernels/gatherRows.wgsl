// Rows by index: x [xRows, C], index [rows], result [rows, C]; NO_ROW gives zeros (or adds nothing).
// Four quadruples of columns per thread, a workgroup apart, so that their loads do not wait for each other.
// No workgroup memory, no barriers. C % 4 == 0.
override rows: u32;
override C: u32;
override C4: u32 = C / 4u;
override n: u32 = rows * C4;

const NO_ROW = 0xffffffffu;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<Out>;

fn places(group: vec3u, groups: vec3u, lane: u32) -> vec4u {
  return (group.y * groups.x + group.x) * 1024u + lane + vec4u(0u, 256u, 512u, 768u);
}

fn gathered(i: u32, source: u32) -> vec4f {
  let value = vec4f(x[select(source, 0u, source == NO_ROW) * C4 + i % C4]);
  return select(value, vec4f(), source == NO_ROW);
}

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = places(group, groups, lane);
  let at = min(i, vec4u(n - 1u)) / C4;
  let source = vec4u(index[at.x], index[at.y], index[at.z], index[at.w]);
  let v0 = gathered(i.x, source.x);
  let v1 = gathered(i.y, source.y);
  let v2 = gathered(i.z, source.z);
  let v3 = gathered(i.w, source.w);
  if (i.x < n) { result[i.x] = Out(v0); }
  if (i.y < n) { result[i.y] = Out(v1); }
  if (i.z < n) { result[i.z] = Out(v2); }
  if (i.w < n) { result[i.w] = Out(v3); }
}

@compute @workgroup_size(256)
fn accumulate(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = places(group, groups, lane);
  let to = min(i, vec4u(n - 1u));
  let at = to / C4;
  let source = vec4u(index[at.x], index[at.y], index[at.z], index[at.w]);
  let v0 = vec4f(result[to.x]) + gathered(i.x, source.x);
  let v1 = vec4f(result[to.y]) + gathered(i.y, source.y);
  let v2 = vec4f(result[to.z]) + gathered(i.z, source.z);
  let v3 = vec4f(result[to.w]) + gathered(i.w, source.w);
  if (i.x < n) { result[i.x] = Out(v0); }
  if (i.y < n) { result[i.y] = Out(v1); }
  if (i.z < n) { result[i.z] = Out(v2); }
  if (i.w < n) { result[i.w] = Out(v3); }
}
