// Dot-product attention with a distance slope, the control of equal size: score = scale·q·k − slope·distance.
// q, out, dQ, dOut [batch, rows, H, D], k, v, dK, dV [batch, capacity, H, D], all as vec4; slope [H], span [1],
// lse [batch, rows, H], stats [batch, rows, H, 2] = (lse, dOut·out), slopePartial [batch, rows, H].
// Workgroup (tile of 64 rows, head, batch), 256 threads; thread (lane / 16, lane % 16) owns 4 queries × 4 keys of a
// 64 × 64 tile pair, as mat4x4 with a column per key. Products over D go through 32-dimension slices staged
// transposed, sums over a tile's rows through halves of 32 rows. 16 KiB of workgroup memory. Fixed order throughout;
// masked pairs add exact zeros. Backward passes: capacity = rows, span = 0.
override rows: u32;
override capacity: u32;
override nHeads: u32;
override headDim: u32;
override window: u32;
override scale: f32;

const TILE = 64u;
const LOWEST = -3.0e38;

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<vec4f>;
@group(0) @binding(2) var<storage, read> slope: array<f32>;
@group(0) @binding(3) var<storage, read> span: array<u32>;
@group(0) @binding(4) var<storage, read_write> lseOut: array<f32>;
@group(0) @binding(5) var<storage, read> v: array<vec4f>;

var<workgroup> tileA: array<vec4f, 512>;
var<workgroup> tileB: array<vec4f, 512>;

// Zero, unknown to the compiler: software rasterizers would unroll these loops in full and take long over it.
fn opaqueZero() -> u32 { return arrayLength(&slope) >> 31u; }

// Indices of (row, head) of 4 rows, kept inside a tensor of `limit` rows per window.
fn quadIndex(batchIdx: u32, row: u32, limit: u32, h: u32) -> vec4u {
  let r = min(vec4u(row, row + 1u, row + 2u, row + 3u), vec4u(limit - 1u));
  return (vec4u(batchIdx * limit) + r) * nHeads + h;
}

struct Piece { isKey: bool, chunk: u32, quad: u32 }
// What a thread stages of each slice: 4 dimensions of 4 rows.
fn pieceOf(lane: u32) -> Piece {
  let n = lane % 128u;
  return Piece(lane < 128u, (n & 1u) + 2u * (n >> 5u), (n >> 1u) & 15u);
}

fn stage(m: mat4x4f, p: Piece) {
  let t = transpose(m);
  let at = p.chunk * 64u + p.quad;
  if (p.isKey) {
    tileB[at] = t[0]; tileB[at + 16u] = t[1]; tileB[at + 32u] = t[2]; tileB[at + 48u] = t[3];
  } else {
    tileA[at] = t[0]; tileA[at + 16u] = t[1]; tileA[at + 32u] = t[2]; tileA[at + 48u] = t[3];
  }
}

// acc + Σ over the 32 staged entries of tileA[…][quadA] ⊗ tileB[…][quadB]; column c belongs to component c of B.
fn outer(start: mat4x4f, quadA: u32, quadB: u32) -> mat4x4f {
  var acc = start;
  for (var e4 = 0u; e4 < 32u + opaqueZero(); e4 += 4u) {
    for (var e = e4; e < e4 + 4u; e++) {
      let x = tileA[e * 16u + quadA];
      let y = tileB[e * 16u + quadB];
      acc[0] += x * y.x;
      acc[1] += x * y.y;
      acc[2] += x * y.z;
      acc[3] += x * y.w;
    }
  }
  return acc;
}

fn queryKey(firstQuery: u32, firstKey: u32, batchIdx: u32, h: u32, lane: u32) -> mat4x4f {
  let quads = headDim / 4u;
  let p = pieceOf(lane);
  let at = select(quadIndex(batchIdx, firstQuery + 4u * p.quad, rows, h),
                  quadIndex(batchIdx, firstKey + 4u * p.quad, capacity, h), p.isKey) * quads;
  var dots: mat4x4f;
  for (var slice = 0u; slice < quads + opaqueZero(); slice += 8u) {
    let c = slice + p.chunk;
    // Written out: a variable without an initializer keeps its value from the last turn of a loop (seen in Tint).
    var m = mat4x4f();
    if (c < quads) {
      if (p.isKey) { m = mat4x4f(k[at.x + c], k[at.y + c], k[at.z + c], k[at.w + c]); }
      else { m = mat4x4f(q[at.x + c], q[at.y + c], q[at.z + c], q[at.w + c]); }
    }
    stage(m, p);
    workgroupBarrier();
    dots = outer(dots, lane / 16u, lane % 16u);
    workgroupBarrier();
  }
  return dots;
}

// Scores of the block; masked pairs get LOWEST.
fn scores(firstQuery: u32, firstKey: u32, offset: u32, batchIdx: u32, h: u32, lane: u32) -> mat4x4f {
  let dots = queryKey(firstQuery, firstKey, batchIdx, h, lane);
  let row = firstQuery + 4u * (lane / 16u);
  let r = vec4u(row, row + 1u, row + 2u, row + 3u);
  let position = r + offset;
  var s: mat4x4f;
  for (var n = 0u; n < 4u; n++) {
    let j = firstKey + 4u * (lane % 16u) + n;
    var allowed = (vec4u(j) <= position) & (r < vec4u(rows)) & vec4<bool>(j < capacity);
    if (window != 0u) { allowed = allowed & (position < vec4u(j + window)); }
    s[n] = select(vec4f(LOWEST), scale * dots[n] - slope[h] * (vec4f(position) - f32(j)), allowed);
  }
  return s;
}

fn firstTile(position: u32) -> u32 {
  if (window == 0u || position + 1u <= window) { return 0u; }
  return (position + 1u - window) / TILE * TILE;
}

fn weights(s: mat4x4f, lse: vec4f) -> mat4x4f {
  var p: mat4x4f;
  for (var n = 0u; n < 4u; n++) {
    p[n] = select(exp(s[n] - lse), vec4f(0.0), s[n] == vec4f(LOWEST));
  }
  return p;
}

@compute @workgroup_size(256)
fn rowNormalizers(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let h = group.y;
  let first = group.x * TILE;
  let offset = span[0];
  let end = min(capacity, offset + min(first + TILE, rows));
  var top = vec4f(LOWEST);
  var sum = vec4f(0.0);
  for (var tile = firstTile(offset + first); tile < end; tile += TILE) {
    let s = scores(first, tile, offset, group.z, h, lane);
    let higher = max(top, max(max(s[0], s[1]), max(s[2], s[3])));
    let p = weights(s, higher);
    sum = sum * exp(top - higher) + ((p[0] + p[1]) + (p[2] + p[3]));
    top = higher;
  }
  // The 16 threads of 4 queries merge in order.
  tileA[lane] = top;
  tileB[lane] = sum;
  workgroupBarrier();
  if (lane >= 16u) { return; }
  top = tileA[lane * 16u];
  for (var t = 1u; t < 16u; t++) { top = max(top, tileA[lane * 16u + t]); }
  sum = vec4f(0.0);
  for (var t = 0u; t < 16u; t++) { sum += tileB[lane * 16u + t] * exp(tileA[lane * 16u + t] - top); }
  let lse = top + log(sum);
  for (var r = 0u; r < 4u; r++) {
    let row = first + 4u * lane + r;
    if (row < rows) { lseOut[(group.z * rows + row) * nHeads + h] = lse[r]; }
  }
}

@group(0) @binding(4) var<storage, read> lseIn: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<vec4f>;

// Stages the thread's block for sums over keys (tileA [key][query / 4]) or over queries (tileA [query][key / 4]).
fn stageByKey(p: mat4x4f, half: u32, lane: u32) {
  if ((lane % 16u) / 8u != half) { return; }
  let at = 64u * (lane % 8u) + lane / 16u;
  tileA[at] = p[0]; tileA[at + 16u] = p[1]; tileA[at + 32u] = p[2]; tileA[at + 48u] = p[3];
}
fn stageByQuery(p: mat4x4f, half: u32, lane: u32) {
  if (lane / 128u != half) { return; }
  let t = transpose(p);
  let at = 64u * (lane / 16u % 8u) + lane % 16u;
  tileA[at] = t[0]; tileA[at + 16u] = t[1]; tileA[at + 32u] = t[2]; tileA[at + 48u] = t[3];
}

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let h = group.y;
  let quads = headDim / 4u;
  let first = group.x * TILE;
  let offset = span[0];
  let end = min(capacity, offset + min(first + TILE, rows));
  let at = quadIndex(group.z, first + 4u * (lane / 16u), rows, h);
  let lse = vec4f(lseIn[at.x], lseIn[at.y], lseIn[at.z], lseIn[at.w]);
  let column = lane % 16u;
  // Row c of 4·(lane / 16) …: acc holds a column per dimension, a component per query.
  var acc: mat4x4f;
  for (var tile = firstTile(offset + first); tile < end; tile += TILE) {
    let p = weights(scores(first, tile, offset, group.z, h, lane), lse);
    for (var half = 0u; half < 2u + opaqueZero(); half++) {
      stageByKey(p, half, lane);
      for (var n = lane / 16u; n < 32u; n += 16u) {
        let j = tile + 32u * half + n;
        var value = vec4f(0.0);
        if (j < end && column < quads) { value = v[((group.z * capacity + j) * nHeads + h) * quads + column]; }
        tileB[n * 16u + column] = value;
      }
      workgroupBarrier();
      acc = outer(acc, lane / 16u, column);
      workgroupBarrier();
    }
  }
  if (column >= quads) { return; }
  let result = transpose(acc);
  for (var r = 0u; r < 4u; r++) {
    let row = first + 4u * (lane / 16u) + r;
    if (row < rows) { out[((group.z * rows + row) * nHeads + h) * quads + column] = result[r]; }
  }
}

@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> dOut: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> dV: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dK: array<vec4f>;

fn outValue(firstQuery: u32, firstKey: u32, batchIdx: u32, h: u32, lane: u32) -> mat4x4f {
  let quads = headDim / 4u;
  let p = pieceOf(lane);
  let at = quadIndex(batchIdx, select(firstQuery, firstKey, p.isKey) + 4u * p.quad, rows, h) * quads;
  var dots: mat4x4f;
  for (var slice = 0u; slice < quads + opaqueZero(); slice += 8u) {
    let c = slice + p.chunk;
    // Written out: a variable without an initializer keeps its value from the last turn of a loop (seen in Tint).
    var m = mat4x4f();
    if (c < quads) {
      if (p.isKey) { m = mat4x4f(v[at.x + c], v[at.y + c], v[at.z + c], v[at.w + c]); }
      else { m = mat4x4f(dOut[at.x + c], dOut[at.y + c], dOut[at.z + c], dOut[at.w + c]); }
    }
    stage(m, p);
    workgroupBarrier();
    dots = outer(dots, lane / 16u, lane % 16u);
    workgroupBarrier();
  }
  return dots;
}

struct Block { p: mat4x4f, dS: mat4x4f }
fn gradients(firstQuery: u32, firstKey: u32, batchIdx: u32, h: u32, lane: u32) -> Block {
  let at = quadIndex(batchIdx, firstQuery + 4u * (lane / 16u), rows, h);
  let s = transpose(mat4x2f(stats[at.x], stats[at.y], stats[at.z], stats[at.w]));
  let p = weights(scores(firstQuery, firstKey, 0u, batchIdx, h, lane), s[0]);
  var dS = outValue(firstQuery, firstKey, batchIdx, h, lane);
  for (var n = 0u; n < 4u; n++) { dS[n] = p[n] * (dS[n] - s[1]); }
  return Block(p, dS);
}

@compute @workgroup_size(256)
fn keysBackward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let h = group.y;
  let quads = headDim / 4u;
  let first = group.x * TILE;
  let column = lane % 16u;
  var accV: mat4x4f;
  var accK: mat4x4f;
  var end = rows;
  if (window != 0u) { end = min(rows, first + TILE - 1u + window); }
  for (var tile = first; tile < end; tile += TILE) {
    let block = gradients(tile, first, group.z, h, lane);
    for (var turn = 0u; turn < 4u + opaqueZero(); turn++) {
      let half = turn & 1u;
      if (turn < 2u) { stageByQuery(block.p, half, lane); } else { stageByQuery(block.dS, half, lane); }
      for (var n = lane / 16u; n < 32u; n += 16u) {
        let row = tile + 32u * half + n;
        var value = vec4f(0.0);
        if (row < rows && column < quads) {
          let at = ((group.z * rows + row) * nHeads + h) * quads + column;
          if (turn < 2u) { value = dOut[at]; } else { value = q[at]; }
        }
        tileB[n * 16u + column] = value;
      }
      workgroupBarrier();
      if (turn < 2u) { accV = outer(accV, lane / 16u, column); } else { accK = outer(accK, lane / 16u, column); }
      workgroupBarrier();
    }
  }
  if (column >= quads) { return; }
  let resultV = transpose(accV);
  let resultK = transpose(accK);
  for (var r = 0u; r < 4u; r++) {
    let row = first + 4u * (lane / 16u) + r;
    let at = ((group.z * rows + row) * nHeads + h) * quads + column;
    if (row < rows) {
      dV[at] = resultV[r];
      dK[at] = resultK[r] * scale;
    }
  }
}

@group(0) @binding(6) var<storage, read_write> dQ: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> slopePartial: array<f32>;

@compute @workgroup_size(256)
fn queriesBackward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let h = group.y;
  let quads = headDim / 4u;
  let first = group.x * TILE;
  let column = lane % 16u;
  let query = first + 4u * (lane / 16u);
  let position = vec4f(vec4u(query, query + 1u, query + 2u, query + 3u));
  var acc: mat4x4f;
  var distance = vec4f(0.0);
  for (var tile = firstTile(first); tile <= first; tile += TILE) {
    let block = gradients(first, tile, group.z, h, lane);
    for (var n = 0u; n < 4u; n++) { distance += block.dS[n] * (position - f32(tile + 4u * column + n)); }
    for (var half = 0u; half < 2u + opaqueZero(); half++) {
      stageByKey(block.dS, half, lane);
      for (var n = lane / 16u; n < 32u; n += 16u) {
        let j = tile + 32u * half + n;
        var value = vec4f(0.0);
        if (j < rows && column < quads) { value = k[((group.z * rows + j) * nHeads + h) * quads + column]; }
        tileB[n * 16u + column] = value;
      }
      workgroupBarrier();
      acc = outer(acc, lane / 16u, column);
      workgroupBarrier();
    }
  }
  tileA[lane] = distance;
  workgroupBarrier();
  if (lane < 16u) {
    var sum = vec4f(0.0);
    for (var t = 0u; t < 16u; t++) { sum += tileA[lane * 16u + t]; }
    for (var r = 0u; r < 4u; r++) {
      let row = first + 4u * lane + r;
      if (row < rows) { slopePartial[(group.z * rows + row) * nHeads + h] = sum[r]; }
    }
  }
  if (column >= quads) { return; }
  let result = transpose(acc);
  for (var r = 0u; r < 4u; r++) {
    if (query + r < rows) { dQ[((group.z * rows + query + r) * nHeads + h) * quads + column] = result[r] * scale; }
  }
}
