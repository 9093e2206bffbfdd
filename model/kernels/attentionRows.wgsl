// What every attention's backward needs beside its tiles.
// rowStats: dOut, out [n, D] as four values or halves (aliases DOut, Out before this text), lse [n] → stats [n, 2] =
// (lse, dOut·out). rowScalars: stats [n, 4] = (lse, dOut·out, c, slope of the row's head). 16 threads per row, 64
// rows per workgroup. slopeReduce: one workgroup per head sums partial [n, H] over rows and negates. All sums in a
// fixed order; 4 KiB of workgroup memory.
override n: u32;
override nHeads: u32;
override headDim: u32;

@group(0) @binding(0) var<storage, read> dOut: array<DOut>;
@group(0) @binding(1) var<storage, read> out: array<Out>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read_write> stats: array<vec2f>;

var<workgroup> products: array<f32, 1024>;

// dOut·out of row firstRow + lane, for the first 64 lanes.
fn rowProduct(firstRow: u32, lane: u32) -> f32 {
  let quads = headDim / 4u;
  let column = lane % 16u;
  for (var r = lane / 16u; r < 64u; r += 16u) {
    let i = firstRow + r;
    var product = 0.0;
    if (i < n && column < quads) {
      product = dot(vec4f(dOut[i * quads + column]), vec4f(out[i * quads + column]));
    }
    products[r * 16u + column] = product;
  }
  workgroupBarrier();
  var sum = 0.0;
  if (lane < 64u) {
    for (var d = 0u; d < 16u; d++) { sum += products[lane * 16u + d]; }
  }
  return sum;
}

@compute @workgroup_size(256)
fn rowStats(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let firstRow = (group.y * groups.x + group.x) * 64u;
  let sum = rowProduct(firstRow, lane);
  let i = firstRow + lane;
  if (lane < 64u && i < n) { stats[i] = vec2f(lse[i], sum); }
}

@group(0) @binding(3) var<storage, read> c: array<f32>;
@group(0) @binding(4) var<storage, read> slope: array<f32>;
@group(0) @binding(5) var<storage, read_write> scalars: array<vec4f>;

@compute @workgroup_size(256)
fn rowScalars(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let firstRow = (group.y * groups.x + group.x) * 64u;
  let sum = rowProduct(firstRow, lane);
  let i = firstRow + lane;
  if (lane < 64u && i < n) { scalars[i] = vec4f(lse[i], sum, c[i], slope[i % nHeads]); }
}

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read_write> dSlope: array<f32>;

var<workgroup> sums: array<f32, 256>;

// Eight loads at a time: one workgroup has nothing else to hide a load's delay behind.
@compute @workgroup_size(256)
fn slopeReduce(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var low = vec4f(0.0);
  var high = vec4f(0.0);
  for (var i = lane; i < n; i += 2048u) {
    let at = vec4u(i, i + 256u, i + 512u, i + 768u);
    let first = min(at, vec4u(n - 1u)) * nHeads + group.x;
    let second = min(at + 1024u, vec4u(n - 1u)) * nHeads + group.x;
    let x = vec4f(partial[first.x], partial[first.y], partial[first.z], partial[first.w]);
    let y = vec4f(partial[second.x], partial[second.y], partial[second.z], partial[second.w]);
    low += select(vec4f(0.0), x, at < vec4u(n));
    high += select(vec4f(0.0), y, at + 1024u < vec4u(n));
  }
  let both = low + high;
  sums[lane] = (both.x + both.y) + (both.z + both.w);
  for (var step = 128u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (lane < step) { sums[lane] += sums[lane + step]; }
  }
  if (lane == 0u) { dSlope[group.x] = -sums[0]; }
}
