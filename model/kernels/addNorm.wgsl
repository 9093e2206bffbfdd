// A residual's end and the next sublayer's start in one pass: x, f [rows, C] → y = x + f and normed = y / rms(y).
// LANES lanes per row, 256 invocations per workgroup, 4-wide loads, so C % 4 == 0. Each lane keeps its KEPT
// quadruples of the row in registers. One barrier; lanes are added in order. 1 KiB of workgroup memory.
// Constants given: T (rows), C, LANES. Aliases given: X, F, Y, H (normed).
const C4 = C / 4u;
const KEPT = (C4 + LANES - 1u) / LANES;

const EPS = 1e-6;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> f: array<F>;
@group(0) @binding(2) var<storage, read_write> y: array<Y>;
@group(0) @binding(3) var<storage, read_write> normed: array<H>;

var<workgroup> squares: array<f32, 256>;

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.y * groups.x + group.x) * (256u / LANES) + thread / LANES;
  let lane = thread % LANES;
  var kept: array<vec4f, KEPT>;
  var own = 0.0;
  for (var k = 0u; k < KEPT; k++) {
    let c = lane + k * LANES;
    if (row < T && c < C4) {
      // The norm is of what y holds.
      let sum = Y(vec4f(x[row * C4 + c]) + vec4f(f[row * C4 + c]));
      y[row * C4 + c] = sum;
      kept[k] = vec4f(sum);
      own += dot(kept[k], kept[k]);
    }
  }
  squares[thread] = own;
  workgroupBarrier();
  var total = 0.0;
  for (var l = 0u; l < LANES; l++) { total += squares[thread / LANES * LANES + l]; }
  let scale = inverseSqrt(total / f32(C) + EPS);
  for (var k = 0u; k < KEPT; k++) {
    let c = lane + k * LANES;
    if (row < T && c < C4) { normed[row * C4 + c] = H(kept[k] * scale); }
  }
}
