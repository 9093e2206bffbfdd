// Tau attention, forward, for few queries against a long cache, on attentionFew.wgsl: the largest score first, then the
// sums. Bindings as in tauAttention.wgsl; lse is written too.
override rows: u32;
override nHeads: u32;
override bands: u32;
override headDim: u32;
override window: u32;

const LOWEST = -3.0e38;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> slope: array<f32>;
@group(0) @binding(4) var<storage, read> span: array<u32>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<storage, read> v: array<V>;
@group(0) @binding(7) var<storage, read_write> out: array<Out>;

struct Query {
  low: vec4f,
  high: vec4f,
  slope: f32,
  // The largest score.
  top: f32,
}

fn queryScalars(at: u32) -> Query {
  var q: Query;
  q.low.x = a[at];
  if (bands > 1u) { q.low.y = a[at + 1u]; }
  if (bands > 2u) { q.low.z = a[at + 2u]; }
  if (bands > 3u) { q.low.w = a[at + 3u]; }
  if (bands > 4u) { q.high.x = a[at + 4u]; }
  if (bands > 5u) { q.high.y = a[at + 5u]; }
  if (bands > 6u) { q.high.z = a[at + 6u]; }
  if (bands > 7u) { q.high.w = a[at + 7u]; }
  return q;
}

// Score of key `keyAt` = (key, head); `distance` in positions.
fn scoreOf(q: Query, keyAt: u32, distance: u32) -> f32 {
  let at = keyAt * bands;
  var score = c[keyAt] - q.slope * f32(distance) - abs(q.low.x - b[at]);
  if (bands > 1u) { score -= abs(q.low.y - b[at + 1u]); }
  if (bands > 2u) { score -= abs(q.low.z - b[at + 2u]); }
  if (bands > 3u) { score -= abs(q.low.w - b[at + 3u]); }
  if (bands > 4u) { score -= abs(q.high.x - b[at + 4u]); }
  if (bands > 5u) { score -= abs(q.high.y - b[at + 5u]); }
  if (bands > 6u) { score -= abs(q.high.z - b[at + 6u]); }
  if (bands > 7u) { score -= abs(q.high.w - b[at + 7u]); }
  return score;
}

fn weightOf(q: Query, keyAt: u32, distance: u32) -> f32 {
  return exp(scoreOf(q, keyAt, distance) - q.top);
}

@compute @workgroup_size(256)
fn forwardFew(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = rowOf(group, window);
  var q = queryScalars(row.at * bands);
  q.slope = slope[row.head];

  var top = LOWEST;
  for (var j = t; j < row.keys; j += 256u) {
    top = max(top, scoreOf(q, keyOf(row, j), row.position - j));
  }
  scalars[t] = top;
  for (var step = 128u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (t < step) { scalars[t] = max(scalars[t], scalars[t + step]); }
  }
  workgroupBarrier();
  q.top = scalars[0];

  let quads = headDim / 4u;
  let column = group.y * 4u + t % 4u;
  sumOver(row, q, column, t);
  let total = scalars[0];
  if (t < 4u && column < quads) { out[row.at * quads + column] = Out(parts[t] / total); }
  if (t == 0u && group.y == 0u) { lse[row.at] = q.top + log(total); }
}
