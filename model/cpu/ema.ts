/** Reference twin of emaStep. Units are elements. */
import type { Floats } from "../graph.ts";

export function emaStep(
  param: Floats,
  ema: Floats,
  decay: number,
  start: number,
  end: number,
): void {
  for (let i = start; i < end; i++) ema[i]! += (1 - decay) * (param[i]! - ema[i]!);
}
