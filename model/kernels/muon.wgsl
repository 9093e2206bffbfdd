// The elementwise parts of a Muon step on `batch` matrices of `size` entries each (in Reals; the launcher prepends
// `alias Real` and `squares`). hyper [8] = lr, momentum, weightDecay, nesterov, cautious, 0, 0, 0.
//   momentum   buffer = mu·buffer + grad; direction = grad + mu·buffer (nesterov) or buffer; parts [batch, partCount]
//              sums of squares. One workgroup per part, 256 threads striding by parts.
//   normalizeNorm x = direction / (Frobenius norm + 1e-7), the norm from the parts in fixed order. One thread per Real.
//   polynomial mixed = first·I + second·gram + third·gram², square matrices of `side`. One thread per entry.
//   update     param = param·(1 − lr·weightDecay) − lr·scale·x. One thread per Real.
// Groups folded into two dimensions except momentum. Workgroup memory 1 KiB; barriers in uniform control flow.
override size: u32;
override batch: u32;
override partCount: u32 = 1u;
override side: u32 = 1u;
override first: f32 = 0.0;
override second: f32 = 0.0;
override third: f32 = 0.0;
override scale: f32 = 1.0;

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

@group(0) @binding(0) var<storage, read> grad: array<Real>;
@group(0) @binding(1) var<storage, read_write> buffer: array<Real>;
@group(0) @binding(2) var<storage, read> hyper: array<f32>;
@group(0) @binding(3) var<storage, read_write> direction: array<Real>;
@group(0) @binding(4) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(256)
fn momentum(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let base = group.y * size;
  var sum = 0.0;
  for (var i = group.x * 256u + lane; i < size; i += partCount * 256u) {
    let g = grad[base + i];
    let moved = hyper[1] * buffer[base + i] + g;
    buffer[base + i] = moved;
    let d = select(moved, g + hyper[1] * moved, hyper[3] != 0.0);
    direction[base + i] = d;
    sum += squares(d);
  }
  let total = reduce(lane, sum);
  if (lane == 0u) { parts[group.y * partCount + group.x] = total; }
}

@group(0) @binding(0) var<storage, read> unscaled: array<Real>;
@group(0) @binding(1) var<storage, read> squareSums: array<f32>;
@group(0) @binding(2) var<storage, read_write> normalized: array<Real>;

@compute @workgroup_size(256)
fn normalizeNorm(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var part = 0.0;
  if (lane < partCount) { part = squareSums[group.y * partCount + lane]; }
  let inverse = 1.0 / (sqrt(reduce(lane, part)) + 1e-7);
  let i = group.x * 256u + lane;
  if (i < size) { normalized[group.y * size + i] = unscaled[group.y * size + i] * inverse; }
}

@group(0) @binding(0) var<storage, read> gram: array<f32>;
@group(0) @binding(1) var<storage, read> gramSquared: array<f32>;
@group(0) @binding(2) var<storage, read_write> mixed: array<f32>;

@compute @workgroup_size(256)
fn polynomial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= batch * side * side) { return; }
  let at = i % (side * side);
  let diagonal = select(0.0, first, at / side == at % side);
  mixed[i] = diagonal + second * gram[i] + third * gramSquared[i];
}

@group(0) @binding(0) var<storage, read> x: array<Real>;
@group(0) @binding(1) var<storage, read_write> param: array<Real>;

@compute @workgroup_size(256)
fn update(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= batch * size) { return; }
  let p = param[i];
  let step = scale * x[i];
  let decay = select(Real(1.0), select(Real(0.0), Real(1.0), step * p > Real(0.0)), hyper[4] != 0.0);
  param[i] = p - hyper[0] * (hyper[2] * decay * p + step);
}
