// Sums over rows in fixed order. partials: x [rows, C] → sums [chunks, C], one thread per column of a chunk of ROWS
// rows; combine: sums [chunks, C] → result [C], 64 columns × 4 parts of the chunks per workgroup; weightedTotal:
// x [n], weight [1] → result [1] by one workgroup. One barrier in combine, a tree in weightedTotal. 1 KiB of
// workgroup memory.
override rows: u32;
override C: u32;
override chunks: u32;

const ROWS = 64u;

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
  let c = group * 64u + thread % 64u;
  var sum = 0.0;
  if (c < C) {
    for (var k = thread / 64u; k < chunks; k += 4u) { sum += x[k * C + c]; }
  }
  parts[thread] = sum;
  workgroupBarrier();
  let lane = thread % 64u;
  return parts[lane] + parts[64u + lane] + parts[128u + lane] + parts[192u + lane];
}

@compute @workgroup_size(256)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let sum = combined(group.x, thread);
  let c = group.x * 64u + thread;
  if (thread < 64u && c < C) { result[c] = sum; }
}

@compute @workgroup_size(256)
fn combineAccumulate(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let sum = combined(group.x, thread);
  let c = group.x * 64u + thread;
  if (thread < 64u && c < C) { result[c] = result[c] + sum; }
}

@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> total: array<f32>;

@compute @workgroup_size(256)
fn weightedTotal(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < rows; i += 256u) { sum += x[i]; }
  parts[thread] = sum;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half >>= 1u) {
    if (thread < half) { parts[thread] += parts[thread + half]; }
    workgroupBarrier();
  }
  if (thread == 0u) { total[0] = parts[0] * weight[0]; }
}
