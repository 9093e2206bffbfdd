/** Reference twin of gridAttentionScalars. Units are rows with heads. */
import type { Floats, Params } from "../graph.ts";

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

export function forward(t: readonly Floats[], p: Params, start: number, end: number): void {
  const [rawA, rawB, offset, heat, a, b, temperature] = t as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const nHeads = p["nHeads"]!;
  for (let i = start; i < end; i++) {
    const h = i % nHeads;
    a[i] = logistic(rawA[i]! - offset[h]!);
    b[i] = logistic(rawB[i]! - offset[h]!);
    if (i === h)
      temperature[h] =
        p["coldest"]! + Math.max(heat[h]!, 0) + Math.log1p(Math.exp(-Math.abs(heat[h]!)));
  }
}

export function backward(t: readonly Floats[], p: Params, start: number, end: number): void {
  const [a, b, dA, dB, dTemperature, heat, dRawA, dRawB, partial, dHeat] = t as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  for (let i = start; i < end; i++) {
    const x = dA[i]! * a[i]! * (1 - a[i]!);
    const y = dB[i]! * b[i]! * (1 - b[i]!);
    dRawA[i] = x;
    dRawB[i] = y;
    partial[i] = x + y;
    if (i < p["nHeads"]!) dHeat[i] = dTemperature[i]! * logistic(heat[i]!);
  }
}
