// Scalars and temperatures as grid attention takes them, one thread per row and head. forward: z = logistic(raw −
// offset), in [0, 1]; T = COLDEST + softplus(raw). backward: gradients of both; `partial` is minus the row's share of
// the offset's.
override n: u32;
override nHeads: u32;
override coldest: f32;

@group(0) @binding(0) var<storage, read> rawA: array<f32>;
@group(0) @binding(1) var<storage, read> rawB: array<f32>;
@group(0) @binding(2) var<storage, read> offset: array<f32>;
@group(0) @binding(3) var<storage, read> heat: array<f32>;
@group(0) @binding(4) var<storage, read_write> a: array<f32>;
@group(0) @binding(5) var<storage, read_write> b: array<f32>;
@group(0) @binding(6) var<storage, read_write> temperature: array<f32>;

fn logistic(x: f32) -> f32 {
  let e = exp(-abs(x));
  return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + t;
  if (i >= n) { return; }
  let h = i % nHeads;
  a[i] = logistic(rawA[i] - offset[h]);
  b[i] = logistic(rawB[i] - offset[h]);
  if (i == h) { temperature[h] = coldest + max(heat[h], 0.0) + log(1.0 + exp(-abs(heat[h]))); }
}

@group(0) @binding(0) var<storage, read> placedA: array<f32>;
@group(0) @binding(1) var<storage, read> placedB: array<f32>;
@group(0) @binding(2) var<storage, read> dA: array<f32>;
@group(0) @binding(3) var<storage, read> dB: array<f32>;
@group(0) @binding(4) var<storage, read> dTemperature: array<f32>;
@group(0) @binding(5) var<storage, read> rawHeat: array<f32>;
@group(0) @binding(6) var<storage, read_write> dRawA: array<f32>;
@group(0) @binding(7) var<storage, read_write> dRawB: array<f32>;
@group(0) @binding(8) var<storage, read_write> partial: array<f32>;
@group(0) @binding(9) var<storage, read_write> dHeat: array<f32>;

@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + t;
  if (i >= n) { return; }
  let x = dA[i] * placedA[i] * (1.0 - placedA[i]);
  let y = dB[i] * placedB[i] * (1.0 - placedB[i]);
  dRawA[i] = x;
  dRawB[i] = y;
  partial[i] = x + y;
  if (i < nHeads) { dHeat[i] = dTemperature[i] * logistic(rawHeat[i]); }
}
