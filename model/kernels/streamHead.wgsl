// What happens at the head of a sublayer, in one pass over its streams x [T, S, C]; u [T, M] is x·phi, M = 2S + K
// columns in the order read gates, write gates, mixing logits.
// forward: r = 1/rms(x) over S·C, z = r·u, v = alpha[group]·z + bias; pre = sigmoid(v), post = 2·sigmoid(v),
// mix = mixRows(v); weights [T, S, S + 1] = mix and post, gates [T, S + 1] = pre and r, normed [T, C] = norm(Σ_j pre_j x_j).
// backward: x, dNormed, u, alpha, bias, gates, dWeights → dU [T, M], and terms [T, TERMS], with which streamGradient
// makes dX: mix, pre, and of the norms the scales of dNormed, of the branch input h and of x.
// sums [groups, M + 3] = Σ dv and, for each of alpha's gains, Σ dv·z of ROWS rows; gains adds those of all groups, one
// workgroup per column, to dBias and dAlpha.
// LANES lanes per row, ROWS rows per workgroup; forward keeps a lane's CHUNKS · S quadruples of x in registers. Lanes
// are added in lane order through workgroup memory, at most 16 KiB in all. C % 4 == 0.
// Constants given, besides mixing's (S, K, ROWS): T, C, LANES, TERMS. Aliases given: X, H (normed and dNormed).
const C4 = C / 4u;
const M = 2u * S + K;
const WIDE = S + 1u;
const THREADS = ROWS * LANES;
const CHUNKS = (C4 + LANES - 1u) / LANES;

const EPS = 1e-6;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read> alpha: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> normed: array<H>;

const DOTS = 2u * S;
const STRIDE = DOTS + 1u; // Odd, so that lanes fall on different banks.
var<workgroup> partial: array<f32, THREADS * STRIDE>;
var<workgroup> reads: array<f32, ROWS * DOTS>;

struct Row {
  local: u32,
  lane: u32,
  t: u32,
  live: bool,
}

fn rowOf(group: vec3u, groups: vec3u, thread: u32) -> Row {
  let local = thread / LANES;
  let t = (group.y * groups.x + group.x) * ROWS + local;
  return Row(local, thread % LANES, t, t < T);
}

fn lanesSum(row: Row, own: f32) -> f32 {
  partial[row.local * LANES + row.lane] = own;
  workgroupBarrier();
  var sum = 0.0;
  for (var l = 0u; l < LANES; l++) { sum += partial[row.local * LANES + l]; }
  return sum;
}

// The clamp keeps exp finite; beyond it the sigmoid is 0 or 1 in f32.
fn sigmoid(v: f32) -> f32 { return 1.0 / (1.0 + exp(-clamp(v, -80.0, 80.0))); }

fn gainOf(m: u32) -> f32 { return alpha[min(m / S, 2u)]; }

@compute @workgroup_size(THREADS)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups, thread);
  var streams: array<X, CHUNKS * S>;
  for (var k = 0u; k < CHUNKS; k++) {
    let c = row.lane + k * LANES;
    if (row.live && c < C4) {
      for (var j = 0u; j < S; j++) { streams[k * S + j] = x[(row.t * S + j) * C4 + c]; }
    }
  }
  var own = 0.0;
  for (var i = 0u; i < CHUNKS * S; i++) { own += dot(vec4f(streams[i]), vec4f(streams[i])); }
  let r = inverseSqrt(lanesSum(row, own) / f32(S * C) + EPS);
  if (row.live) {
    for (var m = row.lane; m < M; m += LANES) {
      let value = gainOf(m) * r * u[row.t * M + m] + bias[m];
      if (m < S) {
        let gate = sigmoid(value);
        reads[row.local * S + m] = gate;
        gates[row.t * WIDE + m] = gate;
      } else if (m < 2u * S) {
        weights[(row.t * S + m - S) * WIDE + S] = 2.0 * sigmoid(value);
      } else {
        logits[row.local * K + m - 2u * S] = value;
      }
    }
    if (row.lane == 0u) { gates[row.t * WIDE + S] = r; }
  }
  workgroupBarrier();
  var read: array<vec4f, CHUNKS>;
  own = 0.0;
  for (var k = 0u; k < CHUNKS; k++) {
    var h = vec4f();
    for (var j = 0u; j < S; j++) { h += reads[row.local * S + j] * vec4f(streams[k * S + j]); }
    read[k] = h;
    own += dot(h, h);
  }
  let scale = inverseSqrt(lanesSum(row, own) / f32(C) + EPS);
  for (var k = 0u; k < CHUNKS; k++) {
    let c = row.lane + k * LANES;
    if (row.live && c < C4) { normed[row.t * C4 + c] = H(scale * read[k]); }
  }
  mixRows(thread, groups);
  if (row.live) {
    for (var o = row.lane; o < S * S; o += LANES) {
      weights[(row.t * S + o / S) * WIDE + o % S] = mixes[row.local * S * S + o];
    }
  }
}

@group(0) @binding(4) var<storage, read> gatesIn: array<f32>;
@group(0) @binding(5) var<storage, read> dWeights: array<f32>;
@group(0) @binding(6) var<storage, read> dNormed: array<H>;
@group(0) @binding(7) var<storage, read_write> dU: array<f32>;
@group(0) @binding(8) var<storage, read_write> terms: array<f32>;
@group(0) @binding(9) var<storage, read_write> sums: array<f32>;

var<workgroup> dValues: array<f32, ROWS * M>;
// Σ dv·z per lane and gain.
var<workgroup> gainSums: array<vec3f, THREADS>;

@compute @workgroup_size(THREADS)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups, thread);
  let cells = row.local * S * S;
  var r = 0.0;
  // ⟨dNormed, x_j⟩ and ⟨h, x_j⟩; with them h·h, h·dNormed and so the norm's adjoint.
  var dots: array<f32, DOTS>;
  if (row.live) {
    var pre: array<f32, S>;
    for (var j = 0u; j < S; j++) { pre[j] = gatesIn[row.t * WIDE + j]; }
    r = gatesIn[row.t * WIDE + S];
    for (var k = 0u; k < CHUNKS; k++) {
      let c = row.lane + k * LANES;
      if (c < C4) {
        let d = vec4f(dNormed[row.t * C4 + c]);
        var streams: array<vec4f, S>;
        var h = vec4f();
        for (var j = 0u; j < S; j++) {
          streams[j] = vec4f(x[(row.t * S + j) * C4 + c]);
          h += pre[j] * streams[j];
        }
        for (var j = 0u; j < S; j++) {
          dots[j] += dot(d, streams[j]);
          dots[S + j] += dot(h, streams[j]);
        }
      }
    }
    for (var o = row.lane; o < S * S; o += LANES) {
      dMixes[cells + o] = dWeights[(row.t * S + o / S) * WIDE + o % S];
    }
    for (var k = row.lane; k < K; k += LANES) {
      logits[row.local * K + k] = alpha[2] * r * u[row.t * M + 2u * S + k] + bias[2u * S + k];
    }
  }
  for (var o = 0u; o < DOTS; o++) { partial[thread * STRIDE + o] = dots[o]; }
  workgroupBarrier();
  for (var o = thread; o < ROWS * DOTS; o += THREADS) {
    var sum = 0.0;
    for (var l = 0u; l < LANES; l++) { sum += partial[(o / DOTS * LANES + l) * STRIDE + o % DOTS]; }
    reads[o] = sum;
  }
  mixRows(thread, groups);
  mixRowsBackward(thread, groups);

  var squares = 0.0;
  var inner = 0.0;
  for (var j = 0u; j < S; j++) {
    let gate = select(0.0, gatesIn[min(row.t, T - 1u) * WIDE + j], row.live);
    inner += gate * reads[row.local * DOTS + j];
    squares += gate * reads[row.local * DOTS + S + j];
  }
  let scale = inverseSqrt(squares / f32(C) + EPS);
  let slope = scale * scale * scale * inner / f32(C);
  var own = vec3f();
  if (row.live) {
    for (var m = row.lane; m < M; m += LANES) {
      let gain = gainOf(m);
      let z = r * u[row.t * M + m];
      var dV: f32;
      if (m < S) {
        let gate = gatesIn[row.t * WIDE + m];
        let at = row.local * DOTS + m;
        dV = (scale * reads[at] - slope * reads[at + S]) * gate * (1.0 - gate);
      } else if (m < 2u * S) {
        let gate = sigmoid(gain * z + bias[m]);
        dV = 2.0 * dWeights[(row.t * S + m - S) * WIDE + S] * gate * (1.0 - gate);
      } else {
        dV = dLogits[row.local * K + m - 2u * S];
      }
      dU[row.t * M + m] = r * gain * dV;
      dValues[row.local * M + m] = dV;
      own += dV * z * vec3f(vec3u(min(m / S, 2u)) == vec3u(0u, 1u, 2u));
    }
  }
  gainSums[thread] = own;
  workgroupBarrier();
  let tile = group.y * groups.x + group.x;
  if (row.live) {
    var total = vec3f();
    for (var l = 0u; l < LANES; l++) { total += gainSums[row.local * LANES + l]; }
    let through = alpha[0] * total.x + alpha[1] * total.y + alpha[2] * total.z; // dr·r.
    for (var o = row.lane; o < TERMS; o += LANES) {
      var term = 0.0;
      if (o < S * S) {
        term = mixes[cells + o];
      } else if (o < S * S + S) {
        term = gatesIn[row.t * WIDE + o - S * S];
      } else if (o < S * S + S + 3u) {
        term = vec3f(scale, -slope, -r * r * through / f32(S * C))[o - S * S - S];
      }
      terms[row.t * TERMS + o] = term;
    }
  }
  if (tile * ROWS < T) {
    for (var m = thread; m < M; m += THREADS) {
      var sum = 0.0;
      for (var i = 0u; i < ROWS; i++) { sum += dValues[i * M + m]; }
      sums[tile * (M + 3u) + m] = sum;
    }
    if (thread < 3u) {
      var sum = 0.0;
      for (var i = 0u; i < THREADS; i++) { sum += gainSums[i][thread]; }
      sums[tile * (M + 3u) + M + thread] = sum;
    }
  }
}

@group(0) @binding(0) var<storage, read> groupSums: array<f32>;
@group(0) @binding(1) var<storage, read_write> dBias: array<f32>;
@group(0) @binding(2) var<storage, read_write> dAlpha: array<f32>;

var<workgroup> lanes: array<f32, 256>;

@compute @workgroup_size(256)
fn gains(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  const GROUPS = (T + ROWS - 1u) / ROWS;
  var sum = 0.0;
  for (var i = thread; i < GROUPS; i += 256u) { sum += groupSums[i * (M + 3u) + group.x]; }
  lanes[thread] = sum;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half >>= 1u) {
    if (thread < half) { lanes[thread] += lanes[thread + half]; }
    workgroupBarrier();
  }
  if (thread != 0u) { return; }
  if (group.x < M) { dBias[group.x] = lanes[0]; } else { dAlpha[group.x - M] = lanes[0]; }
}
