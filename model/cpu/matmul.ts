/**
 * Reference twin of matmul: out (+)= op(a)·op(b), each entry one chain over k in ascending order.
 * Units are rows of out over the whole batch: unit = z·m + row.
 */
import type { Floats } from "../graph.ts";

export interface MatmulShape {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA: number;
  readonly transposeB: number;
  readonly accumulate: number;
}

export function matmul(a: Floats, b: Floats, out: Floats, s: MatmulShape, start: number, end: number): void {
  const { m, k, n } = s;
  const aRowStep = s.transposeA === 1 ? 1 : k;
  const aStep = s.transposeA === 1 ? m : 1;
  const row = new Float64Array(n);
  for (let unit = start; unit < end; unit++) {
    const z = Math.floor(unit / m);
    const aAt = z * m * k + (unit % m) * aRowStep;
    const bAt = z * k * n;
    const outAt = unit * n;
    row.fill(0);
    if (s.transposeB === 0) {
      for (let i = 0; i < k; i++) {
        const x = a[aAt + i * aStep]!;
        const bRow = bAt + i * n;
        for (let j = 0; j < n; j++) row[j]! += x * b[bRow + j]!;
      }
    } else {
      for (let j = 0; j < n; j++) {
        const bRow = bAt + j * k;
        let sum = 0;
        for (let i = 0; i < k; i++) sum += a[aAt + i * aStep]! * b[bRow + i]!;
        row[j] = sum;
      }
    }
    if (s.accumulate === 1) for (let j = 0; j < n; j++) out[outAt + j]! += row[j]!;
    else for (let j = 0; j < n; j++) out[outAt + j] = row[j]!;
  }
}

/** out (+)= the sum of `splits` parts in ascending order. Units are entries of out. */
export function sumParts(
  parts: Floats,
  out: Floats,
  s: { readonly size: number; readonly splits: number; readonly accumulate: number },
  start: number,
  end: number,
): void {
  for (let i = start; i < end; i++) {
    let sum = 0;
    for (let p = 0; p < s.splits; p++) sum += parts[p * s.size + i]!;
    out[i] = s.accumulate === 1 ? out[i]! + sum : sum;
  }
}
