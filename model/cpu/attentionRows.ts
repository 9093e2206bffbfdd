/** Reference twin of attentionRows: per-row statistics and the slope's column sum. Units are rows, then heads. */
import type { Floats, Params } from "../graph.ts";

export function attentionRowStats(
  buffers: readonly Floats[],
  headDim: number,
  start: number,
  end: number,
): void {
  const [dOut, out, lse, stats] = buffers as [Floats, Floats, Floats, Floats];
  for (let u = start; u < end; u++) {
    const at = u * headDim;
    let sum = 0;
    for (let d = 0; d < headDim; d++) sum += dOut[at + d]! * out[at + d]!;
    stats[2 * u] = lse[u]!;
    stats[2 * u + 1] = sum;
  }
}

export function attentionRowScalars(
  buffers: readonly Floats[],
  p: Params,
  start: number,
  end: number,
): void {
  const [dOut, out, lse, c, slope, stats] = buffers as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const headDim = p["headDim"]!;
  const nHeads = p["nHeads"]!;
  for (let u = start; u < end; u++) {
    const at = u * headDim;
    let sum = 0;
    for (let d = 0; d < headDim; d++) sum += dOut[at + d]! * out[at + d]!;
    stats[4 * u] = lse[u]!;
    stats[4 * u + 1] = sum;
    stats[4 * u + 2] = c[u]!;
    stats[4 * u + 3] = slope[u % nHeads]!;
  }
}

export function attentionSlopeReduce(
  buffers: readonly Floats[],
  p: Params,
  start: number,
  end: number,
): void {
  const [partial, dSlope] = buffers as [Floats, Floats];
  const n = p["n"]!;
  const nHeads = p["nHeads"]!;
  for (let h = start; h < end; h++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += partial[i * nHeads + h]!;
    dSlope[h] = -sum;
  }
}
