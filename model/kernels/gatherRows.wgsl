// Rows by index: x [xRows, C], index [rows], result [rows, C]; NO_ROW gives zeros (or adds nothing).
// One thread per four columns. No workgroup memory, no barriers. C % 4 == 0.
override rows: u32;
override C: u32;
override C4: u32 = C / 4u;

const NO_ROW = 0xffffffffu;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<vec4f>;

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= rows * C4) { return; }
  let source = index[i / C4];
  if (source == NO_ROW) {
    result[i] = vec4f();
  } else {
    result[i] = x[source * C4 + i % C4];
  }
}

@compute @workgroup_size(256)
fn accumulate(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= rows * C4) { return; }
  let source = index[i / C4];
  if (source != NO_ROW) { result[i] = result[i] + x[source * C4 + i % C4]; }
}
