/**
 * The S streams of a token, f32, SIMD: addresses in bytes, channels a multiple of 4. A token depends on nothing but
 * itself.
 */
import { dots } from "./attention";
import { sum4 } from "./lanes";
import { madd } from "./madd";

/** y_i = w_iS f + Σ_j w_ij x_j for the tokens' S streams of C channels; weights are [S, S + 1] per token. */
export function streamWriteForward(
  x: usize,
  weights: usize,
  f: usize,
  y: usize,
  tokens: i32,
  S: i32,
  C: i32,
): void {
  const wide = (<usize>C) << 2;
  const last = (<usize>S) << 2;
  for (let t = 0; t < tokens; t++) {
    for (let i = 0; i < S; i++) {
      const gain = v128.load_splat<f32>(weights + last);
      for (let c: usize = 0; c < wide; c += 16) {
        let sum = f32x4.mul(gain, v128.load(f + c));
        let from = x + c;
        for (let w: usize = 0; w < last; w += 4) {
          sum = madd(v128.load_splat<f32>(weights + w), v128.load(from), sum);
          from += wide;
        }
        v128.store(y + c, sum);
      }
      y += wide;
      weights += last + 4;
    }
    x += <usize>S * wide;
    f += wide;
  }
}

/** dW_ij = ⟨dY_i, x_j⟩, dW_iS = ⟨dY_i, f⟩, dF = Σ_i w_iS dY_i. */
export function streamWriteBackward(
  x: usize,
  weights: usize,
  f: usize,
  dY: usize,
  dWeights: usize,
  dF: usize,
  tokens: i32,
  S: i32,
  C: i32,
): void {
  const wide = (<usize>C) << 2;
  const row = (<usize>(S + 1)) << 2;
  for (let t = 0; t < tokens; t++) {
    for (let c: usize = 0; c < wide; c += 16) {
      let sum = f32x4.splat(0);
      let from = dY + c;
      let gain = weights + row - 4;
      for (let i = 0; i < S; i++) {
        sum = madd(v128.load_splat<f32>(gain), v128.load(from), sum);
        from += wide;
        gain += row;
      }
      v128.store(dF + c, sum);
    }
    for (let i = 0; i < S; i++) {
      dots(dWeights, dY, x, wide, S, C);
      dots(dWeights + row - 4, dY, f, wide, 1, C);
      dWeights += row;
      dY += wide;
    }
    weights += <usize>S * row;
    x += <usize>S * wide;
    f += wide;
    dF += wide;
  }
}

/** Σ x² over `count` numbers, a multiple of 4. */
export function sumSquares(x: usize, count: i32): f32 {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  const end = x + ((<usize>count) << 2);
  for (; x + 32 <= end; x += 32) {
    const a = v128.load(x);
    const b = v128.load(x, 16);
    s0 = madd(a, a, s0);
    s1 = madd(b, b, s1);
  }
  if (x < end) s0 = madd(v128.load(x), v128.load(x), s0);
  return sum4(f32x4.add(s0, s1));
}

/** out = Σ_j gates_j x_j over the S streams of one token; gives Σ out². */
export function streamRead(out: usize, x: usize, gates: usize, S: i32, C: i32): f32 {
  const wide = (<usize>C) << 2;
  let squares = f32x4.splat(0);
  for (let c: usize = 0; c < wide; c += 16) {
    let sum = f32x4.splat(0);
    let from = x + c;
    for (let j = 0; j < S; j++) {
      sum = madd(v128.load_splat<f32>(gates + ((<usize>j) << 2)), v128.load(from), sum);
      from += wide;
    }
    v128.store(out + c, sum);
    squares = madd(sum, sum, squares);
  }
  return sum4(squares);
}

/** x ← scale·x over `count` numbers, a multiple of 4. */
export function scaleRow(x: usize, count: i32, scale: f32): void {
  const s = f32x4.splat(scale);
  const end = x + ((<usize>count) << 2);
  for (; x < end; x += 16) v128.store(x, f32x4.mul(s, v128.load(x)));
}

/** dX_j ← Σ_i mix_ij dX_i + pre_j dH + along x_j with dH = scale dNormed + slope Σ_i pre_i x_i, for four streams.
 *  terms per token: mix [4, 4], pre [4], scale, slope, along; `stride` bytes apart. */
export function streamGradient4(
  x: usize,
  dNormed: usize,
  terms: usize,
  stride: usize,
  dX: usize,
  tokens: i32,
  C: i32,
): void {
  const wide = (<usize>C) << 2;
  for (let t = 0; t < tokens; t++) {
    const scale = v128.load_splat<f32>(terms, 80);
    const slope = v128.load_splat<f32>(terms, 84);
    const along = v128.load_splat<f32>(terms, 88);
    for (let c: usize = 0; c < wide; c += 16) {
      const x0 = x + c;
      const x1 = x0 + wide;
      const x2 = x1 + wide;
      const x3 = x2 + wide;
      let h = f32x4.mul(v128.load_splat<f32>(terms, 64), v128.load(x0));
      h = madd(v128.load_splat<f32>(terms, 68), v128.load(x1), h);
      h = madd(v128.load_splat<f32>(terms, 72), v128.load(x2), h);
      h = madd(v128.load_splat<f32>(terms, 76), v128.load(x3), h);
      const dH = madd(scale, v128.load(dNormed + c), f32x4.mul(slope, h));
      const to = dX + c;
      const d0 = v128.load(to);
      const d1 = v128.load(to + wide);
      const d2 = v128.load(to + 2 * wide);
      const d3 = v128.load(to + 3 * wide);
      v128.store(to, streamTerm(terms, 0, dH, f32x4.mul(along, v128.load(x0)), d0, d1, d2, d3));
      v128.store(
        to + wide,
        streamTerm(terms, 4, dH, f32x4.mul(along, v128.load(x1)), d0, d1, d2, d3),
      );
      v128.store(
        to + 2 * wide,
        streamTerm(terms, 8, dH, f32x4.mul(along, v128.load(x2)), d0, d1, d2, d3),
      );
      v128.store(
        to + 3 * wide,
        streamTerm(terms, 12, dH, f32x4.mul(along, v128.load(x3)), d0, d1, d2, d3),
      );
    }
    x += 4 * wide;
    dX += 4 * wide;
    dNormed += wide;
    terms += stride;
  }
}

/** One stream's part; `j` is four times its number. */
// @ts-ignore: decorator
@inline
function streamTerm(
  terms: usize,
  j: usize,
  dH: v128,
  own: v128,
  d0: v128,
  d1: v128,
  d2: v128,
  d3: v128,
): v128 {
  const at = terms + j;
  let sum = madd(v128.load_splat<f32>(at, 64), dH, own);
  sum = madd(v128.load_splat<f32>(at), d0, sum);
  sum = madd(v128.load_splat<f32>(at, 16), d1, sum);
  sum = madd(v128.load_splat<f32>(at, 32), d2, sum);
  return madd(v128.load_splat<f32>(at, 48), d3, sum);
}
