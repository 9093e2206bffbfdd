// Tau attention, forward, for few queries against a long cache: what decoding runs, where latency is all.
// Bindings as in tauAttention.wgsl (aliases V, Out before this text); lse is written too. Workgroup (query row, 16
// of the D dimensions, batch × head), 256 threads: every key is one thread's, so one row fills the device's lanes.
// The largest score first; then pieces of 1,024 keys: weights into workgroup memory, and P·v with thread
// (4 dimensions, every 64th key). Keys are counted from the row's first one: its bits depend on its own keys only.
// 9 KiB of workgroup memory. Barriers stand in loops whose bounds come from read-only storage, hence uniform.
override rows: u32;
override capacity: u32;
override nHeads: u32;
override bands: u32;
override headDim: u32;
override window: u32;

const PIECE = 1024u;
const LOWEST = -3.0e38;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> slope: array<f32>;
@group(0) @binding(4) var<storage, read> span: array<u32>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<storage, read> v: array<V>;
@group(0) @binding(7) var<storage, read_write> out: array<Out>;

var<workgroup> weights: array<f32, 1024>;
var<workgroup> parts: array<vec4f, 256>;
var<workgroup> scalars: array<f32, 256>;

struct Scalars { low: vec4f, high: vec4f }

fn queryScalars(at: u32) -> Scalars {
  var r: Scalars;
  r.low.x = a[at];
  if (bands > 1u) { r.low.y = a[at + 1u]; }
  if (bands > 2u) { r.low.z = a[at + 2u]; }
  if (bands > 3u) { r.low.w = a[at + 3u]; }
  if (bands > 4u) { r.high.x = a[at + 4u]; }
  if (bands > 5u) { r.high.y = a[at + 5u]; }
  if (bands > 6u) { r.high.z = a[at + 6u]; }
  if (bands > 7u) { r.high.w = a[at + 7u]; }
  return r;
}

// Score of key `keyAt` = (key, head); `distance` in positions.
fn scoreOf(q: Scalars, keyAt: u32, gamma: f32, distance: u32) -> f32 {
  let at = keyAt * bands;
  var score = c[keyAt] - gamma * f32(distance) - abs(q.low.x - b[at]);
  if (bands > 1u) { score -= abs(q.low.y - b[at + 1u]); }
  if (bands > 2u) { score -= abs(q.low.z - b[at + 2u]); }
  if (bands > 3u) { score -= abs(q.low.w - b[at + 3u]); }
  if (bands > 4u) { score -= abs(q.high.x - b[at + 4u]); }
  if (bands > 5u) { score -= abs(q.high.y - b[at + 5u]); }
  if (bands > 6u) { score -= abs(q.high.z - b[at + 6u]); }
  if (bands > 7u) { score -= abs(q.high.w - b[at + 7u]); }
  return score;
}

@compute @workgroup_size(256)
fn forwardFew(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = group.x;
  let h = group.z % nHeads;
  let batch = group.z / nHeads;
  let rowAt = (batch * rows + row) * nHeads + h;
  let position = span[0] + row;
  var first = 0u;
  if (window != 0u && position + 1u > window) { first = position + 1u - window; }
  let count = min(capacity, position + 1u) - first;
  let keyBase = batch * capacity + first;
  let gamma = slope[h];
  let q = queryScalars(rowAt * bands);

  var top = LOWEST;
  for (var j = t; j < count; j += 256u) {
    top = max(top, scoreOf(q, (keyBase + j) * nHeads + h, gamma, position - first - j));
  }
  scalars[t] = top;
  for (var step = 128u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (t < step) { scalars[t] = max(scalars[t], scalars[t + step]); }
  }
  workgroupBarrier();
  top = scalars[0];

  let quads = headDim / 4u;
  let column = group.y * 4u + t % 4u;
  var sum = 0.0;
  var acc = vec4f(0.0);
  for (var piece = 0u; piece < count; piece += PIECE) {
    let end = min(count, piece + PIECE);
    for (var j = piece + t; j < end; j += 256u) {
      let weight = exp(scoreOf(q, (keyBase + j) * nHeads + h, gamma, position - first - j) - top);
      weights[j - piece] = weight;
      sum += weight;
    }
    workgroupBarrier();
    if (column < quads) {
      for (var j = piece + t / 4u; j < end; j += 64u) {
        acc += weights[j - piece] * vec4f(v[((keyBase + j) * nHeads + h) * quads + column]);
      }
    }
    workgroupBarrier();
  }

  scalars[t] = sum;
  parts[t] = acc;
  for (var step = 128u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (t < step) { scalars[t] += scalars[t + step]; }
    // Thread t's dimensions are those of t mod 4.
    if (t < step && step >= 4u) { parts[t] += parts[t + step]; }
  }
  workgroupBarrier();
  let total = scalars[0];
  if (t < 4u && column < quads) { out[rowAt * quads + column] = Out(parts[t] / total); }
  if (t == 0u && group.y == 0u) { lse[rowAt] = top + log(total); }
}
