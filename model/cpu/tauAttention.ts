/**
 * Reference twin of tauAttention and the CPU device's path. Units are (batch, head, row), rows innermost, so a
 * thread's share stays in few heads; of the backward pass whole heads. One pass of the forward computes lse and out
 * together. The SIMD kernels take rows in tiles where all of them see the first key, one by one elsewhere.
 */
import type { Buffer, Floats, Params } from "../graph.ts";
import { SCRATCH_BYTES, simdOf, type SimdKernels } from "./simd/bind.ts";

/** The SIMD kernels, where every float tensor lives in their memory and a row's weights fit the scratch. */
export function simdOfRows(buffers: readonly Buffer[], longest: number): SimdKernels | undefined {
  return (longest + 4) * 8 > SCRATCH_BYTES ? undefined : simdOf(buffers);
}

/** Whether heads of this size can go to the kernels that take rows in tiles. */
function fitsTiles(
  simd: SimdKernels | undefined,
  scratch: "tauForwardScratch" | "tauBackwardScratch",
  keys: number,
  m: number,
  headDim: number,
): boolean {
  if (simd === undefined || headDim % 8 !== 0) return false;
  return simd.exports[scratch]!(keys, m, headDim) <= SCRATCH_BYTES;
}

/** The kernels that make all gradients of a head in one pass: the keys' op calls them, and leaves what is the
 *  queries' in `parts`. */
function headKernels(buffers: readonly Buffer[], p: Params): SimdKernels | undefined {
  const rows = p["rows"]!;
  const simd = simdOf(buffers);
  if (p["window"]! !== 0 && p["window"]! < rows) return undefined;
  return fitsTiles(simd, "tauBackwardScratch", rows, p["bands"]!, p["headDim"]!) ? simd : undefined;
}

/** Weights of one row; grows to the longest row of this thread. */
let weights = new Float64Array(0);
const sums = new Float64Array(64);

export function tauAttentionForward(
  buffers: readonly Buffer[],
  p: Params,
  start: number,
  end: number,
): void {
  const [a, b, c, slope, , lse, v, out] = buffers as [
    Floats,
    Floats,
    Floats,
    Floats,
    Uint32Array,
    Floats,
    Floats,
    Floats,
  ];
  const offset = buffers[4]![0]!;
  const rows = p["rows"]!;
  const capacity = p["capacity"]!;
  const nHeads = p["nHeads"]!;
  const m = p["bands"]!;
  const headDim = p["headDim"]!;
  const window = p["window"]!;
  const simd = simdOfRows(buffers, capacity);
  const forwardRow = simd?.exports["tauForwardRow"];
  const tiles = fitsTiles(simd, "tauForwardScratch", capacity, m, headDim);
  if (weights.length < capacity) weights = new Float64Array(capacity);
  const w = weights;
  for (let u = start; u < end; u++) {
    const i = u % rows;
    const h = Math.floor(u / rows) % nHeads;
    const n = Math.floor(u / (rows * nHeads));
    const position = offset + i;
    const first = window === 0 ? 0 : Math.max(0, position - window + 1);
    const last = Math.min(position, capacity - 1);
    const gamma = slope[h]!;
    const rowAt = (n * rows + i) * nHeads + h;
    const queryAt = rowAt * m;
    const fromFirst = window === 0 ? capacity : Math.min(window, capacity);
    const tileRows = Math.min(end - u, rows - i, fromFirst - position) & ~3;
    if (tiles && tileRows > 0) {
      const key = n * capacity * nHeads + h;
      simd!.exports["tauForwardTiles"]!(
        a.byteOffset + queryAt * 4,
        b.byteOffset + key * m * 4,
        c.byteOffset + key * 4,
        v.byteOffset + key * headDim * 4,
        out.byteOffset + rowAt * headDim * 4,
        lse.byteOffset + rowAt * 4,
        nHeads,
        m,
        headDim,
        position,
        tileRows,
        gamma,
        simd!.scratch,
      );
      u += tileRows - 1;
      continue;
    }
    if (forwardRow !== undefined) {
      const key = (n * capacity + first) * nHeads + h;
      lse[rowAt] = forwardRow(
        a.byteOffset + queryAt * 4,
        b.byteOffset + key * m * 4,
        nHeads * m * 4,
        c.byteOffset + key * 4,
        nHeads * 4,
        v.byteOffset + key * headDim * 4,
        nHeads * headDim * 4,
        out.byteOffset + rowAt * headDim * 4,
        simd!.scratch,
        last - first + 1,
        m,
        headDim,
        position - first,
        gamma,
      );
      continue;
    }
    let top = -Infinity;
    for (let j = first; j <= last; j++) {
      const keyAt = (n * capacity + j) * nHeads + h;
      let score = c[keyAt]! - gamma * (position - j);
      for (let k = 0; k < m; k++) score -= Math.abs(a[queryAt + k]! - b[keyAt * m + k]!);
      w[j] = score;
      if (score > top) top = score;
    }
    let total = 0;
    for (let j = first; j <= last; j++) {
      const e = Math.exp(w[j]! - top);
      w[j] = e;
      total += e;
    }
    lse[rowAt] = top + Math.log(total);
    const scale = 1 / total;
    for (let d = 0; d < headDim; d++) sums[d] = 0;
    for (let j = first; j <= last; j++) {
      const weight = w[j]! * scale;
      const valueAt = ((n * capacity + j) * nHeads + h) * headDim;
      for (let d = 0; d < headDim; d++) sums[d] = sums[d]! + weight * v[valueAt + d]!;
    }
    const outAt = rowAt * headDim;
    for (let d = 0; d < headDim; d++) out[outAt + d] = sums[d]!;
  }
}

export function tauAttentionKeysBackward(
  buffers: readonly Floats[],
  p: Params,
  start: number,
  end: number,
): void {
  const [a, b, stats, v, dOut, dV, dB, dC, parts] = buffers as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const rows = p["rows"]!;
  const nHeads = p["nHeads"]!;
  const m = p["bands"]!;
  const headDim = p["headDim"]!;
  const window = p["window"]!;
  const tiles = headKernels(buffers, p);
  if (tiles !== undefined) {
    const far = p["batch"]! * rows * nHeads * m;
    for (let unit = start; unit < end; unit++) {
      const at = Math.floor(unit / nHeads) * rows * nHeads + (unit % nHeads);
      tiles.exports["tauBackwardHead"]!(
        a.byteOffset + at * m * 4,
        b.byteOffset + at * m * 4,
        stats.byteOffset + at * 16,
        v.byteOffset + at * headDim * 4,
        dOut.byteOffset + at * headDim * 4,
        dV.byteOffset + at * headDim * 4,
        dB.byteOffset + at * m * 4,
        dC.byteOffset + at * 4,
        parts.byteOffset + at * m * 4,
        parts.byteOffset + (far + at) * 4,
        nHeads,
        m,
        headDim,
        rows,
        tiles.scratch,
      );
    }
    return;
  }
  const simd = simdOfRows(buffers, rows);
  const keyRow = simd?.exports["tauKeyRow"];
  const bandSums = new Float64Array(m);
  for (let u = start * rows; u < end * rows; u++) {
    const j = u % rows;
    const h = Math.floor(u / rows) % nHeads;
    const n = Math.floor(u / (rows * nHeads));
    const keyAt = (n * rows + j) * nHeads + h;
    const valueAt = keyAt * headDim;
    const gamma = stats[4 * keyAt + 3]!;
    const salience = stats[4 * keyAt + 2]!;
    const last = window === 0 ? rows - 1 : Math.min(rows - 1, j + window - 1);
    if (keyRow !== undefined) {
      dC[keyAt] = keyRow(
        a.byteOffset + keyAt * m * 4,
        nHeads * m * 4,
        b.byteOffset + keyAt * m * 4,
        stats.byteOffset + keyAt * 16,
        nHeads * 16,
        v.byteOffset + valueAt * 4,
        dOut.byteOffset + valueAt * 4,
        nHeads * headDim * 4,
        dV.byteOffset + valueAt * 4,
        dB.byteOffset + keyAt * m * 4,
        simd!.scratch,
        last - j + 1,
        m,
        headDim,
        salience,
        gamma,
      );
      continue;
    }
    let salienceSum = 0;
    bandSums.fill(0);
    for (let d = 0; d < headDim; d++) sums[d] = 0;
    for (let i = j; i <= last; i++) {
      const rowAt = (n * rows + i) * nHeads + h;
      let score = salience - gamma * (i - j) - stats[4 * rowAt]!;
      for (let k = 0; k < m; k++) score -= Math.abs(a[rowAt * m + k]! - b[keyAt * m + k]!);
      const weight = Math.exp(score);
      if (weight === 0) continue;
      const outAt = rowAt * headDim;
      let dP = 0;
      for (let d = 0; d < headDim; d++) {
        const o = dOut[outAt + d]!;
        dP += o * v[valueAt + d]!;
        sums[d] = sums[d]! + weight * o;
      }
      const dS = weight * (dP - stats[4 * rowAt + 1]!);
      salienceSum += dS;
      for (let k = 0; k < m; k++)
        bandSums[k] = bandSums[k]! + dS * Math.sign(a[rowAt * m + k]! - b[keyAt * m + k]!);
    }
    dC[keyAt] = salienceSum;
    for (let k = 0; k < m; k++) dB[keyAt * m + k] = bandSums[k]!;
    for (let d = 0; d < headDim; d++) dV[valueAt + d] = sums[d]!;
  }
}

export function tauAttentionQueriesBackward(
  buffers: readonly Floats[],
  p: Params,
  start: number,
  end: number,
): void {
  const [a, b, stats, v, dOut, parts, dA, slopePartial] = buffers as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const rows = p["rows"]!;
  const nHeads = p["nHeads"]!;
  const m = p["bands"]!;
  const headDim = p["headDim"]!;
  const window = p["window"]!;
  if (headKernels(buffers, p) !== undefined) {
    const [from, to] = [start * rows, end * rows];
    const far = p["batch"]! * rows * nHeads * m;
    dA.set(parts.subarray(from * m, to * m), from * m);
    slopePartial.set(parts.subarray(far + from, far + to), from);
    return;
  }
  const simd = simdOfRows(buffers, rows);
  const queryRow = simd?.exports["tauQueryRow"];
  const bandSums = new Float64Array(m);
  for (let u = start * rows; u < end * rows; u++) {
    const i = u % rows;
    const h = Math.floor(u / rows) % nHeads;
    const n = Math.floor(u / (rows * nHeads));
    const rowAt = (n * rows + i) * nHeads + h;
    const outAt = rowAt * headDim;
    const lse = stats[4 * rowAt]!;
    const delta = stats[4 * rowAt + 1]!;
    const gamma = stats[4 * rowAt + 3]!;
    const first = window === 0 ? 0 : Math.max(0, i - window + 1);
    if (queryRow !== undefined) {
      const key = (n * rows + first) * nHeads + h;
      slopePartial[rowAt] = queryRow(
        a.byteOffset + rowAt * m * 4,
        b.byteOffset + key * m * 4,
        nHeads * m * 4,
        stats.byteOffset + key * 16 + 8,
        nHeads * 16,
        stats.byteOffset + rowAt * 16,
        v.byteOffset + key * headDim * 4,
        nHeads * headDim * 4,
        dOut.byteOffset + outAt * 4,
        dA.byteOffset + rowAt * m * 4,
        simd!.scratch,
        i - first + 1,
        m,
        headDim,
        i - first,
        gamma,
      );
      continue;
    }
    let distanceSum = 0;
    bandSums.fill(0);
    for (let j = first; j <= i; j++) {
      const keyAt = (n * rows + j) * nHeads + h;
      let score = stats[4 * keyAt + 2]! - gamma * (i - j) - lse;
      for (let k = 0; k < m; k++) score -= Math.abs(a[rowAt * m + k]! - b[keyAt * m + k]!);
      const weight = Math.exp(score);
      if (weight === 0) continue;
      const valueAt = keyAt * headDim;
      let dP = 0;
      for (let d = 0; d < headDim; d++) dP += dOut[outAt + d]! * v[valueAt + d]!;
      const dS = weight * (dP - delta);
      distanceSum += dS * (i - j);
      for (let k = 0; k < m; k++)
        bandSums[k] = bandSums[k]! + dS * Math.sign(a[rowAt * m + k]! - b[keyAt * m + k]!);
    }
    slopePartial[rowAt] = distanceSum;
    for (let k = 0; k < m; k++) dA[rowAt * m + k] = -bandSums[k]!;
  }
}
