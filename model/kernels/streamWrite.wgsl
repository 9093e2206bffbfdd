// Branch output to streams. forward: x [T, S, C], mix [T, S, S], post [T, S], f [T, C],
// y_i = Σ_j mix_ij x_j + post_i f, one thread per four columns.
// backward: one pass over x, f and dY for dX_j = Σ_i mix_ij dY_i, dF = Σ_i post_i dY_i and the S² + S inner
// products dMix_ij = ⟨dY_i, x_j⟩, dPost_i = ⟨dY_i, f⟩; 32 lanes per token, `tokens` tokens per workgroup; lanes are
// added in lane order after one barrier. C % 4 == 0, S ≤ 8; at most 16 KiB of workgroup memory (`tokens` sees to it).
override T: u32;
override S: u32;
override C: u32;
override tokens: u32 = 1u;
override C4: u32 = C / 4u;
override outputs: u32 = S * S + S;
override stride: u32 = outputs + 1u; // Odd, so that lanes fall on different banks.
override threads: u32 = 32u * tokens;
override cells: u32 = threads * stride;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> mix: array<f32>;
@group(0) @binding(2) var<storage, read> post: array<f32>;
@group(0) @binding(3) var<storage, read> f: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

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
  var streams: array<vec4f, 8>;
  for (var j = 0u; j < S; j++) { streams[j] = x[base + j * C4]; }
  let branch = f[at];
  for (var i = 0u; i < S; i++) {
    var sum = post[t * S + i] * branch;
    for (var j = 0u; j < S; j++) { sum += mix[(t * S + i) * S + j] * streams[j]; }
    y[base + i * C4] = sum;
  }
}

@group(0) @binding(4) var<storage, read> dY: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dX: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> dMix: array<f32>;
@group(0) @binding(7) var<storage, read_write> dPost: array<f32>;
@group(0) @binding(8) var<storage, read_write> dF: array<vec4f>;

var<workgroup> dots: array<f32, cells>;

@compute @workgroup_size(threads)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.y * groups.x + group.x;
  let t = tile * tokens + thread / 32u;
  var mixDots: array<f32, 64>;
  var postDots: array<f32, 8>;
  if (t < T) {
    for (var c = thread % 32u; c < C4; c += 32u) {
      let base = t * S * C4 + c;
      let branch = f[t * C4 + c];
      var gradients: array<vec4f, 8>;
      var branchGradient = vec4f();
      for (var i = 0u; i < S; i++) {
        let d = dY[base + i * C4];
        gradients[i] = d;
        branchGradient += post[t * S + i] * d;
        postDots[i] += dot(d, branch);
      }
      dF[t * C4 + c] = branchGradient;
      for (var j = 0u; j < S; j++) {
        let v = x[base + j * C4];
        var sum = vec4f();
        for (var i = 0u; i < S; i++) {
          sum += mix[(t * S + i) * S + j] * gradients[i];
          mixDots[i * S + j] += dot(gradients[i], v);
        }
        dX[base + j * C4] = sum;
      }
    }
  }
  for (var k = 0u; k < S * S; k++) { dots[thread * stride + k] = mixDots[k]; }
  for (var i = 0u; i < S; i++) { dots[thread * stride + S * S + i] = postDots[i]; }
  workgroupBarrier();
  for (var o = thread; o < tokens * outputs; o += threads) {
    let local = o / outputs;
    let k = o % outputs;
    let token = tile * tokens + local;
    var sum = 0.0;
    for (var l = 0u; l < 32u; l++) { sum += dots[(local * 32u + l) * stride + k]; }
    if (token < T) {
      if (k < S * S) { dMix[token * S * S + k] = sum; } else { dPost[token * S + k - S * S] = sum; }
    }
  }
}
