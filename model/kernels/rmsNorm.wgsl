// RMS normalization without gain. forward: x [rows, C], y [rows, C]; backward: x, dY, dX [rows, C].
// 16, 64 or 256 lanes per row (rowSum.wgsl), 4-wide loads, so C % 4 == 0. Each lane keeps its at most KEPT quadruples
// of the row in registers: memory is read once.
override rows: u32;
override C: u32;
override lanes: u32;
override C4: u32 = C / 4u;
// Quadruples per lane.
override each: u32 = (C4 + lanes - 1u) / lanes;

const EPS = 1e-6;
const KEPT = 8;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read_write> y: array<Y>;

@group(0) @binding(1) var<storage, read> dY: array<Y>;
@group(0) @binding(2) var<storage, read_write> dX: array<DX>;

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups, thread);
  let base = min(row, rows - 1u) * C4;
  let lane = thread % lanes;
  var kept: array<vec4f, KEPT>;
  for (var k = 0u; k < each; k++) {
    let c = lane + k * lanes;
    kept[k] = select(vec4f(), vec4f(x[base + min(c, C4 - 1u)]), c < C4);
  }
  var own = 0.0;
  for (var k = 0u; k < each; k++) { own += dot(kept[k], kept[k]); }
  let scale = inverseSqrt(rowSum(thread, vec2f(own, 0.0)).x / f32(C) + EPS);
  for (var k = 0u; k < each; k++) {
    let c = lane + k * lanes;
    if (row < rows && c < C4) { y[base + c] = Y(kept[k] * scale); }
  }
}

struct Gradient {
  // First quadruple of the row.
  base: u32,
  values: array<vec4f, KEPT>,
}

// dX's quadruples of this lane, without what dX held.
fn gradient(thread: u32, row: u32) -> Gradient {
  var g: Gradient;
  g.base = min(row, rows - 1u) * C4;
  let lane = thread % lanes;
  var kept: array<vec4f, KEPT>;
  for (var k = 0u; k < each; k++) {
    let c = lane + k * lanes;
    let at = g.base + min(c, C4 - 1u);
    kept[k] = select(vec4f(), vec4f(x[at]), c < C4);
    g.values[k] = select(vec4f(), vec4f(dY[at]), c < C4);
  }
  // Of x² and of x·dY.
  var own = vec2f();
  for (var k = 0u; k < each; k++) { own += vec2f(dot(kept[k], kept[k]), dot(kept[k], g.values[k])); }
  let total = rowSum(thread, own);
  let scale = inverseSqrt(total.x / f32(C) + EPS);
  let along = scale * scale * scale * total.y / f32(C);
  for (var k = 0u; k < each; k++) { g.values[k] = g.values[k] * scale - kept[k] * along; }
  return g;
}

@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups, thread);
  let g = gradient(thread, row);
  for (var k = 0u; k < each; k++) {
    let c = thread % lanes + k * lanes;
    if (row < rows && c < C4) { dX[g.base + c] = DX(g.values[k]); }
  }
}

@compute @workgroup_size(256)
fn backwardAccumulate(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups, thread);
  var g = gradient(thread, row);
  for (var k = 0u; k < each; k++) {
    let c = thread % lanes + k * lanes;
    g.values[k] += vec4f(dX[g.base + min(c, C4 - 1u)]);
  }
  for (var k = 0u; k < each; k++) {
    let c = thread % lanes + k * lanes;
    if (row < rows && c < C4) { dX[g.base + c] = DX(g.values[k]); }
  }
}
