// Band energies of spectral coordinates: y [rows, H, D], mu [H, D] → lambda [rows, H, m];
// E_b = Σ_{d in band b} mu_d y_d² / (Σ_d y_d² + eps), lambda = E / (E + tau). tau = 0 gives lambda = E.
// forward, backwardY: one thread per (row, head). partials, reduce: dMu in two fixed-order passes.
override rows: u32;
override nHeads: u32;
override headDim: u32;
override bands: u32;
override tau: f32;
override parts: u32;
const EPS = 1e-6;

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> mu: array<f32>;
@group(0) @binding(2) var<storage, read_write> lambda: array<f32>;

fn power(base: u32) -> f32 {
  var sum = 0.0;
  for (var d = 0u; d < headDim; d++) { let v = y[base + d]; sum += v * v; }
  return sum + EPS;
}

fn energy(base: u32, muBase: u32, band: u32) -> f32 {
  let width = headDim / bands;
  var sum = 0.0;
  for (var d = band * width; d < (band + 1u) * width; d++) {
    let v = y[base + d];
    sum += mu[muBase + d] * v * v;
  }
  return sum;
}

// d lambda / d E.
fn slopeOf(e: f32) -> f32 {
  if (tau == 0.0) { return 1.0; }
  let s = e + tau;
  return tau / (s * s);
}

@compute @workgroup_size(64)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= rows * nHeads) { return; }
  let base = i * headDim;
  let muBase = (i % nHeads) * headDim;
  let p = power(base);
  for (var b = 0u; b < bands; b++) {
    let e = energy(base, muBase, b) / p;
    lambda[i * bands + b] = select(e / (e + tau), e, tau == 0.0);
  }
}

@group(0) @binding(2) var<storage, read> dLambda: array<f32>;
@group(0) @binding(3) var<storage, read_write> dY: array<f32>;
@group(0) @binding(4) var<storage, read_write> dE: array<f32>;

// dE [rows, H, m] (already divided by the power) serves the spectrum's gradient.
@compute @workgroup_size(64)
fn backwardY(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= rows * nHeads) { return; }
  let base = i * headDim;
  let muBase = (i % nHeads) * headDim;
  let p = power(base);
  let width = headDim / bands;
  var pull = 0.0;
  for (var b = 0u; b < bands; b++) {
    let e = energy(base, muBase, b) / p;
    let d = dLambda[i * bands + b] * slopeOf(e) / p;
    dE[i * bands + b] = d;
    pull += d * e;
  }
  for (var d = 0u; d < headDim; d++) {
    dY[base + d] = 2.0 * y[base + d] * (dE[i * bands + d / width] * mu[muBase + d] - pull);
  }
}

@group(0) @binding(1) var<storage, read> dEin: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

// partial [parts, H, D]: rows r ≡ part (mod parts). One thread per (part, head, dimension).
@compute @workgroup_size(64)
fn partials(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  let n = nHeads * headDim;
  if (i >= parts * n) { return; }
  let part = i / n;
  let column = i % n;
  let head = column / headDim;
  let band = (column % headDim) / (headDim / bands);
  var sum = 0.0;
  for (var r = part; r < rows; r += parts) {
    let v = y[r * n + column];
    sum += dEin[(r * nHeads + head) * bands + band] * v * v;
  }
  partial[i] = sum;
}

@group(0) @binding(0) var<storage, read> partialIn: array<f32>;
@group(0) @binding(1) var<storage, read_write> dMu: array<f32>;

@compute @workgroup_size(64)
fn reduce(@builtin(global_invocation_id) id: vec3u) {
  let n = nHeads * headDim;
  if (id.x >= n) { return; }
  var sum = 0.0;
  for (var part = 0u; part < parts; part++) { sum += partialIn[part * n + id.x]; }
  dMu[id.x] = sum;
}
