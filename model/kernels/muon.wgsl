// The first parts of a Muon step on matrices that lie in packs. table [matrices] = offset, rows, cols, elements; hyper [8] =
// lr, momentum, weightDecay, nesterov, cautious, 0, 0, 0; verdict as in verdict.wgsl.
//   momentum  buffer = mu·buffer + grad; parts [matrices, partCount] are sums of squares of the direction,
//             grad + mu·buffer (nesterov) or buffer. One workgroup per part; matrices in quads, gaps hold zero.
//   norms     1 / (Frobenius norm + 1e-7) from the parts in fixed order. One workgroup per matrix.
// Workgroup memory 1 KiB; barriers in uniform control flow.
override partCount: u32 = 1u;

var<workgroup> sums: array<f32, 256>;

fn reduce(lane: u32, value: f32) -> f32 {
  sums[lane] = value;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  return sums[0];
}

@group(0) @binding(0) var<storage, read> grad: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> buffer: array<vec4f>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> hyper: array<f32>;
@group(0) @binding(4) var<storage, read> verdict: array<f32>;
@group(0) @binding(5) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(256)
fn momentum(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let base = table[group.y].x / 4u;
  let quads = (table[group.y].w + 3u) / 4u;
  var sum = 0.0;
  for (var i = group.x * 256u + lane; i < quads; i += partCount * 256u) {
    let g = grad[base + i] * verdict[1];
    let moved = hyper[1] * buffer[base + i] + g;
    if (verdict[0] != 0.0) { buffer[base + i] = moved; }
    let d = select(moved, g + hyper[1] * moved, hyper[3] != 0.0);
    sum += dot(d, d);
  }
  let total = reduce(lane, sum);
  if (lane == 0u) { parts[group.y * partCount + group.x] = total; }
}

@group(0) @binding(0) var<storage, read> squareSums: array<f32>;
@group(0) @binding(1) var<storage, read_write> inverseNorms: array<f32>;

@compute @workgroup_size(256)
fn norms(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var part = 0.0;
  if (lane < partCount) { part = squareSums[group.x * partCount + lane]; }
  let sum = reduce(lane, part);
  if (lane == 0u) { inverseNorms[group.x] = 1.0 / (sqrt(sum) + 1e-7); }
}
