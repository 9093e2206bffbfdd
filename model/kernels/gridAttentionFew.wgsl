// Grid attention for new rows against a cache, pair by pair, on attentionFew.wgsl. A pair's weight is the grid's kernel
// whichever chunks its rows lie in, so chunks play no part here. The own key's weight is at least
// e^(−1/T − salience's cap): sums need no largest score taken off. Before this text stands gridAttentionHat.wgsl too.
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> temperature: array<f32>;
@group(0) @binding(4) var<storage, read> slope: array<f32>;
@group(0) @binding(5) var<storage, read> v: array<V>;
@group(0) @binding(6) var<storage, read> span: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<Out>;

struct Query {
  x: f32,
  T: f32,
  slope: f32,
  // Distance of grid points in temperatures, and e to its negative.
  spacing: f32,
  decay: f32,
  hat: Hat,
}

fn weightOf(q: Query, keyAt: u32, distance: u32) -> f32 {
  let y = b[keyAt];
  let rise = c[keyAt] - q.slope * f32(distance);
  if (cellOf(y) == q.hat.cell) {
    let key = hatOf(y, q.spacing);
    return exp(rise) * dot(q.hat.w, key.w + q.decay * key.w.yx);
  }
  return exp(rise - abs(q.x - y) / q.T);
}

@compute @workgroup_size(256)
fn forwardFew(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = rowOf(group, 0u);
  var q: Query;
  q.x = a[row.at];
  q.T = temperature[row.head];
  q.slope = slope[row.head];
  q.spacing = spacing(q.T);
  q.decay = exp(-q.spacing);
  q.hat = hatOf(q.x, q.spacing);
  let quads = headDim / 4u;
  let column = group.y * 4u + t % 4u;
  sumOver(row, q, column, t);
  if (t < 4u && column < quads) { out[row.at * quads + column] = Out(parts[t] / scalars[0]); }
}
