/**
 * Reference twin of matmul: out (+)= op(a)·op(b), each entry one chain over k in ascending order.
 * Units are rows of out over the whole batch: unit = z·m + row. On float32 in the CPU device's memory the SIMD
 * kernel does the rows: it rounds to float32 at every step where the plain loops add up in float64.
 */
import type { Floats } from "../graph.ts";
import { simdFor, type SimdKernels } from "./simd/bind.ts";

export interface MatmulShape {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA: number;
  readonly transposeB: number;
  readonly accumulate: number;
}

export function matmul(
  a: Floats,
  b: Floats,
  out: Floats,
  s: MatmulShape,
  start: number,
  end: number,
): void {
  const simd = a instanceof Float32Array ? simdFor(a) : undefined;
  if (simd !== undefined && simdFor(b) === simd && simdFor(out) === simd) {
    matmulSimd(simd, a, b, out, s, start, end);
    return;
  }
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

function matmulSimd(
  simd: SimdKernels,
  a: Floats,
  b: Floats,
  out: Floats,
  s: MatmulShape,
  start: number,
  end: number,
): void {
  const { m, k, n } = s;
  const rowStep = s.transposeA === 1 ? 4 : k * 4;
  const step = s.transposeA === 1 ? m * 4 : 4;
  for (let unit = start; unit < end;) {
    const z = Math.floor(unit / m);
    const row = unit - z * m;
    const rows = Math.min(m - row, end - unit);
    simd.exports["matmulRows"]!(
      a.byteOffset + z * m * k * 4 + row * rowStep,
      rowStep,
      step,
      b.byteOffset + z * k * n * 4,
      s.transposeB,
      out.byteOffset + unit * n * 4,
      rows,
      k,
      n,
      s.accumulate,
      simd.scratch,
    );
    unit += rows;
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
