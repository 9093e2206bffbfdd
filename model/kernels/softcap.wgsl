// y = cap·tanh(x / cap), and its backward dX = dY·(1 − (y/cap)²) from x. One thread per element.
override n: u32;
override cap: f32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

// tanh overflows in some drivers for large arguments; beyond 15 it is ±1 in f32.
fn bounded(value: f32) -> f32 { return tanh(clamp(value / cap, -15.0, 15.0)); }

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= n) { return; }
  y[i] = cap * bounded(x[i]);
}

@group(0) @binding(1) var<storage, read> dY: array<f32>;
@group(0) @binding(2) var<storage, read_write> dX: array<f32>;

@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= n) { return; }
  let t = bounded(x[i]);
  dX[i] = dY[i] * (1.0 - t * t);
}
