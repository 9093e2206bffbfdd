/** Reference twin of adamStep. Units are elements. */
import type { Floats } from "../graph.ts";

export interface AdamBuffers {
  readonly param: Floats;
  readonly grad: Floats;
  readonly m: Floats;
  readonly v: Floats;
  readonly hyper: Floats;
  readonly verdict: Floats;
}

export function adamStep(b: AdamBuffers, start: number, end: number): void {
  const { param, grad, m, v, hyper, verdict } = b;
  if (verdict[0] === 0) return;
  const unscale = verdict[1]!;
  const lr = hyper[0]!;
  const beta1 = hyper[1]!;
  const beta2 = hyper[2]!;
  const eps = hyper[3]!;
  const weightDecay = hyper[4]!;
  const correction1 = hyper[5]!;
  const correction2 = hyper[6]!;
  const cautious = hyper[7]!;
  for (let i = start; i < end; i++) {
    const g = grad[i]! * unscale;
    const first = beta1 * m[i]! + (1 - beta1) * g;
    const second = beta2 * v[i]! + (1 - beta2) * g * g;
    m[i] = first;
    v[i] = second;
    const step = first / correction1 / (Math.sqrt(second / correction2) + eps);
    const p = param[i]!;
    const decay = cautious === 0 || step * p > 0 ? weightDecay : 0;
    param[i] = p - lr * (decay * p + step);
  }
}
