// Key shift: y_i = Σ_k mix_k ⊙ x_{span + i − k}, k = 0, 1, 2; zero before the window's start.
// x [batch, capacity, C], mix [3, C], span [1], y [batch, rows, C]. Backward: capacity = rows, span = 0.
// forward, backwardInput: one thread per element, folded grid. backwardPartials: one thread per (chunk of 64
// flattened rows, channel) writes partial [chunks, 3, C]; columnSum adds the chunks. No workgroup memory.
override batch: u32;
override rows: u32;
override capacity: u32;
override channels: u32;

const ROWS = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> mix: array<f32>;
@group(0) @binding(2) var<storage, read> span: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= batch * rows * channels) { return; }
  let row = i / channels;
  let column = i % channels;
  let position = span[0] + row % rows;
  let at = ((row / rows) * capacity + position) * channels + column;
  var sum = mix[column] * x[at];
  if (position >= 1u) { sum += mix[channels + column] * x[at - channels]; }
  if (position >= 2u) { sum += mix[2u * channels + column] * x[at - 2u * channels]; }
  y[i] = sum;
}

@group(0) @binding(0) var<storage, read> dY: array<f32>;
@group(0) @binding(2) var<storage, read_write> dX: array<f32>;

@compute @workgroup_size(256)
fn backwardInput(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= batch * rows * channels) { return; }
  let column = i % channels;
  let after = rows - 1u - (i / channels) % rows;
  var sum = mix[column] * dY[i];
  if (after >= 1u) { sum += mix[channels + column] * dY[i + channels]; }
  if (after >= 2u) { sum += mix[2u * channels + column] * dY[i + 2u * channels]; }
  dX[i] = sum;
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(256)
fn backwardPartials(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  let chunk = i / channels;
  let column = i % channels;
  let first = chunk * ROWS;
  if (first >= batch * rows) { return; }
  let end = min(batch * rows, first + ROWS);
  var sum = vec3f(0.0);
  for (var row = first; row < end; row++) {
    let position = row % rows;
    let at = row * channels + column;
    let d = dY[at];
    sum.x += d * input[at];
    if (position >= 1u) { sum.y += d * input[at - channels]; }
    if (position >= 2u) { sum.z += d * input[at - 2u * channels]; }
  }
  let to = chunk * 3u * channels + column;
  partial[to] = sum.x;
  partial[to + channels] = sum.y;
  partial[to + 2u * channels] = sum.z;
}
