/** Reference twin of dotAttention. Units are (batch, head, row), rows innermost; the forward computes lse and out. */
import type { Buffer, Floats, Params } from "../graph.ts";

let weights = new Float64Array(0);
const sums = new Float64Array(64);
const keySums = new Float64Array(64);

function dot(x: Floats, at: number, y: Floats, from: number, n: number): number {
  let sum = 0;
  for (let d = 0; d < n; d++) sum += x[at + d]! * y[from + d]!;
  return sum;
}

export function dotAttentionForward(
  buffers: readonly Buffer[],
  p: Params,
  start: number,
  end: number,
): void {
  const [q, k, slope, span, lse, v, out] = buffers as [
    Floats,
    Floats,
    Floats,
    Uint32Array,
    Floats,
    Floats,
    Floats,
  ];
  const offset = span[0]!;
  const rows = p["rows"]!;
  const capacity = p["capacity"]!;
  const nHeads = p["nHeads"]!;
  const headDim = p["headDim"]!;
  const window = p["window"]!;
  const scale = 1 / Math.sqrt(headDim);
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
    let top = -Infinity;
    for (let j = first; j <= last; j++) {
      const keyAt = ((n * capacity + j) * nHeads + h) * headDim;
      const score = scale * dot(q, rowAt * headDim, k, keyAt, headDim) - gamma * (position - j);
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
    for (let d = 0; d < headDim; d++) sums[d] = 0;
    for (let j = first; j <= last; j++) {
      const weight = w[j]! / total;
      const valueAt = ((n * capacity + j) * nHeads + h) * headDim;
      for (let d = 0; d < headDim; d++) sums[d] = sums[d]! + weight * v[valueAt + d]!;
    }
    for (let d = 0; d < headDim; d++) out[rowAt * headDim + d] = sums[d]!;
  }
}

export function dotAttentionKeysBackward(
  buffers: readonly Floats[],
  p: Params,
  start: number,
  end: number,
): void {
  const [q, k, slope, stats, dOut, v, dV, dK] = buffers as [
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
  const headDim = p["headDim"]!;
  const window = p["window"]!;
  const scale = 1 / Math.sqrt(headDim);
  for (let u = start; u < end; u++) {
    const j = u % rows;
    const h = Math.floor(u / rows) % nHeads;
    const n = Math.floor(u / (rows * nHeads));
    const keyAt = ((n * rows + j) * nHeads + h) * headDim;
    const gamma = slope[h]!;
    const last = window === 0 ? rows - 1 : Math.min(rows - 1, j + window - 1);
    for (let d = 0; d < headDim; d++) {
      sums[d] = 0;
      keySums[d] = 0;
    }
    for (let i = j; i <= last; i++) {
      const row = (n * rows + i) * nHeads + h;
      const at = row * headDim;
      const score = scale * dot(q, at, k, keyAt, headDim) - gamma * (i - j);
      const weight = Math.exp(score - stats[2 * row]!);
      const dS = weight * (dot(dOut, at, v, keyAt, headDim) - stats[2 * row + 1]!) * scale;
      for (let d = 0; d < headDim; d++) {
        sums[d] = sums[d]! + weight * dOut[at + d]!;
        keySums[d] = keySums[d]! + dS * q[at + d]!;
      }
    }
    for (let d = 0; d < headDim; d++) {
      dV[keyAt + d] = sums[d]!;
      dK[keyAt + d] = keySums[d]!;
    }
  }
}

export function dotAttentionQueriesBackward(
  buffers: readonly Floats[],
  p: Params,
  start: number,
  end: number,
): void {
  const [q, k, slope, stats, dOut, v, dQ, slopePartial] = buffers as [
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
  const headDim = p["headDim"]!;
  const window = p["window"]!;
  const scale = 1 / Math.sqrt(headDim);
  for (let u = start; u < end; u++) {
    const i = u % rows;
    const h = Math.floor(u / rows) % nHeads;
    const n = Math.floor(u / (rows * nHeads));
    const row = (n * rows + i) * nHeads + h;
    const at = row * headDim;
    const gamma = slope[h]!;
    const first = window === 0 ? 0 : Math.max(0, i - window + 1);
    let distanceSum = 0;
    for (let d = 0; d < headDim; d++) sums[d] = 0;
    for (let j = first; j <= i; j++) {
      const keyAt = ((n * rows + j) * nHeads + h) * headDim;
      const score = scale * dot(q, at, k, keyAt, headDim) - gamma * (i - j);
      const weight = Math.exp(score - stats[2 * row]!);
      const dS = weight * (dot(dOut, at, v, keyAt, headDim) - stats[2 * row + 1]!);
      distanceSum += dS * (i - j);
      for (let d = 0; d < headDim; d++) sums[d] = sums[d]! + dS * scale * k[keyAt + d]!;
    }
    slopePartial[row] = distanceSum;
    for (let d = 0; d < headDim; d++) dQ[at + d] = sums[d]!;
  }
}
