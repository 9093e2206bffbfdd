/** Reference twin of streamWrite: y_i = Σ_j mix_ij x_j + post_i f. Units are tokens. */
import type { Floats } from "../graph.ts";

export function streamWriteForward(
  a: { x: Floats; mix: Floats; post: Floats; f: Floats; y: Floats; S: number; C: number },
  start: number,
  end: number,
): void {
  const { x, mix, post, f, y, S, C } = a;
  for (let t = start; t < end; t++)
    for (let i = 0; i < S; i++) {
      const to = (t * S + i) * C;
      const gain = post[t * S + i]!;
      for (let c = 0; c < C; c++) y[to + c] = gain * f[t * C + c]!;
      for (let j = 0; j < S; j++) {
        const from = (t * S + j) * C;
        const weight = mix[(t * S + i) * S + j]!;
        for (let c = 0; c < C; c++) y[to + c]! += weight * x[from + c]!;
      }
    }
}

export function streamWriteBackward(
  a: {
    x: Floats;
    mix: Floats;
    post: Floats;
    f: Floats;
    dY: Floats;
    dX: Floats;
    dMix: Floats;
    dPost: Floats;
    dF: Floats;
    S: number;
    C: number;
  },
  start: number,
  end: number,
): void {
  const { x, mix, post, f, dY, dX, dMix, dPost, dF, S, C } = a;
  for (let t = start; t < end; t++) {
    const branch = t * C;
    const streams = t * S * C;
    dF.fill(0, branch, branch + C);
    dX.fill(0, streams, streams + S * C);
    for (let i = 0; i < S; i++) {
      const at = streams + i * C;
      const gain = post[t * S + i]!;
      let inner = 0;
      for (let c = 0; c < C; c++) {
        const d = dY[at + c]!;
        inner += d * f[branch + c]!;
        dF[branch + c]! += gain * d;
      }
      dPost[t * S + i] = inner;
      for (let j = 0; j < S; j++) {
        const other = streams + j * C;
        const weight = mix[(t * S + i) * S + j]!;
        let product = 0;
        for (let c = 0; c < C; c++) {
          const d = dY[at + c]!;
          product += d * x[other + c]!;
          dX[other + c]! += weight * d;
        }
        dMix[(t * S + i) * S + j] = product;
      }
    }
  }
}
