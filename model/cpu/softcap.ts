/** Reference twin of softcap: y = cap·tanh(x / cap). Units are elements. */
import type { Floats } from "../graph.ts";

export function softcapForward(
  x: Floats,
  y: Floats,
  cap: number,
  start: number,
  end: number,
): void {
  for (let i = start; i < end; i++) y[i] = cap * Math.tanh(x[i]! / cap);
}

export function softcapBackward(
  x: Floats,
  dY: Floats,
  dX: Floats,
  cap: number,
  start: number,
  end: number,
): void {
  for (let i = start; i < end; i++) {
    const t = Math.tanh(x[i]! / cap);
    dX[i] = dY[i]! * (1 - t * t);
  }
}
