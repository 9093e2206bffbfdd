/**
 * Operations on rows of C channels, f32, SIMD: norms, the key shift, cross-entropy. Addresses in bytes, C a multiple
 * of 4. A row's sums depend on nothing but the row.
 */
import { exp4, sum4 } from "./lanes";
import { madd } from "./madd";
import { sumSquares } from "./streams";

const EPS: f32 = 1e-6;

/** y = x / sqrt(mean(x²) + ε) per row. */
export function rmsNormForward(x: usize, y: usize, rows: i32, C: i32): void {
  const wide = (<usize>C) << 2;
  for (let r = 0; r < rows; r++) {
    const scale = f32x4.splat(1 / sqrt<f32>(sumSquares(x, C) / <f32>C + EPS));
    for (let c: usize = 0; c < wide; c += 16) v128.store(y + c, f32x4.mul(v128.load(x + c), scale));
    x += wide;
    y += wide;
  }
}

/** dX (+)= dY·s − x·s³·⟨x, dY⟩/C with s = 1 / sqrt(mean(x²) + ε). */
export function rmsNormBackward(
  x: usize,
  dY: usize,
  dX: usize,
  rows: i32,
  C: i32,
  accumulate: i32,
): void {
  const wide = (<usize>C) << 2;
  for (let r = 0; r < rows; r++) {
    let squares = f32x4.splat(0);
    let inner = f32x4.splat(0);
    for (let c: usize = 0; c < wide; c += 16) {
      const v = v128.load(x + c);
      squares = madd(v, v, squares);
      inner = madd(v, v128.load(dY + c), inner);
    }
    const s: f32 = 1 / sqrt<f32>(sum4(squares) / <f32>C + EPS);
    const scale = f32x4.splat(s);
    const along = f32x4.splat((-s * s * s * sum4(inner)) / <f32>C);
    if (accumulate)
      for (let c: usize = 0; c < wide; c += 16) {
        const d = madd(v128.load(dY + c), scale, f32x4.mul(v128.load(x + c), along));
        v128.store(dX + c, f32x4.add(v128.load(dX + c), d));
      }
    else
      for (let c: usize = 0; c < wide; c += 16)
        v128.store(dX + c, madd(v128.load(dY + c), scale, f32x4.mul(v128.load(x + c), along)));
    x += wide;
    dY += wide;
    dX += wide;
  }
}

/** y = x + f, and its norm. */
export function addNorm(x: usize, f: usize, y: usize, normed: usize, rows: i32, C: i32): void {
  const wide = (<usize>C) << 2;
  for (let r = 0; r < rows; r++) {
    let squares = f32x4.splat(0);
    for (let c: usize = 0; c < wide; c += 16) {
      const v = f32x4.add(v128.load(x + c), v128.load(f + c));
      v128.store(y + c, v);
      squares = madd(v, v, squares);
    }
    const scale = f32x4.splat(1 / sqrt<f32>(sum4(squares) / <f32>C + EPS));
    for (let c: usize = 0; c < wide; c += 16)
      v128.store(normed + c, f32x4.mul(v128.load(y + c), scale));
    x += wide;
    f += wide;
    y += wide;
    normed += wide;
  }
}

/** out (+)= Σ_k mix[k]·x[k rows of `step` bytes on], channel by channel. */
export function tapSum(
  out: usize,
  x: usize,
  step: isize,
  mix: usize,
  taps: i32,
  C: i32,
  accumulate: i32,
): void {
  const wide = (<usize>C) << 2;
  for (let c: usize = 0; c < wide; c += 16) {
    let sum = accumulate ? v128.load(out + c) : f32x4.splat(0);
    let from = x + c;
    let tap = mix + c;
    for (let k = 0; k < taps; k++) {
      sum = madd(v128.load(tap), v128.load(from), sum);
      from += step;
      tap += wide;
    }
    v128.store(out + c, sum);
  }
}

/** partial[k] += Σ_r dY[r]·x[r − k], k < 3, over `count` rows of one window, the first of which stands at `position`. */
export function tapPartials(
  dY: usize,
  x: usize,
  partial: usize,
  count: i32,
  position: i32,
  C: i32,
): void {
  const wide = (<usize>C) << 2;
  const zero = f32x4.splat(0);
  for (let c: usize = 0; c < wide; c += 16) {
    let y = dY + c;
    let from = x + c;
    let before = position > 0 ? v128.load(from - wide) : zero;
    let earlier = position > 1 ? v128.load(from - 2 * wide) : zero;
    const to = partial + c;
    let s0 = v128.load(to);
    let s1 = v128.load(to + wide);
    let s2 = v128.load(to + 2 * wide);
    for (let r = 0; r < count; r++) {
      const d = v128.load(y);
      const now = v128.load(from);
      s0 = madd(d, now, s0);
      s1 = madd(d, before, s1);
      s2 = madd(d, earlier, s2);
      earlier = before;
      before = now;
      y += wide;
      from += wide;
    }
    v128.store(to, s0);
    v128.store(to + wide, s1);
    v128.store(to + 2 * wide, s2);
  }
}

/** exp(−2|x| / cap): what a soft-capped logit is made of; it cannot overflow. */
function capped(x: v128, fold: v128): v128 {
  return exp4(f32x4.mul(f32x4.abs(x), fold));
}

/** cap·(tanh(x / cap) − 1) without cancellation, `inverse` being 1 / (1 + e). */
function belowCap(x: v128, e: v128, inverse: v128, cap: f32): v128 {
  const share = v128.bitselect(e, f32x4.splat(1), f32x4.ge(x, f32x4.splat(0)));
  return f32x4.mul(f32x4.splat(-2 * cap), f32x4.mul(inverse, share));
}

/** One row's loss in bits for soft-capped logits cap·tanh(x / cap), and weight times its gradient. `scratch` holds
 *  V numbers. */
export function crossEntropyRow(
  logits: usize,
  dLogits: usize,
  target: i32,
  V: i32,
  cap: f32,
  weight: f32,
  scratch: usize,
): f32 {
  const wide = (<usize>V) << 2;
  const one = f32x4.splat(1);
  const four = f32x4.splat(4);
  const fold = f32x4.splat(-2 / cap);
  let total = f32x4.splat(0);
  for (let v: usize = 0; v < wide; v += 16) {
    const x = v128.load(logits + v);
    const e = capped(x, fold);
    const inverse = f32x4.div(one, f32x4.add(one, e));
    const p = exp4(belowCap(x, e, inverse, cap));
    total = f32x4.add(total, p);
    v128.store(dLogits + v, p);
    v128.store(scratch + v, f32x4.mul(f32x4.mul(four, e), f32x4.mul(inverse, inverse)));
  }
  const sum = sum4(total);
  const at = (<usize>target) << 2;
  store<f32>(dLogits + at, load<f32>(dLogits + at) - sum);
  const scale = f32x4.splat(weight / sum);
  for (let v: usize = 0; v < wide; v += 16)
    v128.store(
      dLogits + v,
      f32x4.mul(f32x4.mul(scale, v128.load(dLogits + v)), v128.load(scratch + v)),
    );
  const x = v128.load_splat<f32>(logits + at);
  const e = capped(x, fold);
  const goal = belowCap(x, e, f32x4.div(one, f32x4.add(one, e)), cap);
  return (Mathf.log(sum) - f32x4.extract_lane(goal, 0)) * <f32>1.44269504;
}
