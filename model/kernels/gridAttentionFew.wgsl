// Grid attention for new rows against a cache, pair by pair: what decoding runs. A pair's weight is the grid's kernel
// whichever chunks its rows lie in, so chunks play no part here. Workgroup (query row, 16 of the D dimensions,
// batch × head), 256 threads: pieces of 1,024 keys, weights into workgroup memory with every key one thread's, then
// weights·v with thread (4 dimensions, every 64th key). The own key's weight is at least e^(−1/T − salience's cap):
// sums need no largest score taken off. Keys are counted from the window's first: a row's bits depend on its own keys
// only. Before this text stand the aliases V and Out of four values each and gridAttentionHat.wgsl; 9 KiB of
// workgroup memory. Barriers stand in loops whose bounds come from read-only storage, hence uniform.
override capacity: u32;

const PIECE = 1024u;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> temperature: array<f32>;
@group(0) @binding(4) var<storage, read> slope: array<f32>;
@group(0) @binding(5) var<storage, read> v: array<V>;
@group(0) @binding(6) var<storage, read> span: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<Out>;

var<workgroup> weights: array<f32, 1024>;
var<workgroup> parts: array<vec4f, 256>;
var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn forwardFew(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = group.x;
  let h = group.z % nHeads;
  let batch = group.z / nHeads;
  let rowAt = (batch * rows + row) * nHeads + h;
  let position = span[0] + row;
  let count = min(capacity, position + 1u);
  let keyBase = batch * capacity;
  let gamma = slope[h];
  let T = temperature[h];
  let d = spacing(T);
  let q = exp(-d);
  let x = a[rowAt];
  let hat = hatOf(x, d);

  let quads = headDim / 4u;
  let column = group.y * 4u + t % 4u;
  var sum = 0.0;
  var acc = vec4f(0.0);
  for (var piece = 0u; piece < count; piece += PIECE) {
    let end = min(count, piece + PIECE);
    for (var j = piece + t; j < end; j += 256u) {
      let keyAt = (keyBase + j) * nHeads + h;
      let y = b[keyAt];
      let rise = c[keyAt] - gamma * f32(position - j);
      var weight: f32;
      if (cellOf(y) == hat.cell) {
        let key = hatOf(y, d);
        weight = exp(rise) * dot(hat.w, key.w + q * key.w.yx);
      } else {
        weight = exp(rise - abs(x - y) / T);
      }
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

  sums[t] = sum;
  parts[t] = acc;
  for (var step = 128u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (t < step) { sums[t] += sums[t + step]; }
    // Thread t's dimensions are those of t mod 4.
    if (t < step && step >= 4u) { parts[t] += parts[t + step]; }
  }
  workgroupBarrier();
  if (t < 4u && column < quads) { out[rowAt * quads + column] = Out(parts[t] / sums[0]); }
}
