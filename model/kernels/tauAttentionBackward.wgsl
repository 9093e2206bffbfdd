// Tau attention, backward (training layout: capacity = rows, span = 0). Every pass recomputes P from lse.
// a, b [batch, rows, H, m], v, dOut, dV [batch, rows, H, D] as four values or halves (aliases V, DOut, DV before this
// text), stats [batch, rows, H, 4] = (lse, dOut·out, c, slope). dS = P (dOut·v − dOut·out).
// keysBackward: workgroup per 64 keys, loops over the query tiles that see them; writes dV, dB, dC.
// queriesBackward: workgroup per 64 queries, loops over key tiles; writes dA and slopePartial = Σ_j dS (i − j).
// 256 threads; thread (quadA = lane / 16, quadB = lane % 16) owns 4 queries × 4 keys of a 64 × 64 tile pair; dOut·v
// goes through 32-dimension slices staged transposed. 16 KiB of workgroup memory. All sums run in a fixed order.
override rows: u32;
override capacity: u32;
override nHeads: u32;
override bands: u32;
override headDim: u32;
override window: u32;

const TILE = 64u;

// Zero, unknown to the compiler: in a loop's bound it stops software rasterizers from unrolling the loop in full,
// which costs them minutes. The loops are unrolled by four in the source instead.
fn opaqueZero() -> u32 { return arrayLength(&stats) >> 31u; }

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> stats: array<vec4f>;
@group(0) @binding(3) var<storage, read> v: array<V>;
@group(0) @binding(4) var<storage, read> dOut: array<DOut>;

// 512 vec4 each: [dimension of the slice][query / 4] and [dimension][key / 4], or other tiles between barriers.
var<workgroup> tileA: array<vec4f, 512>;
var<workgroup> tileB: array<vec4f, 512>;

// Band k of 4 queries or 4 keys.
struct Quad {
  b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f,
  b4: vec4f, b5: vec4f, b6: vec4f, b7: vec4f,
}

// Index of (row, head) for the 4 rows of a quad, kept inside the tensor.
fn rowIndex(batchIdx: u32, row: u32, h: u32) -> vec4u {
  let r = min(vec4u(row, row + 1u, row + 2u, row + 3u), vec4u(rows - 1u));
  return (vec4u(batchIdx * rows) + r) * nHeads + h;
}

fn queryBand(at: vec4u, k: u32) -> vec4f {
  let i = at * bands + k;
  return vec4f(a[i.x], a[i.y], a[i.z], a[i.w]);
}
fn keyBand(at: vec4u, k: u32) -> vec4f {
  let i = at * bands + k;
  return vec4f(b[i.x], b[i.y], b[i.z], b[i.w]);
}

fn loadQueries(at: vec4u) -> Quad {
  var q: Quad;
  q.b0 = queryBand(at, 0u);
  if (bands > 1u) { q.b1 = queryBand(at, 1u); }
  if (bands > 2u) { q.b2 = queryBand(at, 2u); }
  if (bands > 3u) { q.b3 = queryBand(at, 3u); }
  if (bands > 4u) { q.b4 = queryBand(at, 4u); }
  if (bands > 5u) { q.b5 = queryBand(at, 5u); }
  if (bands > 6u) { q.b6 = queryBand(at, 6u); }
  if (bands > 7u) { q.b7 = queryBand(at, 7u); }
  return q;
}

fn loadKeys(at: vec4u) -> Quad {
  var q: Quad;
  q.b0 = keyBand(at, 0u);
  if (bands > 1u) { q.b1 = keyBand(at, 1u); }
  if (bands > 2u) { q.b2 = keyBand(at, 2u); }
  if (bands > 3u) { q.b3 = keyBand(at, 3u); }
  if (bands > 4u) { q.b4 = keyBand(at, 4u); }
  if (bands > 5u) { q.b5 = keyBand(at, 5u); }
  if (bands > 6u) { q.b6 = keyBand(at, 6u); }
  if (bands > 7u) { q.b7 = keyBand(at, 7u); }
  return q;
}

// 4 queries × 4 keys; columns are keys, so m[key] is a vec4 over queries.
fn outerDistance(q: vec4f, k: vec4f) -> mat4x4f {
  return mat4x4f(abs(q - k.x), abs(q - k.y), abs(q - k.z), abs(q - k.w));
}

fn weights(q: Quad, k: Quad, salience: vec4f, gamma: f32, lse: vec4f, query: u32, key: u32) -> mat4x4f {
  var d = outerDistance(q.b0, k.b0);
  if (bands > 1u) { d += outerDistance(q.b1, k.b1); }
  if (bands > 2u) { d += outerDistance(q.b2, k.b2); }
  if (bands > 3u) { d += outerDistance(q.b3, k.b3); }
  if (bands > 4u) { d += outerDistance(q.b4, k.b4); }
  if (bands > 5u) { d += outerDistance(q.b5, k.b5); }
  if (bands > 6u) { d += outerDistance(q.b6, k.b6); }
  if (bands > 7u) { d += outerDistance(q.b7, k.b7); }
  let i = vec4u(query, query + 1u, query + 2u, query + 3u);
  var p: mat4x4f;
  for (var n = 0u; n < 4u; n++) {
    let j = key + n;
    var allowed = (vec4u(j) <= i) & (i < vec4u(rows));
    if (window != 0u) { allowed = allowed & (i < vec4u(j + window)); }
    let score = vec4f(salience[n]) - d[n] - gamma * (vec4f(i) - f32(j)) - lse;
    p[n] = select(vec4f(0.0), exp(score), allowed);
  }
  return p;
}

// dOut·v of the thread's block. Ends behind a barrier: the tiles are free again.
fn dotTile(firstQuery: u32, firstKey: u32, batchIdx: u32, h: u32, lane: u32) -> mat4x4f {
  let quads = headDim / 4u;
  let piece = lane % 128u;
  let chunk = (piece & 1u) + 2u * (piece >> 5u);
  let quad = (piece >> 1u) & 15u;
  let isKey = lane < 128u;
  let at = rowIndex(batchIdx, select(firstQuery, firstKey, isKey) + 4u * quad, h);
  var dP: mat4x4f;
  let zero = opaqueZero();
  for (var slice = 0u; slice < headDim + zero; slice += 32u) {
    let column = slice / 4u + chunk;
    // Written out: a variable without an initializer keeps its value from the last turn of a loop (seen in Tint).
    var m = mat4x4f();
    if (column < quads) {
      if (isKey) {
        m = mat4x4f(vec4f(v[at.x * quads + column]), vec4f(v[at.y * quads + column]),
                    vec4f(v[at.z * quads + column]), vec4f(v[at.w * quads + column]));
      } else {
        m = mat4x4f(vec4f(dOut[at.x * quads + column]), vec4f(dOut[at.y * quads + column]),
                    vec4f(dOut[at.z * quads + column]), vec4f(dOut[at.w * quads + column]));
      }
    }
    m = transpose(m);
    let target0 = chunk * 64u + quad;
    if (isKey) {
      tileB[target0] = m[0]; tileB[target0 + 16u] = m[1];
      tileB[target0 + 32u] = m[2]; tileB[target0 + 48u] = m[3];
    } else {
      tileA[target0] = m[0]; tileA[target0 + 16u] = m[1];
      tileA[target0 + 32u] = m[2]; tileA[target0 + 48u] = m[3];
    }
    workgroupBarrier();
    for (var d4 = 0u; d4 < 32u + zero; d4 += 4u) {
      for (var d = d4; d < d4 + 4u; d++) {
        let o = tileA[d * 16u + lane / 16u];
        let value = tileB[d * 16u + lane % 16u];
        dP[0] += o * value.x;
        dP[1] += o * value.y;
        dP[2] += o * value.z;
        dP[3] += o * value.w;
      }
    }
    workgroupBarrier();
  }
  return dP;
}

// Columns k of the result: Σ over the queries of dS sign(a − b), for 4 keys.
fn keySigns(dS: mat4x4f, q: vec4f, k: vec4f) -> vec4f {
  return vec4f(dot(dS[0], sign(q - k.x)), dot(dS[1], sign(q - k.y)),
               dot(dS[2], sign(q - k.z)), dot(dS[3], sign(q - k.w)));
}
fn querySigns(dS: mat4x4f, q: vec4f, k: vec4f) -> vec4f {
  return dS[0] * sign(q - k.x) + dS[1] * sign(q - k.y) + dS[2] * sign(q - k.z) + dS[3] * sign(q - k.w);
}

// What a thread holds for its 4 queries or keys: 8 bands, then one more sum. Quantity n + t / 16 of quad t % 16
// comes back to thread t < 64, summed over 16 threads in a fixed order. Call it for n = 0, 4 and 8 in a loop.
fn sum16(parts: ptr<function, array<vec4f, 12>>, n: u32, slot: u32, lane: u32) -> vec4f {
  workgroupBarrier();
  tileA[slot] = (*parts)[n];
  tileA[256u + slot] = (*parts)[n + 1u];
  tileB[slot] = (*parts)[n + 2u];
  tileB[256u + slot] = (*parts)[n + 3u];
  workgroupBarrier();
  var sum = vec4f(0.0);
  if (lane < 64u) {
    let at = ((lane / 16u) & 1u) * 256u + lane % 16u;
    for (var t = 0u; t < 16u + opaqueZero(); t++) {
      if (lane < 32u) { sum += tileA[at + 16u * t]; } else { sum += tileB[at + 16u * t]; }
    }
  }
  return sum;
}

fn partsOf(s: Quad, last: vec4f) -> array<vec4f, 12> {
  let none = vec4f(0.0);
  return array<vec4f, 12>(s.b0, s.b1, s.b2, s.b3, s.b4, s.b5, s.b6, s.b7, last, none, none, none);
}

@group(0) @binding(5) var<storage, read_write> dV: array<DV>;
@group(0) @binding(6) var<storage, read_write> dB: array<f32>;
@group(0) @binding(7) var<storage, read_write> dC: array<f32>;
// Only the kernels on matrix units leave partial sums here; both entry points bind it.
@group(0) @binding(8) var<storage, read_write> keyParts: array<f32>;

@compute @workgroup_size(256)
fn keysBackward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  _ = &keyParts;
  let h = group.y;
  let quads = headDim / 4u;
  let gamma = stats[h].w;
  let firstKey = group.x * TILE;
  let key = firstKey + 4u * (lane % 16u);
  let keyAt = rowIndex(group.z, key, h);
  let k = loadKeys(keyAt);
  let salience = vec4f(stats[keyAt.x].z, stats[keyAt.y].z, stats[keyAt.z].z, stats[keyAt.w].z);
  var sums: Quad;
  var salienceSum = vec4f(0.0);
  // dV: keys 4·(lane / 16) …, dimensions 4·(lane % 16) ….
  var acc: mat4x4f;
  let zero = opaqueZero();
  var end = rows;
  if (window != 0u) { end = min(rows, firstKey + TILE - 1u + window); }
  for (var firstQuery = firstKey; firstQuery < end; firstQuery += TILE) {
    let query = firstQuery + 4u * (lane / 16u);
    let at = rowIndex(group.z, query, h);
    let q = loadQueries(at);
    let s = mat4x4f(stats[at.x], stats[at.y], stats[at.z], stats[at.w]);
    let t = transpose(s);
    let p = weights(q, k, salience, gamma, t[0], query, key);
    var dS = dotTile(firstQuery, firstKey, group.z, h, lane);
    for (var n = 0u; n < 4u; n++) {
      dS[n] = p[n] * (dS[n] - t[1]);
    }
    salienceSum += vec4f(dot(dS[0], vec4f(1.0)), dot(dS[1], vec4f(1.0)), dot(dS[2], vec4f(1.0)), dot(dS[3], vec4f(1.0)));
    sums.b0 += keySigns(dS, q.b0, k.b0);
    if (bands > 1u) { sums.b1 += keySigns(dS, q.b1, k.b1); }
    if (bands > 2u) { sums.b2 += keySigns(dS, q.b2, k.b2); }
    if (bands > 3u) { sums.b3 += keySigns(dS, q.b3, k.b3); }
    if (bands > 4u) { sums.b4 += keySigns(dS, q.b4, k.b4); }
    if (bands > 5u) { sums.b5 += keySigns(dS, q.b5, k.b5); }
    if (bands > 6u) { sums.b6 += keySigns(dS, q.b6, k.b6); }
    if (bands > 7u) { sums.b7 += keySigns(dS, q.b7, k.b7); }
    // dV += Pᵀ dOut in two halves of 32 queries: tileA = P [query][key / 4], tileB = dOut [query][dimension / 4].
    let byQuery = transpose(p);
    for (var half = 0u; half < 2u + zero; half++) {
      if (lane / 128u == half) {
        let slot = 64u * (lane / 16u % 8u) + lane % 16u;
        tileA[slot] = byQuery[0];
        tileA[slot + 16u] = byQuery[1];
        tileA[slot + 32u] = byQuery[2];
        tileA[slot + 48u] = byQuery[3];
      }
      for (var n = 0u; n < 2u; n++) {
        let local = lane / 16u + 16u * n;
        let row = firstQuery + 32u * half + local;
        var o = vec4f(0.0);
        if (row < rows && lane % 16u < quads) {
          o = vec4f(dOut[((group.z * rows + row) * nHeads + h) * quads + lane % 16u]);
        }
        tileB[local * 16u + lane % 16u] = o;
      }
      workgroupBarrier();
      for (var i4 = 0u; i4 < 32u + zero; i4 += 4u) {
        for (var i = i4; i < i4 + 4u; i++) {
          let w = tileA[i * 16u + lane / 16u];
          let o = tileB[i * 16u + lane % 16u];
          acc[0] += w.x * o;
          acc[1] += w.y * o;
          acc[2] += w.z * o;
          acc[3] += w.w * o;
        }
      }
      workgroupBarrier();
    }
  }
  var parts = partsOf(sums, salienceSum);
  for (var n = 0u; n < 12u + zero; n += 4u) {
    if (n == 4u && bands <= 4u) { continue; }
    let total = sum16(&parts, n, lane, lane);
    let band = n + lane / 16u;
    for (var r = 0u; r < 4u; r++) {
      let row = key + r;
      if (lane >= 64u || row >= rows) { continue; }
      let at = (group.z * rows + row) * nHeads + h;
      if (band < bands) { dB[at * bands + band] = total[r]; }
      if (band == 8u) { dC[at] = total[r]; }
    }
  }
  let row = firstKey + 4u * (lane / 16u);
  for (var n = 0u; n < 4u; n++) {
    if (row + n < rows && lane % 16u < quads) {
      dV[((group.z * rows + row + n) * nHeads + h) * quads + lane % 16u] = DV(acc[n]);
    }
  }
}

@group(0) @binding(5) var<storage, read> queryParts: array<f32>;
@group(0) @binding(6) var<storage, read_write> dA: array<f32>;
@group(0) @binding(7) var<storage, read_write> slopePartial: array<f32>;
@group(0) @binding(8) var<storage, read_write> dSlope: array<f32>;

@compute @workgroup_size(256)
fn queriesBackward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  _ = &queryParts;
  _ = &dSlope;
  let h = group.y;
  let gamma = stats[h].w;
  let firstQuery = group.x * TILE;
  let query = firstQuery + 4u * (lane / 16u);
  let at = rowIndex(group.z, query, h);
  let q = loadQueries(at);
  let s = mat4x4f(stats[at.x], stats[at.y], stats[at.z], stats[at.w]);
  let t = transpose(s);
  let position = vec4f(vec4u(query, query + 1u, query + 2u, query + 3u));
  var sums: Quad;
  var distanceSum = vec4f(0.0);
  var start = 0u;
  if (window != 0u && firstQuery + 1u > window) { start = (firstQuery + 1u - window) / TILE * TILE; }
  for (var firstKey = start; firstKey <= firstQuery; firstKey += TILE) {
    let key = firstKey + 4u * (lane % 16u);
    let keyAt = rowIndex(group.z, key, h);
    let k = loadKeys(keyAt);
    let salience = vec4f(stats[keyAt.x].z, stats[keyAt.y].z, stats[keyAt.z].z, stats[keyAt.w].z);
    let p = weights(q, k, salience, gamma, t[0], query, key);
    var dS = dotTile(firstQuery, firstKey, group.z, h, lane);
    for (var n = 0u; n < 4u; n++) {
      dS[n] = p[n] * (dS[n] - t[1]);
      distanceSum += dS[n] * (position - f32(key + n));
    }
    sums.b0 += querySigns(dS, q.b0, k.b0);
    if (bands > 1u) { sums.b1 += querySigns(dS, q.b1, k.b1); }
    if (bands > 2u) { sums.b2 += querySigns(dS, q.b2, k.b2); }
    if (bands > 3u) { sums.b3 += querySigns(dS, q.b3, k.b3); }
    if (bands > 4u) { sums.b4 += querySigns(dS, q.b4, k.b4); }
    if (bands > 5u) { sums.b5 += querySigns(dS, q.b5, k.b5); }
    if (bands > 6u) { sums.b6 += querySigns(dS, q.b6, k.b6); }
    if (bands > 7u) { sums.b7 += querySigns(dS, q.b7, k.b7); }
  }
  // The 16 threads of a quad of queries are neighbours: transpose their slots for sum16.
  let slot = lane % 16u * 16u + lane / 16u;
  var parts = partsOf(sums, distanceSum);
  for (var n = 0u; n < 12u + opaqueZero(); n += 4u) {
    if (n == 4u && bands <= 4u) { continue; }
    let total = sum16(&parts, n, slot, lane);
    let band = n + lane / 16u;
    for (var r = 0u; r < 4u; r++) {
      let row = firstQuery + 4u * (lane % 16u) + r;
      if (lane >= 64u || row >= rows) { continue; }
      let at = (group.z * rows + row) * nHeads + h;
      if (band < bands) { dA[at * bands + band] = -total[r]; }
      if (band == 8u) { slopePartial[at] = total[r]; }
    }
  }
}
