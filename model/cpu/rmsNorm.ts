/** Reference twin of rmsNorm: y = x / sqrt(mean(x²) + 1e-6) per row. Units are rows. */
import type { Floats } from "../graph.ts";
import { simdOf } from "./simd/bind.ts";

const EPS = 1e-6;

export function rmsNormForward(
  a: { x: Floats; y: Floats; C: number },
  start: number,
  end: number,
): void {
  const { x, y, C } = a;
  const simd = C % 4 === 0 ? simdOf([x, y]) : undefined;
  if (simd !== undefined) {
    const at = start * C * 4;
    simd.exports["rmsNormForward"]!(x.byteOffset + at, y.byteOffset + at, end - start, C);
    return;
  }
  for (let row = start; row < end; row++) {
    const from = row * C;
    const to = from + C;
    let sum = 0;
    for (let i = from; i < to; i++) sum += x[i]! * x[i]!;
    const scale = 1 / Math.sqrt(sum / C + EPS);
    for (let i = from; i < to; i++) y[i] = x[i]! * scale;
  }
}

/** dX = dY·s − x·s³·⟨x, dY⟩/C with s = 1/sqrt(mean(x²) + 1e-6). */
export function rmsNormBackward(
  a: { x: Floats; dY: Floats; dX: Floats; C: number; accumulate: 0 | 1 },
  start: number,
  end: number,
): void {
  const { x, dY, dX, C, accumulate } = a;
  const simd = C % 4 === 0 ? simdOf([x, dY, dX]) : undefined;
  if (simd !== undefined) {
    const at = start * C * 4;
    simd.exports["rmsNormBackward"]!(
      x.byteOffset + at,
      dY.byteOffset + at,
      dX.byteOffset + at,
      end - start,
      C,
      accumulate,
    );
    return;
  }
  for (let row = start; row < end; row++) {
    const from = row * C;
    const to = from + C;
    let sum = 0;
    let inner = 0;
    for (let i = from; i < to; i++) {
      sum += x[i]! * x[i]!;
      inner += x[i]! * dY[i]!;
    }
    const scale = 1 / Math.sqrt(sum / C + EPS);
    const along = (scale * scale * scale * inner) / C;
    if (accumulate === 1) for (let i = from; i < to; i++) dX[i]! += dY[i]! * scale - x[i]! * along;
    else for (let i = from; i < to; i++) dX[i] = dY[i]! * scale - x[i]! * along;
  }
}
