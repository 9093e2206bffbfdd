/** Reference twins of streamSpread and streamSum. Units are tokens. */
import type { Floats } from "../graph.ts";

export interface StreamsArgs {
  readonly x: Floats;
  readonly y: Floats;
  readonly S: number;
  readonly C: number;
  readonly scale: number;
}

/** y [T, S, C]: every stream is scale·x. */
export function streamSpread(a: StreamsArgs, start: number, end: number): void {
  const { x, y, S, C, scale } = a;
  for (let t = start; t < end; t++)
    for (let s = 0; s < S; s++) {
      const to = (t * S + s) * C;
      for (let c = 0; c < C; c++) y[to + c] = scale * x[t * C + c]!;
    }
}

/** y [T, C]: scale times the sum of the streams of x [T, S, C]. */
export function streamSum(a: StreamsArgs, start: number, end: number): void {
  const { x, y, S, C, scale } = a;
  for (let t = start; t < end; t++) {
    const from = t * S * C;
    for (let c = 0; c < C; c++) {
      let sum = 0;
      for (let s = 0; s < S; s++) sum += x[from + s * C + c]!;
      y[t * C + c] = scale * sum;
    }
  }
}
