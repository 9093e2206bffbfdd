// What every attention's backward needs beside its tiles.
// rowStats: one thread per (row, head) of dOut, out [n, D] as vec4 and lse [n]; stats [n, 2] = (lse, dOut·out).
// slopeReduce: one workgroup per head sums partial [n, H] over rows and negates; fixed order, 1 KiB workgroup memory.
override n: u32;
override nHeads: u32;
override headDim: u32;

@group(0) @binding(0) var<storage, read> dOut: array<vec4f>;
@group(0) @binding(1) var<storage, read> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read_write> stats: array<vec2f>;

@compute @workgroup_size(256)
fn rowStats(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= n) { return; }
  let quads = headDim / 4u;
  var sum = 0.0;
  for (var d = 0u; d < quads; d++) { sum += dot(dOut[i * quads + d], out[i * quads + d]); }
  stats[i] = vec2f(lse[i], sum);
}

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read_write> dSlope: array<f32>;

var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn slopeReduce(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < n; i += 256u) { sum += partial[i * nHeads + group.x]; }
  sums[lane] = sum;
  for (var step = 128u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (lane < step) { sums[lane] += sums[lane + step]; }
  }
  if (lane == 0u) { dSlope[group.x] = -sums[0]; }
}
