// What happens at the head of a sublayer, in one pass over its streams x [T, S, C]; u [T, M] is x·phi, M = 2S + K
// columns in the order read gates, write gates, mixing logits.
// forward: r = 1/rms(x) over S·C, z = r·u, v = alpha[group]·z + bias; pre = sigmoid(v), post = 2·sigmoid(v),
// mix = mixRows(v); weights [T, S, S + 1] = mix and post, gates [T, S + 1] = pre and r, normed [T, C] = norm(Σ_j pre_j x_j).
// backward: x, dNormed, u, alpha, bias, gates, dWeights → dU [T, M], and terms [T, TERMS], with which streamGradient
// makes dX: mix, pre, and of the norms the scales of dNormed, of the branch input h and of x.
// sums [groups, M + 3] = Σ dv and, for each of alpha's gains, Σ dv·z of ROWS rows, which streamGradient adds up.
// ROWS rows per workgroup, LANES lanes for each, which keep it in registers: all of a row is asked for before anything
// is made of it. C % 4 == 0.
// Constants given, besides mixing's (S, K, ROWS): T, C, LANES, TERMS. Aliases given: X, H (normed and dNormed). Given
// for the device: sumLanes, sumDots and sumGains (streamLanes), which have the barriers that they need.
const C4 = C / 4u;
const M = 2u * S + K;
const WIDE = S + 1u;
const THREADS = ROWS * LANES;
// Quadruples of a stream, and columns of u, per lane.
const CHUNKS = (C4 + LANES - 1u) / LANES;
const COLUMNS = (M + LANES - 1u) / LANES;
const KEPT = CHUNKS * S;

const EPS = 1e-6;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read> alpha: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> normed: array<H>;

const DOTS = 2u * S;
var<workgroup> reads: array<f32, ROWS * DOTS>;

struct Place {
  local: u32, // The row in the workgroup.
  lane: u32,
  t: u32,
}

fn placeOf(group: vec3u, groups: vec3u, thread: u32) -> Place {
  let local = thread / LANES;
  return Place(local, thread % LANES, (group.y * groups.x + group.x) * ROWS + local);
}

// The clamp keeps exp finite; beyond it the sigmoid is 0 or 1 in f32.
fn sigmoid(v: f32) -> f32 { return 1.0 / (1.0 + exp(-clamp(v, -80.0, 80.0))); }

fn gainOf(m: u32) -> f32 { return alpha[min(m / S, 2u)]; }

// What column m of a row of logits is for.
fn take(local: u32, t: u32, m: u32, value: f32) {
  if (m < S) {
    let gate = sigmoid(value);
    reads[local * S + m] = gate;
    gates[t * WIDE + m] = gate;
  } else if (m < 2u * S) {
    weights[(t * S + m - S) * WIDE + S] = 2.0 * sigmoid(value);
  } else {
    logits[local * K + m - 2u * S] = value;
  }
}

@compute @workgroup_size(THREADS)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let place = placeOf(group, groups, thread);
  let lane = place.lane;
  var streams: array<X, KEPT>;
  var columns: array<f32, COLUMNS>;
  let t = place.t;
  let source = min(t, T - 1u);
  /* unroll */ for (var k = 0u; k < CHUNKS; k++) {
    let c = lane + k * LANES;
    if (c < C4) {
      /* unroll */ for (var j = 0u; j < S; j++) { streams[k * S + j] = x[(source * S + j) * C4 + c]; }
    }
  }
  /* unroll */ for (var k = 0u; k < COLUMNS; k++) {
    columns[k] = u[source * M + min(lane + k * LANES, M - 1u)];
  }
  var own = 0.0;
  /* unroll */ for (var k = 0u; k < KEPT; k++) {
    let v = vec4f(streams[k]);
    own += dot(v, v);
  }
  let r = inverseSqrt(sumLanes(thread, own) / f32(S * C) + EPS);
  /* unroll */ for (var k = 0u; k < COLUMNS; k++) {
    let m = lane + k * LANES;
    if (t < T && m < M) { take(place.local, t, m, gainOf(m) * r * columns[k] + bias[m]); }
  }
  if (t < T && lane == 0u) { gates[t * WIDE + S] = r; }
  workgroupBarrier();
  var read = array<vec4f, CHUNKS>();
  own = 0.0;
  /* unroll */ for (var k = 0u; k < CHUNKS; k++) {
    var h = vec4f();
    /* unroll */ for (var j = 0u; j < S; j++) {
      h += reads[place.local * S + j] * vec4f(streams[k * S + j]);
    }
    read[k] = h;
    own += dot(h, h);
  }
  let scale = inverseSqrt(sumLanes(thread, own) / f32(C) + EPS);
  /* unroll */ for (var k = 0u; k < CHUNKS; k++) {
    let c = lane + k * LANES;
    if (t < T && c < C4) { normed[t * C4 + c] = H(scale * read[k]); }
  }
  mixRows(thread, groups);
  if (t < T) {
    for (var o = lane; o < S * S; o += LANES) {
      weights[(t * S + o / S) * WIDE + o % S] = mixes[place.local * S * S + o];
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

// Of column m's value v; scale and slope are those of the norm of the row's branch input.
fn gradientOf(local: u32, t: u32, m: u32, value: f32, scale: f32, slope: f32) -> f32 {
  if (t >= T) { return 0.0; }
  if (m < S) {
    let gate = gatesIn[t * WIDE + m];
    let at = local * DOTS + m;
    return (scale * reads[at] - slope * reads[at + S]) * gate * (1.0 - gate);
  }
  if (m < 2u * S) {
    let gate = sigmoid(value);
    return 2.0 * dWeights[(t * S + m - S) * WIDE + S] * gate * (1.0 - gate);
  }
  return dLogits[local * K + m - 2u * S];
}

@compute @workgroup_size(THREADS)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let place = placeOf(group, groups, thread);
  let lane = place.lane;
  var columns: array<f32, COLUMNS>;
  var pre: array<f32, WIDE>;
  var streams: array<X, KEPT>;
  var given: array<H, CHUNKS>;
  let t = place.t;
  let local = place.local;
  // Rows behind the last read that one.
  let source = min(t, T - 1u);
  /* unroll */ for (var k = 0u; k < COLUMNS; k++) {
    columns[k] = u[source * M + min(lane + k * LANES, M - 1u)];
  }
  /* unroll */ for (var j = 0u; j < WIDE; j++) { pre[j] = gatesIn[source * WIDE + j]; }
  for (var o = lane; o < S * S; o += LANES) {
    dMixes[local * S * S + o] = dWeights[(source * S + o / S) * WIDE + o % S];
  }
  /* unroll */ for (var k = 0u; k < CHUNKS; k++) {
    let c = lane + k * LANES;
    if (c < C4) {
      given[k] = dNormed[source * C4 + c];
      /* unroll */ for (var j = 0u; j < S; j++) { streams[k * S + j] = x[(source * S + j) * C4 + c]; }
    }
  }
  /* unroll */ for (var k = 0u; k < COLUMNS; k++) {
    let m = lane + k * LANES;
    if (m >= 2u * S && m < M) {
      logits[local * K + m - 2u * S] = alpha[2] * pre[S] * columns[k] + bias[m];
    }
  }
  // ⟨dNormed, x_j⟩ and ⟨h, x_j⟩; with them h·h, h·dNormed and so the norm's adjoint.
  var dots: array<f32, DOTS>;
  /* unroll */ for (var k = 0u; k < CHUNKS; k++) {
    let d = vec4f(given[k]);
    var h = vec4f();
    /* unroll */ for (var j = 0u; j < S; j++) { h += pre[j] * vec4f(streams[k * S + j]); }
    /* unroll */ for (var j = 0u; j < S; j++) {
      let v = vec4f(streams[k * S + j]);
      dots[j] += dot(d, v);
      dots[S + j] += dot(h, v);
    }
  }
  sumDots(local, thread, dots);
  workgroupBarrier();
  mixRows(thread, groups);
  mixRowsBackward(thread, groups);

  var gains = vec3f();
  var squares = 0.0;
  var inner = 0.0;
  /* unroll */ for (var j = 0u; j < S; j++) {
    inner += pre[j] * reads[local * DOTS + j];
    squares += pre[j] * reads[local * DOTS + S + j];
  }
  let r = pre[S];
  let scale = inverseSqrt(squares / f32(C) + EPS);
  let slope = scale * scale * scale * inner / f32(C);
  /* unroll */ for (var k = 0u; k < COLUMNS; k++) {
    let m = lane + k * LANES;
    if (m < M) {
      let gain = gainOf(m);
      let z = r * columns[k];
      let dV = gradientOf(local, t, m, gain * z + bias[m], scale, slope);
      if (t < T) { dU[t * M + m] = r * gain * dV; }
      dValues[local * M + m] = dV;
      gains += dV * z * vec3f(vec3u(min(m / S, 2u)) == vec3u(0u, 1u, 2u));
    }
  }
  let through = sumGains(thread, gains); // dr·r.
  if (t < T) {
    for (var o = lane; o < TERMS; o += LANES) {
      var term = 0.0;
      if (o < S * S) {
        term = mixes[local * S * S + o];
      } else if (o < S * S + S) {
        term = gatesIn[t * WIDE + o - S * S];
      } else if (o < S * S + S + 3u) {
        term = vec3f(scale, -slope, -r * r * through / f32(S * C))[o - S * S - S];
      }
      terms[t * TERMS + o] = term;
    }
  }
  workgroupBarrier();
  let tile = group.y * groups.x + group.x;
  if (tile * ROWS < T) {
    for (var m = thread; m < M; m += THREADS) {
      var sum = 0.0;
      for (var i = 0u; i < ROWS; i++) { sum += dValues[i * M + m]; }
      sums[tile * (M + 3u) + m] = sum;
    }
    if (thread < 3u) {
      var sum = 0.0;
      for (var i = 0u; i < GAIN_PARTS; i++) { sum += gainParts[3u * i + thread]; }
      sums[tile * (M + 3u) + M + thread] = sum;
    }
  }
}
