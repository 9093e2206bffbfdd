/** Reference twin of scaleHeads. Units are rows, then chunks of rows. */
import type { Floats, Params } from "../graph.ts";

const softplus = (r: number): number => Math.max(r, 0) + Math.log1p(Math.exp(-Math.abs(r)));

export function scaleHeadsForward(
  buffers: readonly Floats[],
  scale: number,
  start: number,
  end: number,
): void {
  const [x, raw, y] = buffers as [Floats, Floats, Floats];
  const n = raw.length;
  for (let column = 0; column < n; column++) {
    const gain = softplus(raw[column]!) * scale;
    for (let i = start * n + column; i < end * n; i += n) y[i] = x[i]! * gain;
  }
}

export function scaleHeadsBackwardPartials(
  buffers: readonly Floats[],
  p: Params,
  start: number,
  end: number,
): void {
  const [x, raw, dY, partial] = buffers as [Floats, Floats, Floats, Floats];
  const n = p["n"]!;
  const chunk = p["chunk"]!;
  for (let at = start; at < end; at++) {
    const last = Math.min(p["rows"]!, (at + 1) * chunk);
    for (let column = 0; column < n; column++) {
      let sum = 0;
      for (let r = at * chunk; r < last; r++) sum += dY[r * n + column]! * x[r * n + column]!;
      partial[at * n + column] = (sum * p["scale"]!) / (1 + Math.exp(-raw[column]!));
    }
  }
}
