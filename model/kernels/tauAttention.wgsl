// Tau attention, forward: score = −Σ_k |a − b| + c − slope·distance, softmax over the allowed keys, P·v.
// a [batch, rows, H, m], b [batch, capacity, H, m], c [batch, capacity, H], slope [H], span [1] (position of row 0),
// lse [batch, rows, H], v and out [batch, rows or capacity, H, D] as four values or halves (aliases V, Out before
// this text). Scores are never stored.
// Workgroup (64-query tile, head, batch), 256 threads. rowNormalizers: each query has 4 threads that take every
// fourth key. forward: tiles of 64 queries × 32 keys, 4 × 4 register blocks, 16 KiB of workgroup memory.
// Keys are visited in ascending absolute position, masked ones add exact zeros: a row's result depends on its
// own keys only. Barriers stand in loops whose bounds come from read-only storage, hence uniform.
override rows: u32;
override capacity: u32;
override nHeads: u32;
override bands: u32;
override headDim: u32;
override window: u32;

const QUERIES = 64u;
const KEYS = 32u;
const LOWEST = -3.0e38;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> slope: array<f32>;
@group(0) @binding(4) var<storage, read> span: array<u32>;
@group(0) @binding(5) var<storage, read_write> lseOut: array<f32>;

// Where the tile's keys begin and end (exclusive), and the mask of one pair.
fn firstKey(position: u32) -> u32 {
  if (window == 0u || position + 1u <= window) { return 0u; }
  return position + 1u - window;
}
fn endKey(position: u32) -> u32 { return min(capacity, position + 1u); }

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

fn keyScalars(at: u32) -> Scalars {
  var r: Scalars;
  r.low.x = b[at];
  if (bands > 1u) { r.low.y = b[at + 1u]; }
  if (bands > 2u) { r.low.z = b[at + 2u]; }
  if (bands > 3u) { r.low.w = b[at + 3u]; }
  if (bands > 4u) { r.high.x = b[at + 4u]; }
  if (bands > 5u) { r.high.y = b[at + 5u]; }
  if (bands > 6u) { r.high.z = b[at + 6u]; }
  if (bands > 7u) { r.high.w = b[at + 7u]; }
  return r;
}

fn distance1(q: Scalars, k: Scalars) -> f32 {
  var d = dot(abs(q.low - k.low), vec4f(1.0));
  if (bands > 4u) { d += dot(abs(q.high - k.high), vec4f(1.0)); }
  return d;
}

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn rowNormalizers(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let h = group.y;
  let query = lane % QUERIES;
  let row = min(group.x * QUERIES + query, rows - 1u);
  let position = span[0] + row;
  let rowAt = (group.z * rows + row) * nHeads + h;
  let q = queryScalars(rowAt * bands);
  let gamma = slope[h];
  let keyBase = group.z * capacity;
  let first = firstKey(position);
  let end = endKey(position);
  // This thread's keys are those with j mod 4 = lane / 64, whatever the window's start.
  let start = first + ((lane / QUERIES + 4u - first % 4u) % 4u);
  var top = LOWEST;
  for (var j = start; j < end; j += 4u) {
    let at = (keyBase + j) * nHeads + h;
    top = max(top, c[at] - distance1(q, keyScalars(at * bands)) - gamma * f32(position - j));
  }
  partial[lane] = top;
  workgroupBarrier();
  top = max(max(partial[query], partial[query + 64u]), max(partial[query + 128u], partial[query + 192u]));
  var sum = 0.0;
  for (var j = start; j < end; j += 4u) {
    let at = (keyBase + j) * nHeads + h;
    sum += exp(c[at] - distance1(q, keyScalars(at * bands)) - gamma * f32(position - j) - top);
  }
  workgroupBarrier();
  partial[lane] = sum;
  workgroupBarrier();
  if (lane < QUERIES && group.x * QUERIES + query < rows) {
    let total = (partial[query] + partial[query + 64u]) + (partial[query + 128u] + partial[query + 192u]);
    lseOut[rowAt] = top + log(total);
  }
}

@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(6) var<storage, read> v: array<V>;
@group(0) @binding(7) var<storage, read_write> out: array<Out>;

// [key][query / 4] and [key][dimension / 4].
var<workgroup> pTile: array<vec4f, 512>;
var<workgroup> vTile: array<vec4f, 512>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let h = group.y;
  let firstRow = group.x * QUERIES;
  let offset = span[0];
  let quads = headDim / 4u;
  let keyBase = group.z * capacity;
  let gamma = slope[h];

  // For the scores a thread owns 4 queries (scoreRow …) and the keys lane / 16 and lane / 16 + 16 of a tile.
  let scoreRow = firstRow + 4u * (lane % 16u);
  var q: array<Scalars, 4>;
  var normalizer: vec4f;
  for (var r = 0u; r < 4u; r++) {
    let rowAt = (group.z * rows + min(scoreRow + r, rows - 1u)) * nHeads + h;
    q[r] = queryScalars(rowAt * bands);
    normalizer[r] = lse[rowAt];
  }
  // For P·v it owns 4 queries (4·rowQuad …) and 4 dimensions (4·column …).
  let column = lane % 16u;
  let rowQuad = lane / 16u;
  var acc0 = vec4f(0.0);
  var acc1 = vec4f(0.0);
  var acc2 = vec4f(0.0);
  var acc3 = vec4f(0.0);
  // Zero, unknown to the compiler: software rasterizers would unroll the loop below in full and take long over it.
  let zero = arrayLength(&lse) >> 31u;

  let end = endKey(offset + min(firstRow + QUERIES, rows) - 1u);
  for (var tile = firstKey(offset + firstRow) / KEYS * KEYS; tile < end; tile += KEYS) {
    for (var half = 0u; half < 2u; half++) {
      let slot = lane / 16u + 16u * half;
      let j = tile + slot;
      var p = vec4f(0.0);
      var value = vec4f(0.0);
      if (j < end) {
        let at = (keyBase + j) * nHeads + h;
        let k = keyScalars(at * bands);
        for (var r = 0u; r < 4u; r++) {
          let position = offset + scoreRow + r;
          let score = c[at] - distance1(q[r], k) - gamma * (f32(position) - f32(j)) - normalizer[r];
          p[r] = select(0.0, exp(score), j <= position && j >= firstKey(position));
        }
        if (column < quads) { value = vec4f(v[at * quads + column]); }
      }
      pTile[slot * 16u + lane % 16u] = p;
      vTile[slot * 16u + column] = value;
    }
    workgroupBarrier();
    for (var k4 = 0u; k4 < KEYS + zero; k4 += 4u) {
      for (var k = k4; k < k4 + 4u; k++) {
        let p = pTile[k * 16u + rowQuad];
        let value = vTile[k * 16u + column];
        acc0 += p.x * value;
        acc1 += p.y * value;
        acc2 += p.z * value;
        acc3 += p.w * value;
      }
    }
    workgroupBarrier();
  }

  if (column >= quads) { return; }
  let row = firstRow + 4u * rowQuad;
  let at = ((group.z * rows + row) * nHeads + h) * quads + column;
  let step = nHeads * quads;
  if (row < rows) { out[at] = Out(acc0); }
  if (row + 1u < rows) { out[at + step] = Out(acc1); }
  if (row + 2u < rows) { out[at + 2u * step] = Out(acc2); }
  if (row + 3u < rows) { out[at + 3u * step] = Out(acc3); }
}
