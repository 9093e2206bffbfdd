/** Reference twin of joinColumns and splitColumns. Units are rows. */
import type { Floats } from "../graph.ts";

export interface ColumnSizes {
  readonly n1: number;
  readonly n2: number;
}

export function joinColumns(
  x1: Floats,
  x2: Floats,
  y: Floats,
  s: ColumnSizes,
  start: number,
  end: number,
): void {
  const n = s.n1 + s.n2;
  for (let r = start; r < end; r++) {
    for (let i = 0; i < s.n1; i++) y[r * n + i] = x1[r * s.n1 + i]!;
    for (let i = 0; i < s.n2; i++) y[r * n + s.n1 + i] = x2[r * s.n2 + i]!;
  }
}

export function splitColumns(
  y: Floats,
  x1: Floats,
  x2: Floats,
  s: ColumnSizes,
  start: number,
  end: number,
): void {
  const n = s.n1 + s.n2;
  for (let r = start; r < end; r++) {
    for (let i = 0; i < s.n1; i++) x1[r * s.n1 + i] = y[r * n + i]!;
    for (let i = 0; i < s.n2; i++) x2[r * s.n2 + i] = y[r * n + s.n1 + i]!;
  }
}
