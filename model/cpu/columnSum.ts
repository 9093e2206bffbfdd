/** Reference twins of columnSum's two passes (units: chunks, then columns) and of weightedTotal (one unit). */
import type { Floats } from "../graph.ts";

/** sums [chunks, C]: x's columns summed over chunks of rowsPerChunk rows. */
export function columnSumPartials(
  a: { x: Floats; sums: Floats; rows: number; C: number; rowsPerChunk: number },
  start: number,
  end: number,
): void {
  const { x, sums, rows, C, rowsPerChunk } = a;
  const columns = new Float64Array(C);
  for (let chunk = start; chunk < end; chunk++) {
    columns.fill(0);
    const last = Math.min(rows, (chunk + 1) * rowsPerChunk);
    for (let r = chunk * rowsPerChunk; r < last; r++) {
      const from = r * C;
      for (let c = 0; c < C; c++) columns[c]! += x[from + c]!;
    }
    sums.set(columns, chunk * C);
  }
}

export function columnSumCombine(
  a: { sums: Floats; out: Floats; chunks: number; C: number; accumulate: 0 | 1 },
  start: number,
  end: number,
): void {
  const { sums, out, chunks, C, accumulate } = a;
  for (let c = start; c < end; c++) {
    let sum = 0;
    for (let k = 0; k < chunks; k++) sum += sums[k * C + c]!;
    out[c] = accumulate === 1 ? out[c]! + sum : sum;
  }
}

export function weightedTotal(x: Floats, weight: Floats, out: Floats): void {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]!;
  out[0] = sum * weight[0]!;
}
