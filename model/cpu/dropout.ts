/** Reference twin of dropout: the same elements as on the GPU. Units are elements. */
import type { Floats } from "../graph.ts";
import { hash32 } from "../random.ts";

export function dropoutForward(
  a: { x: Floats; seed: Uint32Array; y: Floats; site: number; threshold: number; scale: number },
  start: number,
  end: number,
): void {
  const { x, seed, y, site, threshold, scale } = a;
  const key = hash32(hash32(seed[0]!, seed[1]!), site);
  for (let i = start; i < end; i++) y[i] = hash32(key, i) >= threshold ? x[i]! * scale : 0;
}
