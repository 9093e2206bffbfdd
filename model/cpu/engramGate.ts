/** Reference twin of engramGate: y = x + σ(⟨n, k⟩/√C)·v per row. Units are rows. */
import type { Floats } from "../graph.ts";

function gateOf(n: Floats, kv: Floats, row: number, C: number): number {
  let sum = 0;
  for (let c = 0; c < C; c++) sum += n[row * C + c]! * kv[2 * row * C + c]!;
  return 1 / (1 + Math.exp(-sum / Math.sqrt(C)));
}

export function engramGateForward(
  a: { x: Floats; n: Floats; kv: Floats; y: Floats; C: number },
  start: number,
  end: number,
): void {
  const { x, n, kv, y, C } = a;
  for (let row = start; row < end; row++) {
    const gate = gateOf(n, kv, row, C);
    const value = (2 * row + 1) * C;
    for (let c = 0; c < C; c++) y[row * C + c] = x[row * C + c]! + gate * kv[value + c]!;
  }
}

/** With α the gate: dv = α·dY, ds = ⟨dY, v⟩·α·(1 − α), dn = ds·k/√C, dk = ds·n/√C. */
export function engramGateBackward(
  a: { dY: Floats; n: Floats; kv: Floats; dN: Floats; dKv: Floats; C: number },
  start: number,
  end: number,
): void {
  const { dY, n, kv, dN, dKv, C } = a;
  for (let row = start; row < end; row++) {
    const gate = gateOf(n, kv, row, C);
    const at = row * C;
    const key = 2 * at;
    const value = key + C;
    let along = 0;
    for (let c = 0; c < C; c++) along += dY[at + c]! * kv[value + c]!;
    const slope = (along * gate * (1 - gate)) / Math.sqrt(C);
    for (let c = 0; c < C; c++) {
      dN[at + c] = slope * kv[key + c]!;
      dKv[key + c] = slope * n[at + c]!;
      dKv[value + c] = gate * dY[at + c]!;
    }
  }
}
