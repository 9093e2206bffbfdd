/**
 * Matrix product on packed panels, f32, SIMD. Every entry of out is one multiply-add chain over ascending k: the
 * packed path continues it from out between ranges of k, so it makes the same bits as the direct path for few rows.
 * Scratch is this thread's own; its size in bytes is SCRATCH_BYTES in bind.ts.
 */
import { madd } from "./madd";

/** Rows and columns of a register block: 8 accumulators of 4 lanes leave room for two of b, one of a and one product
 *  among 15 registers; with 12 accumulators the build without fused multiply-add spills (21 against 39 GFLOP/s). */
const MR: i32 = 4;
const NR: i32 = 8;
/** Ranges of k and n that are packed at once: the panel of b stays in the second-level cache. */
const KC: i32 = 256;
const NC: i32 = 256;

/** What becomes of a finished entry x of out, hidden being the entry of another matrix of out's shape. */
const RELU_SQUARED: i32 = 1;
const RELU_SQUARED_BACKWARD: i32 = 2;
const BLEND: i32 = 3;

/** One 4 × 8 block: accumulators start from out (continue = 1) or zero and take kc steps in ascending k.
 *  ap is packed [kc][4], bp [kc][8]; out rows lie `stride` bytes apart. Not unrolled: that costs registers. */
function block(ap: usize, bp: usize, kc: i32, out: usize, stride: usize, continues: i32): void {
  const o1 = out + stride;
  const o2 = o1 + stride;
  const o3 = o2 + stride;
  let c0$0 = f32x4.splat(0);
  let c0$1 = f32x4.splat(0);
  let c1$0 = f32x4.splat(0);
  let c1$1 = f32x4.splat(0);
  let c2$0 = f32x4.splat(0);
  let c2$1 = f32x4.splat(0);
  let c3$0 = f32x4.splat(0);
  let c3$1 = f32x4.splat(0);
  if (continues) {
    c0$0 = v128.load(out);
    c0$1 = v128.load(out, 16);
    c1$0 = v128.load(o1);
    c1$1 = v128.load(o1, 16);
    c2$0 = v128.load(o2);
    c2$1 = v128.load(o2, 16);
    c3$0 = v128.load(o3);
    c3$1 = v128.load(o3, 16);
  }
  for (let i = 0; i < kc; i++) {
    const b0 = v128.load(bp);
    const b1 = v128.load(bp, 16);
    const a0 = v128.load_splat<f32>(ap, 0);
    c0$0 = madd(a0, b0, c0$0);
    c0$1 = madd(a0, b1, c0$1);
    const a1 = v128.load_splat<f32>(ap, 4);
    c1$0 = madd(a1, b0, c1$0);
    c1$1 = madd(a1, b1, c1$1);
    const a2 = v128.load_splat<f32>(ap, 8);
    c2$0 = madd(a2, b0, c2$0);
    c2$1 = madd(a2, b1, c2$1);
    const a3 = v128.load_splat<f32>(ap, 12);
    c3$0 = madd(a3, b0, c3$0);
    c3$1 = madd(a3, b1, c3$1);
    ap += 16;
    bp += 32;
  }
  v128.store(out, c0$0);
  v128.store(out, c0$1, 16);
  v128.store(o1, c1$0);
  v128.store(o1, c1$1, 16);
  v128.store(o2, c2$0);
  v128.store(o2, c2$1, 16);
  v128.store(o3, c3$0);
  v128.store(o3, c3$1, 16);
}

/** b's entries [kFirst, +kc) × [nFirst, +nc) as panels of 8 columns, zero-padded. */
function packB(b: usize, stepK: usize, stepN: usize, kc: i32, nc: i32, to: usize): void {
  for (let j = 0; j < nc; j += NR) {
    const wide = min(NR, nc - j);
    const from = b + <usize>j * stepN;
    if (wide == NR && stepN == 4) {
      for (let i = 0; i < kc; i++) {
        const row = from + <usize>i * stepK;
        v128.store(to, v128.load(row));
        v128.store(to, v128.load(row, 16), 16);
        to += 32;
      }
    } else if (wide == NR && stepK == 4) {
      let i = 0;
      for (; i + 4 <= kc; i += 4) {
        transpose4(from + <usize>i * 4, stepN, to, 32);
        transpose4(from + <usize>i * 4 + 4 * stepN, stepN, to + 16, 32);
        to += 128;
      }
      for (; i < kc; i++) {
        const at = from + <usize>i * 4;
        for (let c = 0; c < NR; c++)
          store<f32>(to + ((<usize>c) << 2), load<f32>(at + <usize>c * stepN));
        to += 32;
      }
    } else {
      for (let i = 0; i < kc; i++) {
        const at = from + <usize>i * stepK;
        for (let c = 0; c < NR; c++)
          store<f32>(to + ((<usize>c) << 2), c < wide ? load<f32>(at + <usize>c * stepN) : 0);
        to += 32;
      }
    }
  }
}

/** The 4 × 4 block of rows `stride` bytes apart, transposed. */
export function transpose4(from: usize, stride: usize, to: usize, toStride: usize): void {
  const r0 = v128.load(from);
  const r1 = v128.load(from + stride);
  const r2 = v128.load(from + 2 * stride);
  const r3 = v128.load(from + 3 * stride);
  const t0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const t1 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const t2 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const t3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(t0, t1, 0, 1, 4, 5));
  v128.store(to + toStride, v128.shuffle<f32>(t0, t1, 2, 3, 6, 7));
  v128.store(to + 2 * toStride, v128.shuffle<f32>(t2, t3, 0, 1, 4, 5));
  v128.store(to + 3 * toStride, v128.shuffle<f32>(t2, t3, 2, 3, 6, 7));
}

/** Four rows of a as [kc][4], missing rows as zero. */
function packA(a: usize, stepM: usize, stepK: usize, kc: i32, rows: i32, to: usize): void {
  let i = 0;
  if (rows == MR && stepM == 4) {
    for (; i < kc; i++) {
      v128.store(to, v128.load(a));
      a += stepK;
      to += 16;
    }
  } else if (rows == MR && stepK == 4) {
    for (; i + 4 <= kc; i += 4) {
      transpose4(a, stepM, to, 16);
      a += 16;
      to += 64;
    }
  }
  for (; i < kc; i++) {
    for (let r = 0; r < MR; r++)
      store<f32>(to + ((<usize>r) << 2), r < rows ? load<f32>(a + <usize>r * stepM) : 0);
    a += stepK;
    to += 16;
  }
}

/** Copies a rows × columns corner between the edge buffer (rows 32 bytes apart) and out. */
function copyCorner(
  from: usize,
  fromStride: usize,
  to: usize,
  toStride: usize,
  rows: i32,
  columns: i32,
): void {
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      store<f32>(
        to + <usize>r * toStride + ((<usize>c) << 2),
        load<f32>(from + <usize>r * fromStride + ((<usize>c) << 2)),
      );
}

/** Few rows, b stored [k, n]: no packing, 32 columns at a time. */
function directRow(
  a: usize,
  stepK: usize,
  b: usize,
  out: usize,
  k: i32,
  n: i32,
  continues: i32,
): void {
  const bStep = (<usize>n) << 2;
  let j = 0;
  for (; j + 32 <= n; j += 32) {
    const o = out + ((<usize>j) << 2);
    let bp = b + ((<usize>j) << 2);
    let ap = a;
    let c0 = f32x4.splat(0);
    let c1 = f32x4.splat(0);
    let c2 = f32x4.splat(0);
    let c3 = f32x4.splat(0);
    let c4 = f32x4.splat(0);
    let c5 = f32x4.splat(0);
    let c6 = f32x4.splat(0);
    let c7 = f32x4.splat(0);
    if (continues) {
      c0 = v128.load(o);
      c1 = v128.load(o, 16);
      c2 = v128.load(o, 32);
      c3 = v128.load(o, 48);
      c4 = v128.load(o, 64);
      c5 = v128.load(o, 80);
      c6 = v128.load(o, 96);
      c7 = v128.load(o, 112);
    }
    for (let i = 0; i < k; i++) {
      const x = v128.load_splat<f32>(ap);
      c0 = madd(x, v128.load(bp), c0);
      c1 = madd(x, v128.load(bp, 16), c1);
      c2 = madd(x, v128.load(bp, 32), c2);
      c3 = madd(x, v128.load(bp, 48), c3);
      c4 = madd(x, v128.load(bp, 64), c4);
      c5 = madd(x, v128.load(bp, 80), c5);
      c6 = madd(x, v128.load(bp, 96), c6);
      c7 = madd(x, v128.load(bp, 112), c7);
      ap += stepK;
      bp += bStep;
    }
    v128.store(o, c0);
    v128.store(o, c1, 16);
    v128.store(o, c2, 32);
    v128.store(o, c3, 48);
    v128.store(o, c4, 64);
    v128.store(o, c5, 80);
    v128.store(o, c6, 96);
    v128.store(o, c7, 112);
  }
  for (; j < n; j++) {
    // One lane, with the same multiply-add as the others.
    const o = out + ((<usize>j) << 2);
    let bp = b + ((<usize>j) << 2);
    let ap = a;
    let c = continues ? v128.load_splat<f32>(o) : f32x4.splat(0);
    for (let i = 0; i < k; i++) {
      c = madd(v128.load_splat<f32>(ap), v128.load_splat<f32>(bp), c);
      ap += stepK;
      bp += bStep;
    }
    store<f32>(o, f32x4.extract_lane(c, 0));
  }
}

/** Few rows, b stored [n, k]: four columns at a time, blocks of b transposed in registers. */
function directRowTransposed(
  a: usize,
  stepK: usize,
  b: usize,
  out: usize,
  k: i32,
  n: i32,
  continues: i32,
): void {
  const bStep = (<usize>k) << 2;
  let j = 0;
  for (; j + 4 <= n; j += 4) {
    const o = out + ((<usize>j) << 2);
    let b0 = b + <usize>j * bStep;
    let ap = a;
    let c = f32x4.splat(0);
    if (continues) c = v128.load(o);
    let i = 0;
    for (; i + 4 <= k; i += 4) {
      const r0 = v128.load(b0);
      const r1 = v128.load(b0 + bStep);
      const r2 = v128.load(b0 + 2 * bStep);
      const r3 = v128.load(b0 + 3 * bStep);
      const t0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
      const t1 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
      const t2 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
      const t3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
      c = madd(v128.load_splat<f32>(ap), v128.shuffle<f32>(t0, t1, 0, 1, 4, 5), c);
      c = madd(v128.load_splat<f32>(ap + stepK), v128.shuffle<f32>(t0, t1, 2, 3, 6, 7), c);
      c = madd(v128.load_splat<f32>(ap + 2 * stepK), v128.shuffle<f32>(t2, t3, 0, 1, 4, 5), c);
      c = madd(v128.load_splat<f32>(ap + 3 * stepK), v128.shuffle<f32>(t2, t3, 2, 3, 6, 7), c);
      ap += 4 * stepK;
      b0 += 16;
    }
    for (; i < k; i++) {
      let column = f32x4.splat(load<f32>(b0));
      column = f32x4.replace_lane(column, 1, load<f32>(b0 + bStep));
      column = f32x4.replace_lane(column, 2, load<f32>(b0 + 2 * bStep));
      column = f32x4.replace_lane(column, 3, load<f32>(b0 + 3 * bStep));
      c = madd(v128.load_splat<f32>(ap), column, c);
      ap += stepK;
      b0 += 4;
    }
    v128.store(o, c);
  }
  for (; j < n; j++) {
    const o = out + ((<usize>j) << 2);
    let bp = b + <usize>j * bStep;
    let ap = a;
    let c = continues ? v128.load_splat<f32>(o) : f32x4.splat(0);
    for (let i = 0; i < k; i++) {
      c = madd(v128.load_splat<f32>(ap), v128.load_splat<f32>(bp), c);
      ap += stepK;
      bp += 4;
    }
    store<f32>(o, f32x4.extract_lane(c, 0));
  }
}

/** The epilogue of `count` entries. Square roots and products of one entry at a time are the plain loops' bits. */
function finish(
  epilogue: i32,
  out: usize,
  hidden: usize,
  count: i32,
  hiddenShare: f32,
  share: f32,
): void {
  const end = out + ((<usize>count) << 2);
  const whole = out + ((<usize>(count & ~3)) << 2);
  const zero = f32x4.splat(0);
  if (epilogue == RELU_SQUARED) {
    for (; out < whole; out += 16) {
      const r = f32x4.max(v128.load(out), zero);
      v128.store(out, f32x4.mul(r, r));
    }
    for (; out < end; out += 4) {
      const r: f32 = max(load<f32>(out), 0);
      store<f32>(out, r * r);
    }
    return;
  }
  if (epilogue == RELU_SQUARED_BACKWARD) {
    const two = f32x4.splat(2);
    for (; out < whole; out += 16) {
      const slope = f32x4.mul(two, f32x4.sqrt(v128.load(hidden)));
      v128.store(out, f32x4.mul(v128.load(out), slope));
      hidden += 16;
    }
    for (; out < end; out += 4) {
      store<f32>(out, load<f32>(out) * (2 * sqrt<f32>(load<f32>(hidden))));
      hidden += 4;
    }
    return;
  }
  const h = f32x4.splat(hiddenShare);
  const x = f32x4.splat(share);
  for (; out < whole; out += 16) {
    v128.store(out, madd(h, v128.load(hidden), f32x4.mul(x, v128.load(out))));
    hidden += 16;
  }
  for (; out < end; out += 4) {
    // One lane, with the same multiply-add as the others.
    const sum = madd(h, v128.load_splat<f32>(hidden), f32x4.mul(x, v128.load_splat<f32>(out)));
    store<f32>(out, f32x4.extract_lane(sum, 0));
    hidden += 4;
  }
}

/** Rows of one matrix of out: a, b, out and hidden are byte addresses of the first row's operands; stepM and stepK
 *  are bytes between a's rows and a's k entries. transposeB: b is [n, k]. accumulate adds to out. The epilogue
 *  (0: none) is taken while the rows are in the first-level cache. */
export function matmulRows(
  a: usize,
  stepM: usize,
  stepK: usize,
  b: usize,
  transposeB: i32,
  out: usize,
  rows: i32,
  k: i32,
  n: i32,
  accumulate: i32,
  scratch: usize,
  epilogue: i32,
  hidden: usize,
  hiddenShare: f32,
  share: f32,
): void {
  const stride = (<usize>n) << 2;
  if (rows < 4) {
    for (let r = 0; r < rows; r++) {
      if (transposeB)
        directRowTransposed(
          a + <usize>r * stepM,
          stepK,
          b,
          out + <usize>r * stride,
          k,
          n,
          accumulate,
        );
      else directRow(a + <usize>r * stepM, stepK, b, out + <usize>r * stride, k, n, accumulate);
    }
    if (epilogue) finish(epilogue, out, hidden, rows * n, hiddenShare, share);
    return;
  }
  const bStepK: usize = transposeB ? 4 : stride;
  const bStepN: usize = transposeB ? (<usize>k) << 2 : 4;
  const edge = scratch;
  const panelA = edge + <usize>(MR * NR * 4);
  const panelB = panelA + <usize>(MR * KC * 4);
  for (let nFirst = 0; nFirst < n; nFirst += NC) {
    const nc = min(NC, n - nFirst);
    for (let kFirst = 0; kFirst < k; kFirst += KC) {
      const kc = min(KC, k - kFirst);
      const continues = accumulate | i32(kFirst > 0);
      packB(b + <usize>kFirst * bStepK + <usize>nFirst * bStepN, bStepK, bStepN, kc, nc, panelB);
      for (let row = 0; row < rows; row += MR) {
        const high = min(MR, rows - row);
        packA(a + <usize>row * stepM + <usize>kFirst * stepK, stepM, stepK, kc, high, panelA);
        const outRow = out + <usize>row * stride + ((<usize>nFirst) << 2);
        for (let j = 0; j < nc; j += NR) {
          const bp = panelB + <usize>j * <usize>(kc << 2);
          const to = outRow + ((<usize>j) << 2);
          const wide = min(NR, nc - j);
          if (high == MR && wide == NR) {
            block(panelA, bp, kc, to, stride, continues);
          } else {
            if (continues) copyCorner(to, stride, edge, 32, high, wide);
            block(panelA, bp, kc, edge, 32, continues);
            copyCorner(edge, 32, to, stride, high, wide);
          }
        }
        if (epilogue && kFirst + kc == k) {
          const at = outRow - out;
          for (let r = 0; r < high; r++) {
            const to = at + <usize>r * stride;
            finish(epilogue, out + to, hidden + to, nc, hiddenShare, share);
          }
        }
      }
    }
  }
}
