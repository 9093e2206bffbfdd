/** Reference twin of streamRead: h = Σ_j pre_j x_j. Units are tokens. */
import type { Floats } from "../graph.ts";

export function streamReadForward(
  a: { x: Floats; pre: Floats; h: Floats; S: number; C: number },
  start: number,
  end: number,
): void {
  const { x, pre, h, S, C } = a;
  for (let t = start; t < end; t++) {
    const to = t * C;
    for (let j = 0; j < S; j++) {
      const from = (t * S + j) * C;
      const weight = pre[t * S + j]!;
      if (j === 0) for (let c = 0; c < C; c++) h[to + c] = weight * x[from + c]!;
      else for (let c = 0; c < C; c++) h[to + c]! += weight * x[from + c]!;
    }
  }
}

export function streamReadBackward(
  a: {
    x: Floats;
    pre: Floats;
    dH: Floats;
    dPre: Floats;
    dX: Floats;
    S: number;
    C: number;
    accumulate: 0 | 1;
  },
  start: number,
  end: number,
): void {
  const { x, pre, dH, dPre, dX, S, C, accumulate } = a;
  for (let t = start; t < end; t++) {
    const at = t * C;
    for (let j = 0; j < S; j++) {
      const to = (t * S + j) * C;
      const weight = pre[t * S + j]!;
      let inner = 0;
      for (let c = 0; c < C; c++) inner += dH[at + c]! * x[to + c]!;
      dPre[t * S + j] = inner;
      if (accumulate === 1) for (let c = 0; c < C; c++) dX[to + c]! += weight * dH[at + c]!;
      else for (let c = 0; c < C; c++) dX[to + c] = weight * dH[at + c]!;
    }
  }
}
