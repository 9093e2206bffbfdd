/** Reference twin of engramStep: Adam on touched rows. Units are entries of the touched list. */
import type { Floats } from "../graph.ts";

export interface EngramStepBuffers {
  readonly table: Floats;
  readonly m: Floats;
  readonly v: Floats;
  readonly grad: Floats;
  readonly touched: Uint32Array;
  readonly hyper: Floats;
  readonly verdict: Floats;
  readonly C: number;
}

const LANES = 4;

export function engramStep(b: EngramStepBuffers, start: number, end: number): void {
  const { table, m, v, grad, touched, hyper, verdict, C } = b;
  if (verdict[0] === 0) return;
  const unscale = verdict[1]!;
  const [lr, beta1, beta2, eps] = [hyper[0]!, hyper[1]!, hyper[2]!, hyper[3]!];
  const [correction1, correction2] = [hyper[5]!, hyper[6]!];
  const last = Math.min(end, touched[0]!);
  for (let entry = start; entry < last; entry++) {
    const shift = (touched[1 + entry]! - entry) * C;
    for (let from = entry * C; from < (entry + 1) * C; from += LANES) {
      let finite = true;
      for (let i = from; i < from + LANES; i++) finite &&= Number.isFinite(grad[i]);
      if (!finite) continue;
      for (let i = from; i < from + LANES; i++) {
        const at = i + shift;
        const g = grad[i]! * unscale;
        const first = beta1 * m[at]! + (1 - beta1) * g;
        const second = beta2 * v[at]! + (1 - beta2) * g * g;
        m[at] = first;
        v[at] = second;
        table[at]! -= (lr * (first / correction1)) / (Math.sqrt(second / correction2) + eps);
      }
    }
  }
}
