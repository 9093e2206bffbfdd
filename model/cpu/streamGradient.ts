/** Reference twin of streamGradient. Units are tokens. */
import type { Floats } from "../graph.ts";
import { matmul } from "./matmul.ts";
import { simdOf } from "./simd/bind.ts";

export interface StreamGradient {
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
}

export function streamGradient(v: StreamGradient, start: number, end: number): void {
  const { x, dNormed, terms, dU, phi, dX, S, C, M } = v;
  const simd = S === 4 && C % 4 === 0 ? simdOf([x, dNormed, terms, dX]) : undefined;
  if (simd === undefined) throughMixing(v, start, end);
  else
    simd.exports["streamGradient4"]!(
      x.byteOffset + start * S * C * 4,
      dNormed.byteOffset + start * C * 4,
      terms.byteOffset + start * v.stride * 4,
      v.stride * 4,
      dX.byteOffset + start * S * C * 4,
      end - start,
      C,
    );
  // dU·phiᵀ is added by the matrix product, which has SIMD: a plain loop took a seventh of a step on the CPU.
  const m = dU.length / M;
  const shape = { m, k: M, n: S * C, transposeA: 0, transposeB: 1, accumulate: 1 };
  matmul(dU, phi, dX, shape, start, end);
}

/** Everything but phi's part. */
function throughMixing(v: StreamGradient, start: number, end: number): void {
  const { x, dNormed, terms, dX, S, C } = v;
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
}
