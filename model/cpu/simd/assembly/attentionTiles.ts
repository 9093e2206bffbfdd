/**
 * Tau attention in tiles of query rows, f32, SIMD: the same numbers as attention.ts makes row by row, in the forward
 * pass to the bit, so that a window and its pieces agree. Keys of one head are packed once: scalars by bands, values in
 * panels of 8 (columns forward, keys backward). Addresses and strides in bytes; D is a multiple of 8; every query sees
 * all keys from the first on.
 */
import { exp4, sum4 } from "./lanes";
import { madd } from "./madd";
import { transpose4 } from "./matmul";

/** Query rows of a register block, and of a backward tile. */
const ROWS: i32 = 4;
const TILE: i32 = 16;

/** How far apart packed arrays of one number per key are. */
function paddedBytes(count: i32): usize {
  return (<usize>((count + 7) & ~7)) << 2;
}

/** to [m + 1][padded]: the keys' scalars by bands, then their saliences. */
function packKeys(
  to: usize,
  b: usize,
  bStride: usize,
  c: usize,
  cStride: usize,
  count: i32,
  m: i32,
): void {
  const row = paddedBytes(count);
  for (let t = 0; t < count; t++) {
    const at = to + ((<usize>t) << 2);
    for (let k = 0; k < m; k++) store<f32>(at + <usize>k * row, load<f32>(b + ((<usize>k) << 2)));
    store<f32>(at + <usize>m * row, load<f32>(c));
    b += bStride;
    c += cStride;
  }
}

/** Distances of four keys, in the order of additions of attention.ts. */
// @ts-ignore: decorator
@inline
function distances4(a: usize, keys: usize, row: usize, m: i32): v128 {
  if (m == 4) {
    const d0 = apart(a, keys, 0);
    const d1 = apart(a, keys + row, 4);
    const d2 = apart(a, keys + 2 * row, 8);
    const d3 = apart(a, keys + 3 * row, 12);
    return f32x4.add(f32x4.add(d0, d2), f32x4.add(d1, d3));
  }
  let sum = apart(a, keys, 0);
  for (let k = 1; k < m; k++) sum = f32x4.add(sum, apart(a + ((<usize>k) << 2), keys + <usize>k * row, 0));
  return sum;
}

// @ts-ignore: decorator
@inline
function apart(a: usize, keys: usize, offset: usize): v128 {
  return f32x4.abs(f32x4.sub(v128.load_splat<f32>(a + offset), v128.load(keys)));
}

/** Lanes that stand for keys below `count`, the first lane being key t. */
// @ts-ignore: decorator
@inline
function before(t: i32, count: i32): v128 {
  return i32x4.gt_s(i32x4.splat(count - t), i32x4(0, 1, 2, 3));
}

/** w[t] = exp(score − top) of one query over `count` keys, 0 up to the next multiple of 4; gives the log of the
 *  denominator, and 1 / it in `scale`. */
function queryWeights(
  w: usize,
  a: usize,
  keys: usize,
  row: usize,
  count: i32,
  m: i32,
  gamma: f32,
  scale: usize,
): f32 {
  const saliences = keys + <usize>m * row;
  const slope = f32x4.splat(gamma);
  const lowest = f32x4.splat(-Infinity);
  let far = f32x4.sub(f32x4.splat(<f32>(count - 1)), f32x4(0, 1, 2, 3));
  let tops = f32x4.splat(-f32.MAX_VALUE);
  for (let t = 0; t < count; t += 4) {
    const at = (<usize>t) << 2;
    let score = f32x4.sub(v128.load(saliences + at), f32x4.mul(slope, far));
    score = f32x4.sub(score, distances4(a, keys + at, row, m));
    if (t + 4 > count) score = v128.bitselect(score, lowest, before(t, count));
    v128.store(w + at, score);
    tops = f32x4.pmax(tops, score);
    far = f32x4.sub(far, f32x4.splat(4));
  }
  const top = max(
    max(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)),
    max(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)),
  );
  const high = f32x4.splat(top);
  let sums = f32x4.splat(0);
  for (let t = 0; t < count; t += 4) {
    const at = w + ((<usize>t) << 2);
    const e = exp4(f32x4.sub(v128.load(at), high));
    v128.store(at, e);
    sums = f32x4.add(sums, e);
  }
  const total = sum4(sums);
  store<f32>(scale, 1 / total);
  return top + Mathf.log(total);
}

/** Four rows of a product over `count` steps: a's rows are `aStride` bytes apart and their steps 4, b has 8 columns and
 *  steps `bStride` bytes apart. Left in `to` [4][8]. */
function block4(a: usize, aStride: usize, b: usize, bStride: usize, count: i32, to: usize): void {
  const a1 = a + aStride;
  const a2 = a1 + aStride;
  const a3 = a2 + aStride;
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c31 = f32x4.splat(0);
  const end = (<usize>count) << 2;
  for (let t: usize = 0; t < end; t += 4) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const x0 = v128.load_splat<f32>(a + t);
    c00 = madd(x0, b0, c00);
    c01 = madd(x0, b1, c01);
    const x1 = v128.load_splat<f32>(a1 + t);
    c10 = madd(x1, b0, c10);
    c11 = madd(x1, b1, c11);
    const x2 = v128.load_splat<f32>(a2 + t);
    c20 = madd(x2, b0, c20);
    c21 = madd(x2, b1, c21);
    const x3 = v128.load_splat<f32>(a3 + t);
    c30 = madd(x3, b0, c30);
    c31 = madd(x3, b1, c31);
    b += bStride;
  }
  v128.store(to, c00);
  v128.store(to, c01, 16);
  v128.store(to, c10, 32);
  v128.store(to, c11, 48);
  v128.store(to, c20, 64);
  v128.store(to, c21, 80);
  v128.store(to, c30, 96);
  v128.store(to, c31, 112);
}

/** Four queries at `position` … `position + 3`; w holds their weights, `row` bytes apart. */
function forwardBlock(
  w: usize,
  row: usize,
  values: usize,
  size: usize,
  out: usize,
  outStride: usize,
  scales: usize,
  edge: usize,
  position: i32,
  D: i32,
): void {
  for (let d = 0; d < D; d += 8) {
    block4(w, row, values, 32, position + 1, edge);
    for (let q = 0; q < ROWS; q++) {
      let s0 = v128.load(edge + ((<usize>q) << 5));
      let s1 = v128.load(edge + ((<usize>q) << 5), 16);
      // The later rows' own last keys: the earlier rows must not read them.
      for (let t = position + 1; t <= position + q; t++) {
        const p = v128.load_splat<f32>(w + <usize>q * row + ((<usize>t) << 2));
        const v = values + ((<usize>t) << 5);
        s0 = madd(p, v128.load(v), s0);
        s1 = madd(p, v128.load(v, 16), s1);
      }
      const scale = v128.load_splat<f32>(scales + ((<usize>q) << 2));
      const to = out + <usize>q * outStride + ((<usize>d) << 2);
      v128.store(to, f32x4.mul(s0, scale));
      v128.store(to, f32x4.mul(s1, scale), 16);
    }
    values += size;
  }
}

/** Bytes of scratch that `tauForwardTiles` needs. */
export function tauForwardScratch(keys: i32, m: i32, D: i32): usize {
  return paddedBytes(keys) * <usize>(m + 1 + ROWS + D) + 256;
}

/** Queries of one head at `position` … `position + rows − 1`, rows a multiple of 4; b, c and v start with key 0. */
export function tauForwardTiles(
  a: usize,
  b: usize,
  c: usize,
  v: usize,
  out: usize,
  lse: usize,
  nHeads: i32,
  m: i32,
  D: i32,
  position: i32,
  rows: i32,
  gamma: f32,
  scratch: usize,
): void {
  const heads = <usize>nHeads;
  const keys = position + rows;
  const aStride = (heads * <usize>m) << 2;
  const vStride = (heads * <usize>D) << 2;
  const row = paddedBytes(keys);
  const w = scratch + <usize>(m + 1) * row;
  const values = w + <usize>ROWS * row;
  const scales = values + <usize>D * row;
  const edge = scales + 16;
  packKeys(scratch, b, aStride, c, heads << 2, keys, m);
  const size = 8 * row;
  for (let d = 0; d < D; d += 8) {
    let from = v + ((<usize>d) << 2);
    let to = values + <usize>(d >> 3) * size;
    for (let t = 0; t < keys; t++) {
      v128.store(to, v128.load(from));
      v128.store(to, v128.load(from, 16), 16);
      from += vStride;
      to += 32;
    }
  }
  for (let i = 0; i < rows; i += ROWS) {
    for (let q = 0; q < ROWS; q++) {
      const scale = scales + ((<usize>q) << 2);
      const weights = w + <usize>q * row;
      const count = position + i + q + 1;
      store<f32>(lse, queryWeights(weights, a, scratch, row, count, m, gamma, scale));
      a += aStride;
      lse += heads << 2;
    }
    forwardBlock(w, row, values, size, out, vStride, scales, edge, position + i, D);
    out += <usize>ROWS * vStride;
  }
}

/** Values by panels of 8 keys: to [keys / 8][D][8], zero beyond the last key. */
function packTransposed(to: usize, v: usize, vStride: usize, keys: i32, D: i32): void {
  for (let t = 0; t < keys; t += 8) {
    for (let half = 0; half < 8; half += 4) {
      const from = v + <usize>(t + half) * vStride;
      const there = to + ((<usize>half) << 2);
      if (t + half + 4 <= keys) {
        for (let d = 0; d < D; d += 4)
          transpose4(from + ((<usize>d) << 2), vStride, there + ((<usize>d) << 5), 32);
        continue;
      }
      for (let d = 0; d < D; d++)
        for (let r = 0; r < 4; r++)
          store<f32>(
            there + ((<usize>d) << 5) + ((<usize>r) << 2),
            t + half + r < keys ? load<f32>(from + <usize>r * vStride + ((<usize>d) << 2)) : 0,
          );
    }
    to += (<usize>D) << 5;
  }
}

/** One query against the keys up to its own: w and s become its weights and score gradients (s held its products with
 *  the values), which are added to the keys' sums. dA [m] is written; gives Σ s · distance. */
function queryGradients(
  w: usize,
  s: usize,
  a: usize,
  stats: usize,
  keys: usize,
  sums: usize,
  row: usize,
  i: i32,
  m: i32,
  dA: usize,
): f32 {
  const lse = v128.load_splat<f32>(stats);
  const delta = v128.load_splat<f32>(stats, 4);
  const slope = v128.load_splat<f32>(stats, 12);
  const saliences = keys + <usize>m * row;
  const totals = sums + <usize>m * row;
  const count = i + 1;
  let far = f32x4.sub(f32x4.splat(<f32>i), f32x4(0, 1, 2, 3));
  let distanceSum = f32x4.splat(0);
  for (let t = 0; t < count; t += 4) {
    const at = (<usize>t) << 2;
    let score = f32x4.sub(v128.load(saliences + at), f32x4.mul(slope, far));
    score = f32x4.sub(f32x4.sub(score, distances4(a, keys + at, row, m)), lse);
    let p = exp4(score);
    if (t + 4 > count) p = v128.and(p, before(t, count));
    v128.store(w + at, p);
    const d = f32x4.mul(p, f32x4.sub(v128.load(s + at), delta));
    v128.store(s + at, d);
    v128.store(totals + at, f32x4.add(v128.load(totals + at), d));
    distanceSum = madd(d, far, distanceSum);
    far = f32x4.sub(far, f32x4.splat(4));
  }
  for (let k = 0; k < m; k++) {
    const level = v128.load_splat<f32>(a + ((<usize>k) << 2));
    const band = keys + <usize>k * row;
    const to = sums + <usize>k * row;
    let own = f32x4.splat(0);
    for (let at: usize = 0; at < (<usize>count) << 2; at += 16) {
      const d = v128.load(s + at);
      const b = v128.load(band + at);
      const signed = f32x4.sub(
        v128.and(d, f32x4.gt(level, b)),
        v128.and(d, f32x4.lt(level, b)),
      );
      v128.store(to + at, f32x4.add(v128.load(to + at), signed));
      own = f32x4.add(own, signed);
    }
    store<f32>(dA + ((<usize>k) << 2), -sum4(own));
  }
  return sum4(distanceSum);
}

/** dV of four keys from `steps` queries' weights: block rows are keys. Adds to dV where it `continues`. */
function valueGradients(
  w: usize,
  row: usize,
  dOut: usize,
  stride: usize,
  steps: i32,
  dV: usize,
  continues: i32,
  valid: i32,
  D: i32,
): void {
  for (let d = 0; d < D; d += 8) {
    let c00 = f32x4.splat(0);
    let c01 = f32x4.splat(0);
    let c10 = f32x4.splat(0);
    let c11 = f32x4.splat(0);
    let c20 = f32x4.splat(0);
    let c21 = f32x4.splat(0);
    let c30 = f32x4.splat(0);
    let c31 = f32x4.splat(0);
    let x = w;
    let y = dOut + ((<usize>d) << 2);
    for (let q = 0; q < steps; q++) {
      const b0 = v128.load(y);
      const b1 = v128.load(y, 16);
      const x0 = v128.load_splat<f32>(x);
      c00 = madd(x0, b0, c00);
      c01 = madd(x0, b1, c01);
      const x1 = v128.load_splat<f32>(x, 4);
      c10 = madd(x1, b0, c10);
      c11 = madd(x1, b1, c11);
      const x2 = v128.load_splat<f32>(x, 8);
      c20 = madd(x2, b0, c20);
      c21 = madd(x2, b1, c21);
      const x3 = v128.load_splat<f32>(x, 12);
      c30 = madd(x3, b0, c30);
      c31 = madd(x3, b1, c31);
      x += row;
      y += stride;
    }
    const to = dV + ((<usize>d) << 2);
    addRow(to, c00, c01, continues);
    if (valid > 1) addRow(to + stride, c10, c11, continues);
    if (valid > 2) addRow(to + 2 * stride, c20, c21, continues);
    if (valid > 3) addRow(to + 3 * stride, c30, c31, continues);
  }
}

function addRow(to: usize, x: v128, y: v128, continues: i32): void {
  if (continues) {
    x = f32x4.add(x, v128.load(to));
    y = f32x4.add(y, v128.load(to, 16));
  }
  v128.store(to, x);
  v128.store(to, y, 16);
}

/** Bytes of scratch that `tauBackwardHead` needs. */
export function tauBackwardScratch(rows: i32, m: i32, D: i32): usize {
  return paddedBytes(rows) * <usize>(2 * (m + 1) + D + 2 * TILE) + 256;
}

/** All gradients of one head of one window of as many keys as rows, in one pass: dV [rows, D], dB [rows, m], dC [rows]
 *  and, for the queries, dA [rows, m] and `far` [rows], Σ of score gradients times distances. */
export function tauBackwardHead(
  a: usize,
  b: usize,
  stats: usize,
  v: usize,
  dOut: usize,
  dV: usize,
  dB: usize,
  dC: usize,
  dA: usize,
  far: usize,
  nHeads: i32,
  m: i32,
  D: i32,
  rows: i32,
  scratch: usize,
): void {
  const heads = <usize>nHeads;
  const one = heads << 2;
  const scalars = one * <usize>m;
  const wide = one * <usize>D;
  const row = paddedBytes(rows);
  const sums = scratch + <usize>(m + 1) * row;
  const panels = sums + <usize>(m + 1) * row;
  const w = panels + <usize>D * row;
  const s = w + <usize>TILE * row;
  const edge = s + <usize>TILE * row;
  packKeys(scratch, b, scalars, stats + 8, 4 * one, rows, m);
  packTransposed(panels, v, wide, rows, D);
  memory.fill(sums, 0, <usize>(m + 1) * row);
  for (let first = 0; first < rows; first += TILE) {
    const high = min(TILE, rows - first);
    for (let g = 0; g < high; g += ROWS) {
      const keys = min(first + g + ROWS, rows);
      const from = dOut + <usize>(first + g) * wide;
      for (let t = 0; t < keys; t += 8) {
        const panel = panels + (<usize>t * <usize>D << 2);
        const to = s + <usize>g * row + ((<usize>t) << 2);
        if (g + ROWS <= high) {
          block4(from, wide, panel, 32, D, edge);
          for (let q = 0; q < ROWS; q++) copy8(edge + ((<usize>q) << 5), to + <usize>q * row);
        } else
          for (let q = 0; g + q < high; q++) {
            // The same row four times: there is no fourth one to read.
            block4(from + <usize>q * wide, 0, panel, 32, D, edge);
            copy8(edge, to + <usize>q * row);
          }
      }
      for (let q = g; q < min(g + ROWS, high); q++) {
        const i = first + q;
        const at = <usize>i;
        const sum = queryGradients(
          w + <usize>q * row,
          s + <usize>q * row,
          a + at * scalars,
          stats + 4 * at * one,
          scratch,
          sums,
          row,
          i,
          m,
          dA + at * scalars,
        );
        store<f32>(far + at * one, sum);
      }
    }
    for (let t = 0; t < first + high; t += 4) {
      const q = max(0, t - first);
      valueGradients(
        w + <usize>q * row + ((<usize>t) << 2),
        row,
        dOut + <usize>(first + q) * wide,
        wide,
        high - q,
        dV + <usize>t * wide,
        i32(t < first),
        min(4, rows - t),
        D,
      );
    }
  }
  for (let t = 0; t < rows; t++) {
    const at = sums + ((<usize>t) << 2);
    for (let k = 0; k < m; k++)
      store<f32>(
        dB + <usize>t * scalars + ((<usize>k) << 2),
        load<f32>(at + <usize>k * row),
      );
    store<f32>(dC + <usize>t * one, load<f32>(at + <usize>m * row));
  }
}

function copy8(from: usize, to: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
}
