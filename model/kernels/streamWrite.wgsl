// Branch output to streams. forward: x [T, S, C], weights [T, S, S + 1], f [T, C] → y [T, S, C],
// y_i = Σ_j w_ij x_j + w_iS f, one thread per four columns.
// backward: one pass over x, f and dY for dF = Σ_i w_iS dY_i and the S² + S inner products dW_ij = ⟨dY_i, x_j⟩,
// dW_iS = ⟨dY_i, f⟩; 32 lanes per token, TOKENS tokens per workgroup; lanes are added in lane order after one barrier.
// C % 4 == 0; at most 16 KiB of workgroup memory (TOKENS sees to it).
// Constants given: T, S, C, TOKENS. Aliases given: X, F, Y (y and dY), DF.
const C4 = C / 4u;
const WIDE = S + 1u;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> f: array<F>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;

@compute @workgroup_size(128)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let at = (group.y * groups.x + group.x) * 128u + lane;
  if (at >= T * C4) { return; }
  let t = at / C4;
  let base = t * S * C4 + at % C4;
  var streams: array<vec4f, S>;
  for (var j = 0u; j < S; j++) { streams[j] = vec4f(x[base + j * C4]); }
  let branch = vec4f(f[at]);
  for (var i = 0u; i < S; i++) {
    let row = (t * S + i) * WIDE;
    var sum = weights[row + S] * branch;
    for (var j = 0u; j < S; j++) { sum += weights[row + j] * streams[j]; }
    y[base + i * C4] = Y(sum);
  }
}

@group(0) @binding(3) var<storage, read> dY: array<Y>;
@group(0) @binding(4) var<storage, read_write> dWeights: array<f32>;
@group(0) @binding(5) var<storage, read_write> dF: array<DF>;

const PRODUCTS = S * WIDE;
const STRIDE = PRODUCTS | 1u; // Odd, so that lanes fall on different banks.
var<workgroup> products: array<f32, 32u * TOKENS * STRIDE>;

@compute @workgroup_size(32u * TOKENS)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.y * groups.x + group.x;
  let t = tile * TOKENS + thread / 32u;
  var own: array<f32, PRODUCTS>;
  if (t < T) {
    for (var c = thread % 32u; c < C4; c += 32u) {
      let base = t * S * C4 + c;
      let branch = vec4f(f[t * C4 + c]);
      var gradients: array<vec4f, S>;
      var branchGradient = vec4f();
      for (var i = 0u; i < S; i++) {
        let d = vec4f(dY[base + i * C4]);
        gradients[i] = d;
        branchGradient += weights[(t * S + i) * WIDE + S] * d;
        own[i * WIDE + S] += dot(d, branch);
      }
      dF[t * C4 + c] = DF(branchGradient);
      for (var j = 0u; j < S; j++) {
        let v = vec4f(x[base + j * C4]);
        for (var i = 0u; i < S; i++) { own[i * WIDE + j] += dot(gradients[i], v); }
      }
    }
  }
  for (var k = 0u; k < PRODUCTS; k++) { products[thread * STRIDE + k] = own[k]; }
  workgroupBarrier();
  for (var o = thread; o < TOKENS * PRODUCTS; o += 32u * TOKENS) {
    let local = o / PRODUCTS;
    let k = o % PRODUCTS;
    if (tile * TOKENS + local >= T) { continue; }
    var sum = 0.0;
    for (var l = 0u; l < 32u; l++) { sum += products[(local * 32u + l) * STRIDE + k]; }
    dWeights[tile * TOKENS * PRODUCTS + o] = sum;
  }
}
