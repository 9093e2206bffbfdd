/** Reference twin of probabilities. Units are rows. */
import type { Floats } from "../graph.ts";

const BYTES = 256;

export function probabilitiesForward(
  a: { logits: Floats; p: Floats; eom: Floats; V: number; cap: number; eomId: number },
  start: number,
  end: number,
): void {
  const { logits, p, eom, V, cap, eomId } = a;
  const exponentials = new Float64Array(V);
  for (let row = start; row < end; row++) {
    const from = row * V;
    const to = row * BYTES;
    let bytes = 0;
    let total = 0;
    for (let v = 0; v < V; v++) {
      const e = Math.exp(cap * (Math.tanh(logits[from + v]! / cap) - 1));
      exponentials[v] = e;
      total += e;
      if (v === BYTES - 1) bytes = total;
    }
    for (let v = 0; v < BYTES; v++) p[to + v] = exponentials[v]! / bytes;
    eom[row] = exponentials[eomId]! / total;
  }
}
