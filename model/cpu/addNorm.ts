/** Reference twin of addNorm. Units are rows. */
import type { Floats } from "../graph.ts";

const EPS = 1e-6;

export function addNorm(
  a: { x: Floats; f: Floats; y: Floats; normed: Floats; C: number },
  start: number,
  end: number,
): void {
  const { x, f, y, normed, C } = a;
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
