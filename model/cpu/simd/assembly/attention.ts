/**
 * Rows of tau attention, f32, SIMD. A row's keys (or a key's queries) are taken in ascending order and its sums
 * depend on nothing else, so a row gives the same bits wherever and beside whatever it is computed.
 * Addresses and strides are in bytes; `scratch` holds two arrays of `count` rounded up to 4 floats.
 */
import { exp4, sum4, sums4 } from "./lanes";
import { madd } from "./madd";

function apart(x: v128, y: usize): v128 {
  return f32x4.abs(f32x4.sub(x, v128.load(y)));
}

/** to[t] = Σ_k |x_k − rows[t]_k| over m scalars. */
function distances(to: usize, x: usize, rows: usize, stride: usize, count: i32, m: i32): void {
  let t = 0;
  if (m == 4) {
    const fixed = v128.load(x);
    for (; t + 4 <= count; t += 4) {
      const at = rows + t * stride;
      v128.store(
        to + (t << 2),
        sums4(
          apart(fixed, at),
          apart(fixed, at + stride),
          apart(fixed, at + 2 * stride),
          apart(fixed, at + 3 * stride),
        ),
      );
    }
    // In the same order of additions, wherever a key stands.
    for (; t < count; t++) store<f32>(to + (t << 2), sum4(apart(fixed, rows + t * stride)));
  }
  for (; t < count; t++) {
    const y = rows + t * stride;
    let sum: f32 = 0;
    for (let k = 0; k < m; k++) sum += Mathf.abs(load<f32>(x + (k << 2)) - load<f32>(y + (k << 2)));
    store<f32>(to + (t << 2), sum);
  }
}

/** out[D] = scale · Σ_t w[t] · rows[t][D]. */
export function weightedSum(
  out: usize,
  rows: usize,
  stride: usize,
  w: usize,
  count: i32,
  D: i32,
  scale: f32,
): void {
  const factor = f32x4.splat(scale);
  let d = 0;
  for (; d + 16 <= D; d += 16) {
    let s0 = f32x4.splat(0);
    let s1 = f32x4.splat(0);
    let s2 = f32x4.splat(0);
    let s3 = f32x4.splat(0);
    let at = rows + (d << 2);
    for (let t = 0; t < count; t++) {
      const p = v128.load_splat<f32>(w + (t << 2));
      s0 = madd(p, v128.load(at), s0);
      s1 = madd(p, v128.load(at, 16), s1);
      s2 = madd(p, v128.load(at, 32), s2);
      s3 = madd(p, v128.load(at, 48), s3);
      at += stride;
    }
    const to = out + (d << 2);
    v128.store(to, f32x4.mul(s0, factor));
    v128.store(to, f32x4.mul(s1, factor), 16);
    v128.store(to, f32x4.mul(s2, factor), 32);
    v128.store(to, f32x4.mul(s3, factor), 48);
  }
  for (; d < D; d += 4) {
    let s = f32x4.splat(0);
    let at = rows + (d << 2);
    for (let t = 0; t < count; t++) {
      s = madd(v128.load_splat<f32>(w + (t << 2)), v128.load(at), s);
      at += stride;
    }
    v128.store(out + (d << 2), f32x4.mul(s, factor));
  }
}

/** to[t] = x · rows[t] over D, a multiple of 4. Four rows at once: one chain alone waits for its own sums. */
export function dots(to: usize, x: usize, rows: usize, stride: usize, count: i32, D: i32): void {
  let t = 0;
  for (; t + 4 <= count; t += 4) {
    let s0 = f32x4.splat(0);
    let s1 = f32x4.splat(0);
    let s2 = f32x4.splat(0);
    let s3 = f32x4.splat(0);
    let at = rows + t * stride;
    for (let d = 0; d < D; d += 4) {
      const y = v128.load(x + (d << 2));
      s0 = madd(y, v128.load(at), s0);
      s1 = madd(y, v128.load(at + stride), s1);
      s2 = madd(y, v128.load(at + 2 * stride), s2);
      s3 = madd(y, v128.load(at + 3 * stride), s3);
      at += 16;
    }
    v128.store(to + (t << 2), sums4(s0, s1, s2, s3));
  }
  for (; t < count; t++) {
    let s = f32x4.splat(0);
    for (let d = 0; d < D; d += 4)
      s = madd(v128.load(x + (d << 2)), v128.load(rows + t * stride + (d << 2)), s);
    store<f32>(to + (t << 2), sum4(s));
  }
}

/** scratch[t] = exp(scratch[t] − top) for t < count, 0 up to the next multiple of 4; gives the sum. */
function exponentials(scratch: usize, count: i32, top: f32): f32 {
  for (let t = count; t < ((count + 3) & ~3); t++) store<f32>(scratch + (t << 2), -Infinity);
  const high = f32x4.splat(top);
  let total = f32x4.splat(0);
  for (let t = 0; t < count; t += 4) {
    const at = scratch + (t << 2);
    const e = exp4(f32x4.sub(v128.load(at), high));
    v128.store(at, e);
    total = f32x4.add(total, e);
  }
  return sum4(total);
}

/** One query over `count` keys: out [D], and the log of the denominator as the result. */
export function tauForwardRow(
  a: usize,
  b: usize,
  bStride: usize,
  c: usize,
  cStride: usize,
  v: usize,
  vStride: usize,
  out: usize,
  scratch: usize,
  count: i32,
  m: i32,
  D: i32,
  far: f32,
  gamma: f32,
): f32 {
  let top: f32 = -f32.MAX_VALUE;
  distances(scratch, a, b, bStride, count, m);
  for (let t = 0; t < count; t++) {
    const at = scratch + (t << 2);
    const score = load<f32>(c + t * cStride) - gamma * (far - <f32>t) - load<f32>(at);
    store<f32>(at, score);
    top = max(top, score);
  }
  const total = exponentials(scratch, count, top);
  weightedSum(out, v, vStride, scratch, count, D, 1 / total);
  return top + Mathf.log(total);
}

/** out[k] = Σ_t dS[t] · sign(rows[t][k] − fixed[k]). */
function signSums(
  out: usize,
  fixed: usize,
  rows: usize,
  stride: usize,
  dS: usize,
  count: i32,
  m: i32,
): void {
  if (m == 4) {
    const levels = v128.load(fixed);
    const zero = f32x4.splat(0);
    let sums = zero;
    let at = rows;
    for (let t = 0; t < count; t++) {
      const x = v128.load(at);
      const s = v128.load_splat<f32>(dS + (t << 2));
      sums = f32x4.add(sums, v128.and(s, f32x4.gt(x, levels)));
      sums = f32x4.sub(sums, v128.and(s, f32x4.lt(x, levels)));
      at += stride;
    }
    v128.store(out, sums);
    return;
  }
  for (let k = 0; k < m; k++) {
    const level = load<f32>(fixed + (k << 2));
    let sum: f32 = 0;
    let at = rows + (k << 2);
    for (let t = 0; t < count; t++) {
      const x = load<f32>(at);
      const s = load<f32>(dS + (t << 2));
      sum += x > level ? s : x < level ? -s : 0;
      at += stride;
    }
    store<f32>(out + (k << 2), sum);
  }
}

/** One key over the `count` queries from its own position on: dV [D], dB [m]; gives dC. */
export function tauKeyRow(
  a: usize,
  aStride: usize,
  b: usize,
  stats: usize,
  statsStride: usize,
  v: usize,
  dOut: usize,
  dOutStride: usize,
  dV: usize,
  dB: usize,
  scratch: usize,
  count: i32,
  m: i32,
  D: i32,
  salience: f32,
  gamma: f32,
): f32 {
  distances(scratch, b, a, aStride, count, m);
  for (let t = 0; t < count; t++) {
    const at = scratch + (t << 2);
    store<f32>(at, salience - gamma * <f32>t - load<f32>(at) - load<f32>(stats + t * statsStride));
  }
  exponentials(scratch, count, 0);
  weightedSum(dV, dOut, dOutStride, scratch, count, D, 1);
  const dS = scratch + (((count + 3) & ~3) << 2);
  dots(dS, v, dOut, dOutStride, count, D);
  let total: f32 = 0;
  for (let t = 0; t < count; t++) {
    const at = dS + (t << 2);
    const s =
      load<f32>(scratch + (t << 2)) * (load<f32>(at) - load<f32>(stats + t * statsStride, 4));
    store<f32>(at, s);
    total += s;
  }
  signSums(dB, b, a, aStride, dS, count, m);
  return total;
}

/** One query over its `count` keys: dA [m]; gives Σ dS · distance, where `far` is the first key's distance. */
export function tauQueryRow(
  a: usize,
  b: usize,
  bStride: usize,
  c: usize,
  cStride: usize,
  stats: usize,
  v: usize,
  vStride: usize,
  dOut: usize,
  dA: usize,
  scratch: usize,
  count: i32,
  m: i32,
  D: i32,
  far: f32,
  gamma: f32,
): f32 {
  const lse = load<f32>(stats);
  const delta = load<f32>(stats, 4);
  distances(scratch, a, b, bStride, count, m);
  for (let t = 0; t < count; t++) {
    const at = scratch + (t << 2);
    store<f32>(at, load<f32>(c + t * cStride) - gamma * (far - <f32>t) - load<f32>(at) - lse);
  }
  exponentials(scratch, count, 0);
  const dS = scratch + (((count + 3) & ~3) << 2);
  dots(dS, dOut, v, vStride, count, D);
  let total: f32 = 0;
  for (let t = 0; t < count; t++) {
    const at = dS + (t << 2);
    const s = load<f32>(scratch + (t << 2)) * (load<f32>(at) - delta);
    store<f32>(at, s);
    total += s * (far - <f32>t);
  }
  // sign(a − b) = −sign(b − a), and dA = −Σ dS sign(a − b).
  signSums(dA, a, b, bStride, dS, count, m);
  return total;
}
