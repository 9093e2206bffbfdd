// Sums over rows in fixed order. partials: x [rows, C] → sums [chunks, C], one thread per column of a chunk of ROWS
// rows; combine: sums [chunks, C] → result [C], 8 columns × 32 parts of the chunks per workgroup; weightedTotal:
// x [n], weight [1] → result [1] by one workgroup. One barrier in combine, a tree in weightedTotal. 1 KiB of
// workgroup memory.
override rows: u32;
override C: u32;
override chunks: u32;

const ROWS = 32u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn partials(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let columnGroups = (C + 63u) / 64u;
  let tile = group.y * groups.x + group.x;
  let chunk = tile / columnGroups;
  let c = (tile % columnGroups) * 64u + lane;
  if (chunk >= chunks || c >= C) { return; }
  let end = min((chunk + 1u) * ROWS, rows);
  var sum = 0.0;
  for (var r = chunk * ROWS; r < end; r++) { sum += x[r * C + c]; }
  sums[chunk * C + c] = sum;
}

@group(0) @binding(1) var<storage, read_write> result: array<f32>;
var<workgroup> parts: array<f32, 256>;

fn combined(group: u32, thread: u32) -> f32 {
  let c = group * 8u + thread % 8u;
  var sum = 0.0;
  if (c < C) {
    for (var k = thread / 8u; k < chunks; k += 32u) { sum += x[k * C + c]; }
  }
  parts[thread] = sum;
  workgroupBarrier();
  var total = 0.0;
  for (var k = 0u; k < 32u; k++) { total += parts[k * 8u + thread % 8u]; }
  return total;
}

@compute @workgroup_size(256)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let sum = combined(group.x, thread);
  let c = group.x * 8u + thread;
  if (thread < 8u && c < C) { result[c] = sum; }
}

@compute @workgroup_size(256)
fn combineAccumulate(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let sum = combined(group.x, thread);
  let c = group.x * 8u + thread;
  if (thread < 8u && c < C) { result[c] = result[c] + sum; }
}

@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> total: array<f32>;

@compute @workgroup_size(256)
fn weightedTotal(@builtin(local_invocation_index) thread: u32) {
  // Four sums at a time keep four loads in flight; the index is clamped where the value is not used.
  var sum = vec4f();
  for (var i = thread; i < rows; i += 1024u) {
    let at = vec4u(i, i + 256u, i + 512u, i + 768u);
    let last = rows - 1u;
    let values = vec4f(x[at.x], x[min(at.y, last)], x[min(at.z, last)], x[min(at.w, last)]);
    sum += select(vec4f(), values, at < vec4u(rows));
  }
  parts[thread] = (sum.x + sum.y) + (sum.z + sum.w);
  workgroupBarrier();
  for (var half = 128u; half > 0u; half >>= 1u) {
    if (thread < half) { parts[thread] += parts[thread + half]; }
    workgroupBarrier();
  }
  if (thread == 0u) { total[0] = parts[0] * weight[0]; }
}
