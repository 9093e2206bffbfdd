/** Reference twin of reluSquared: y = max(x, 0)². Units are elements. */
import type { Floats } from "../graph.ts";

export function reluSquaredForward(x: Floats, y: Floats, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    const r = Math.max(x[i]!, 0);
    y[i] = r * r;
  }
}

export function reluSquaredBackward(
  x: Floats,
  dY: Floats,
  dX: Floats,
  start: number,
  end: number,
): void {
  for (let i = start; i < end; i++) dX[i] = 2 * Math.max(x[i]!, 0) * dY[i]!;
}
