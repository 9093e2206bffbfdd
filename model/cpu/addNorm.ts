/** Reference twin of addNorm. Units are rows. */
import type { Floats } from "../graph.ts";
import { simdOf } from "./simd/bind.ts";

const EPS = 1e-6;

export function addNorm(
  a: { x: Floats; f: Floats; y: Floats; normed: Floats; C: number },
  start: number,
  end: number,
): void {
  const { x, f, y, normed, C } = a;
  const simd = C % 4 === 0 ? simdOf([x, f, y, normed]) : undefined;
  if (simd !== undefined) {
    const at = start * C * 4;
    simd.exports["addNorm"]!(
      x.byteOffset + at,
      f.byteOffset + at,
      y.byteOffset + at,
      normed.byteOffset + at,
      end - start,
      C,
    );
    return;
  }
  for (let row = start; row < end; row++) {
    const from = row * C;
    const to = from + C;
    let sum = 0;
    for (let i = from; i < to; i++) {
      const value = x[i]! + f[i]!;
      y[i] = value;
      sum += value * value;
    }
    const scale = 1 / Math.sqrt(sum / C + EPS);
    for (let i = from; i < to; i++) normed[i] = y[i]! * scale;
  }
}
