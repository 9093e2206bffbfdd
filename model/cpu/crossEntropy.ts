/** Reference twin of crossEntropy. Units are rows. The cap bounds z, so no maximum is subtracted. */
import type { Floats } from "../graph.ts";
import { SCRATCH_BYTES, simdOf } from "./simd/bind.ts";

/** A target that is not scored. */
export const SKIP = 0xffffffff;

export function crossEntropy(
  a: {
    logits: Floats;
    targets: Uint32Array;
    weight: Floats;
    loss: Floats;
    dLogits: Floats;
    V: number;
    cap: number;
  },
  start: number,
  end: number,
): void {
  const { logits, targets, weight, loss, dLogits, V, cap } = a;
  const simd =
    V % 4 === 0 && V * 4 <= SCRATCH_BYTES ? simdOf([logits, dLogits, weight]) : undefined;
  const simdRow = simd?.exports["crossEntropyRow"];
  const exponentials = new Float64Array(V);
  const slopes = new Float64Array(V);
  for (let row = start; row < end; row++) {
    const target = targets[row]!;
    const from = row * V;
    if (target >= V) {
      loss[row] = 0;
      dLogits.fill(0, from, from + V);
      continue;
    }
    if (simdRow !== undefined) {
      loss[row] = simdRow(
        logits.byteOffset + from * 4,
        dLogits.byteOffset + from * 4,
        target,
        V,
        cap,
        weight[0]!,
        simd!.scratch,
      );
      continue;
    }
    let sum = 0;
    let goal = 0;
    for (let v = 0; v < V; v++) {
      const t = tanh(logits[from + v]! / cap);
      const e = Math.exp(cap * (t - 1));
      if (v === target) goal = t;
      slopes[v] = 1 - t * t;
      exponentials[v] = e;
      sum += e;
    }
    loss[row] = (Math.log(sum) - cap * (goal - 1)) * Math.LOG2E;
    exponentials[target]! -= sum;
    const scale = weight[0]! / sum;
    for (let v = 0; v < V; v++) dLogits[from + v] = scale * exponentials[v]! * slopes[v]!;
  }
}

/** One exponential instead of Math.tanh's slow path; exact to rounding where it matters here. */
function tanh(x: number): number {
  return 1 - 2 / (Math.exp(2 * x) + 1);
}
