/**
 * Reference twin of matmul: out (+)= op(a)·op(b), each entry one chain over k in ascending order.
 * Units are rows of out over the whole batch: unit = z·m + row. On float32 in the CPU device's memory the SIMD
 * kernel does the rows: it rounds to float32 at every step where the plain loops add up in float64.
 */
import type { Floats } from "../graph.ts";
import { simdOf, type SimdKernels } from "./simd/bind.ts";

export interface MatmulShape {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA: number;
  readonly transposeB: number;
  readonly accumulate: number;
}

/** What becomes of a finished entry; `hidden` is of out's shape, shares are of blend alone. */
export interface MatmulEpilogue {
  readonly kind: "reluSquared" | "reluSquaredBackward" | "blend";
  readonly hidden?: Floats | undefined;
  readonly hiddenShare?: number;
  readonly productShare?: number;
}

/** Kinds by number, as the SIMD kernel knows them. */
const EPILOGUE_NUMBERS = { reluSquared: 1, reluSquaredBackward: 2, blend: 3 } as const;

export function matmul(
  a: Floats,
  b: Floats,
  out: Floats,
  s: MatmulShape,
  start: number,
  end: number,
  epilogue?: MatmulEpilogue,
): void {
  const simd = simdOf([a, b, out, epilogue?.hidden ?? out]);
  if (simd !== undefined) {
    matmulSimd(simd, a, b, out, s, start, end, epilogue);
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
  if (epilogue !== undefined) finish(out, epilogue, start * n, end * n);
}

function finish(out: Floats, e: MatmulEpilogue, from: number, to: number): void {
  const hidden = e.hidden!;
  if (e.kind === "reluSquared")
    for (let i = from; i < to; i++) {
      const r = Math.max(out[i]!, 0);
      out[i] = r * r;
    }
  else if (e.kind === "reluSquaredBackward")
    for (let i = from; i < to; i++) out[i]! *= 2 * Math.sqrt(hidden[i]!);
  else {
    const { hiddenShare = 1, productShare = 1 } = e;
    for (let i = from; i < to; i++) out[i] = hiddenShare * hidden[i]! + productShare * out[i]!;
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
  epilogue?: MatmulEpilogue,
): void {
  const { m, k, n } = s;
  const kind = epilogue === undefined ? 0 : EPILOGUE_NUMBERS[epilogue.kind];
  const hidden = (epilogue?.hidden ?? out).byteOffset;
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
      kind,
      hidden + unit * n * 4,
      epilogue?.hiddenShare ?? 1,
      epilogue?.productShare ?? 1,
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
  if (s.splits === 1 && s.accumulate === 0) {
    out.set(parts.subarray(start, end), start);
    return;
  }
  for (let i = start; i < end; i++) {
    let sum = 0;
    for (let p = 0; p < s.splits; p++) sum += parts[p * s.size + i]!;
    out[i] = s.accumulate === 1 ? out[i]! + sum : sum;
  }
}

/** The columns of `parts` [m, n] handed to matrices [m, width] in turn. Units are rows. */
export function sumColumns(
  parts: Floats,
  outs: readonly { readonly out: Floats; readonly width: number; readonly adds: number }[],
  n: number,
  start: number,
  end: number,
): void {
  for (let row = start; row < end; row++) {
    let from = row * n;
    for (const { out, width, adds } of outs) {
      const to = row * width;
      for (let i = 0; i < width; i++)
        out[to + i] = adds === 1 ? out[to + i]! + parts[from + i]! : parts[from + i]!;
      from += width;
    }
  }
}
