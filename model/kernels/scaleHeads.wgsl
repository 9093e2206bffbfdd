// Learned gain: y = x·softplus(raw)·scale; x, y, dY, dX [rows, n], raw [n].
// forward: one thread per element, folded grid; with dY for x it is the input's gradient. backwardPartials: one
// thread per (chunk of 64 rows, column) writes partial [chunks, n]; columnSum adds them. No workgroup memory.
override rows: u32;
override n: u32;
override scale: f32;

const ROWS = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> raw: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn softplus(r: f32) -> f32 { return max(r, 0.0) + log(1.0 + exp(-abs(r))); }
fn sigmoid(r: f32) -> f32 {
  let e = exp(-abs(r));
  return select(e, 1.0, r >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= rows * n) { return; }
  y[i] = x[i] * softplus(raw[i % n]) * scale;
}

@group(0) @binding(2) var<storage, read> dY: array<f32>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(256)
fn backwardPartials(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  let chunk = i / n;
  if (chunk * ROWS >= rows) { return; }
  let column = i % n;
  let end = min(rows, (chunk + 1u) * ROWS);
  var sum = 0.0;
  for (var r = chunk * ROWS; r < end; r++) { sum += dY[r * n + column] * x[r * n + column]; }
  partial[i] = sum * sigmoid(raw[column]) * scale;
}
