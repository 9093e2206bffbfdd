/** Reference twin of streamWrite: y_i = Σ_j w_ij x_j + w_iS f. Units are tokens. */
import type { Floats } from "../graph.ts";
import { simdOf } from "./simd/bind.ts";

export function streamWriteForward(
  a: { x: Floats; weights: Floats; f: Floats; y: Floats; S: number; C: number },
  start: number,
  end: number,
): void {
  const { x, weights, f, y, S, C } = a;
  const simd = C % 4 === 0 ? simdOf([x, weights, f, y]) : undefined;
  if (simd !== undefined) {
    simd.exports["streamWriteForward"]!(
      x.byteOffset + start * S * C * 4,
      weights.byteOffset + start * S * (S + 1) * 4,
      f.byteOffset + start * C * 4,
      y.byteOffset + start * S * C * 4,
      end - start,
      S,
      C,
    );
    return;
  }
  for (let t = start; t < end; t++)
    for (let i = 0; i < S; i++) {
      const to = (t * S + i) * C;
      const row = (t * S + i) * (S + 1);
      const gain = weights[row + S]!;
      for (let c = 0; c < C; c++) y[to + c] = gain * f[t * C + c]!;
      for (let j = 0; j < S; j++) {
        const from = (t * S + j) * C;
        const weight = weights[row + j]!;
        for (let c = 0; c < C; c++) y[to + c]! += weight * x[from + c]!;
      }
    }
}

export function streamWriteBackward(
  a: {
    x: Floats;
    weights: Floats;
    f: Floats;
    dY: Floats;
    dWeights: Floats;
    dF: Floats;
    S: number;
    C: number;
  },
  start: number,
  end: number,
): void {
  const { x, weights, f, dY, dWeights, dF, S, C } = a;
  const simd = C % 4 === 0 ? simdOf([x, weights, f, dY, dWeights, dF]) : undefined;
  if (simd !== undefined) {
    simd.exports["streamWriteBackward"]!(
      x.byteOffset + start * S * C * 4,
      weights.byteOffset + start * S * (S + 1) * 4,
      f.byteOffset + start * C * 4,
      dY.byteOffset + start * S * C * 4,
      dWeights.byteOffset + start * S * (S + 1) * 4,
      dF.byteOffset + start * C * 4,
      end - start,
      S,
      C,
    );
    return;
  }
  for (let t = start; t < end; t++) {
    const branch = t * C;
    dF.fill(0, branch, branch + C);
    for (let i = 0; i < S; i++) {
      const at = (t * S + i) * C;
      const row = (t * S + i) * (S + 1);
      const gain = weights[row + S]!;
      let inner = 0;
      for (let c = 0; c < C; c++) {
        const d = dY[at + c]!;
        inner += d * f[branch + c]!;
        dF[branch + c]! += gain * d;
      }
      dWeights[row + S] = inner;
      for (let j = 0; j < S; j++) {
        const other = (t * S + j) * C;
        let product = 0;
        for (let c = 0; c < C; c++) product += dY[at + c]! * x[other + c]!;
        dWeights[row + j] = product;
      }
    }
  }
}
