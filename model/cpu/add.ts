/** Reference twins of add and addInto. Units are elements. */
import type { Floats } from "../graph.ts";

export function addForward(
  a: { x: Floats; z: Floats; y: Floats; scale: number },
  start: number,
  end: number,
): void {
  const { x, z, y, scale } = a;
  for (let i = start; i < end; i++) y[i] = x[i]! + scale * z[i]!;
}

export function addInto(
  a: { x: Floats; y: Floats; scale: number },
  start: number,
  end: number,
): void {
  const { x, y, scale } = a;
  for (let i = start; i < end; i++) y[i]! += scale * x[i]!;
}
