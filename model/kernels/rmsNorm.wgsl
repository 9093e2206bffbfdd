// RMS normalization without gain. forward: x [rows, C], y [rows, C]; backward: x, dY, dX [rows, C].
// 16, 64 or 256 lanes per row (override `lanes`), 256 invocations per workgroup, 4-wide loads, so C % 4 == 0.
// One barrier: every lane adds its row's partial sums in lane order. 1 KiB of workgroup memory.
override rows: u32;
override C: u32;
override lanes: u32;
override C4: u32 = C / 4u;

const EPS = 1e-6;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@group(0) @binding(1) var<storage, read> dY: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dX: array<vec4f>;

var<workgroup> squares: array<f32, 256>;
var<workgroup> products: array<f32, 256>;

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let local = thread / lanes;
  let lane = thread % lanes;
  let row = (group.y * groups.x + group.x) * (256u / lanes) + local;
  let base = row * C4;
  var sum = 0.0;
  if (row < rows) {
    for (var c = lane; c < C4; c += lanes) {
      let v = x[base + c];
      sum += dot(v, v);
    }
  }
  squares[thread] = sum;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < lanes; i++) { total += squares[local * lanes + i]; }
  let scale = inverseSqrt(total / f32(C) + EPS);
  if (row < rows) {
    for (var c = lane; c < C4; c += lanes) { y[base + c] = x[base + c] * scale; }
  }
}

fn gradientAt(thread: u32, row: u32) -> vec2f {
  let local = thread / lanes;
  let lane = thread % lanes;
  let base = row * C4;
  var sum = 0.0;
  var product = 0.0;
  if (row < rows) {
    for (var c = lane; c < C4; c += lanes) {
      let v = x[base + c];
      sum += dot(v, v);
      product += dot(v, dY[base + c]);
    }
  }
  squares[thread] = sum;
  products[thread] = product;
  workgroupBarrier();
  var total = 0.0;
  var inner = 0.0;
  for (var i = 0u; i < lanes; i++) {
    total += squares[local * lanes + i];
    inner += products[local * lanes + i];
  }
  let scale = inverseSqrt(total / f32(C) + EPS);
  return vec2f(scale, scale * scale * scale * inner / f32(C));
}

@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.y * groups.x + group.x) * (256u / lanes) + thread / lanes;
  let k = gradientAt(thread, row);
  if (row < rows) {
    for (var c = row * C4 + thread % lanes; c < (row + 1u) * C4; c += lanes) { dX[c] = dY[c] * k.x - x[c] * k.y; }
  }
}

@compute @workgroup_size(256)
fn backwardAccumulate(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.y * groups.x + group.x) * (256u / lanes) + thread / lanes;
  let k = gradientAt(thread, row);
  if (row < rows) {
    for (var c = row * C4 + thread % lanes; c < (row + 1u) * C4; c += lanes) {
      dX[c] = dX[c] + (dY[c] * k.x - x[c] * k.y);
    }
  }
}
