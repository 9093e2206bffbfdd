// Per-token coefficients of the streams from z [T, M], M = 2S + K columns in the order read, write, mixing logits.
// With u = alpha[group] · z + bias: pre [T, S] = sigmoid(u), post [T, S] = 2 sigmoid(u), a [T, K] = u.
// forward: one thread per element of z. partials: dZ [T, M] and, per chunk of TOKENS tokens, sums [chunks, 2, M] of
// du and du · z, one thread per column. combine: one workgroup per column, 64 lanes added in lane order after one
// barrier, to dBias [M] and columnSums [M]; gains: three threads add columnSums to dAlpha [3]. 512 bytes of
// workgroup memory.
override T: u32;
override S: u32;
override K: u32;
override chunks: u32;
override M: u32 = 2u * S + K;

const TOKENS = 16u;

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> alpha: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> pre: array<f32>;
@group(0) @binding(4) var<storage, read_write> post: array<f32>;
@group(0) @binding(5) var<storage, read_write> a: array<f32>;

// The clamp keeps exp finite; beyond it the sigmoid is 0 or 1 in f32.
fn sigmoid(u: f32) -> f32 { return 1.0 / (1.0 + exp(-clamp(u, -80.0, 80.0))); }

fn groupOf(m: u32) -> u32 { return min(m / S, 2u); }

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= T * M) { return; }
  let t = i / M;
  let m = i % M;
  let u = alpha[groupOf(m)] * z[i] + bias[m];
  if (m < S) {
    pre[t * S + m] = sigmoid(u);
  } else if (m < 2u * S) {
    post[t * S + m - S] = 2.0 * sigmoid(u);
  } else {
    a[t * K + m - 2u * S] = u;
  }
}

@group(0) @binding(3) var<storage, read> dPre: array<f32>;
@group(0) @binding(4) var<storage, read> dPost: array<f32>;
@group(0) @binding(5) var<storage, read> dA: array<f32>;
@group(0) @binding(6) var<storage, read_write> dZ: array<f32>;
@group(0) @binding(7) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn partials(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let columnGroups = (M + 63u) / 64u;
  let tile = group.y * groups.x + group.x;
  let chunk = tile / columnGroups;
  let m = (tile % columnGroups) * 64u + lane;
  if (chunk >= chunks || m >= M) { return; }
  let gain = alpha[groupOf(m)];
  let end = min((chunk + 1u) * TOKENS, T);
  var biasSum = 0.0;
  var alphaSum = 0.0;
  for (var t = chunk * TOKENS; t < end; t++) {
    let value = z[t * M + m];
    var du: f32;
    if (m < 2u * S) {
      let s = sigmoid(gain * value + bias[m]);
      if (m < S) {
        du = dPre[t * S + m] * s * (1.0 - s);
      } else {
        du = 2.0 * dPost[t * S + m - S] * s * (1.0 - s);
      }
    } else {
      du = dA[t * K + m - 2u * S];
    }
    dZ[t * M + m] = gain * du;
    biasSum += du;
    alphaSum += du * value;
  }
  sums[chunk * 2u * M + m] = biasSum;
  sums[chunk * 2u * M + M + m] = alphaSum;
}

@group(0) @binding(0) var<storage, read> partialSums: array<f32>;
@group(0) @binding(1) var<storage, read_write> dBias: array<f32>;
@group(0) @binding(2) var<storage, read_write> columnSums: array<f32>;

var<workgroup> lanes: array<vec2f, 64>;

@compute @workgroup_size(64)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let m = group.x;
  var sum = vec2f();
  for (var chunk = lane; chunk < chunks; chunk += 64u) {
    sum += vec2f(partialSums[chunk * 2u * M + m], partialSums[chunk * 2u * M + M + m]);
  }
  lanes[lane] = sum;
  workgroupBarrier();
  if (lane != 0u) { return; }
  var total = vec2f();
  for (var l = 0u; l < 64u; l++) { total += lanes[l]; }
  dBias[m] = total.x;
  columnSums[m] = total.y;
}

@group(0) @binding(0) var<storage, read> alphaSums: array<f32>;
@group(0) @binding(1) var<storage, read_write> dAlpha: array<f32>;

@compute @workgroup_size(3)
fn gains(@builtin(local_invocation_index) lane: u32) {
  let first = lane * S;
  let width = select(S, K, lane == 2u);
  var sum = 0.0;
  for (var m = first; m < first + width; m++) { sum += alphaSums[m]; }
  dAlpha[lane] = sum;
}
