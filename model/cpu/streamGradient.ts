/** Reference twin of streamGradient. Units are tokens. */
import type { Floats } from "../graph.ts";
import { matmul } from "./matmul.ts";

export function streamGradient(
  v: {
    x: Floats;
    dNormed: Floats;
    terms: Floats;
    dU: Floats;
    phi: Floats;
    dX: Floats;
    S: number;
    C: number;
    M: number;
    /** Entries of terms per token. */
    stride: number;
  },
  start: number,
  end: number,
): void {
  const { x, dNormed, terms, dU, phi, dX, S, C, M } = v;
  const dY = new Float64Array(S);
  for (let t = start; t < end; t++) {
    const mix = t * v.stride;
    const pre = mix + S * S;
    const [scale, slope, along] = terms.subarray(pre + S, pre + S + 3) as unknown as [
      number,
      number,
      number,
    ];
    for (let c = 0; c < C; c++) {
      const at = t * S * C + c;
      let h = 0;
      for (let i = 0; i < S; i++) {
        dY[i] = dX[at + i * C]!;
        h += terms[pre + i]! * x[at + i * C]!;
      }
      const dH = scale * dNormed[t * C + c]! + slope * h;
      for (let j = 0; j < S; j++) {
        let sum = terms[pre + j]! * dH + along * x[at + j * C]!;
        for (let i = 0; i < S; i++) sum += terms[mix + i * S + j]! * dY[i]!;
        dX[at + j * C] = sum;
      }
    }
  }
  // dU·phiᵀ is added by the matrix product, which has SIMD: a plain loop took a seventh of a step on the CPU.
  const m = dU.length / M;
  const shape = { m, k: M, n: S * C, transposeA: 0, transposeB: 1, accumulate: 1 };
  matmul(dU, phi, dX, shape, start, end);
}
