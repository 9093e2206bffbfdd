/** Reference twin of gatherRows. Units are rows of the result. */
import type { Floats } from "../graph.ts";

const NO_ROW = 0xffffffff;

export function gatherRowsForward(
  a: { x: Floats; index: Uint32Array; out: Floats; C: number; accumulate: 0 | 1 },
  start: number,
  end: number,
): void {
  const { x, index, out, C, accumulate } = a;
  for (let row = start; row < end; row++) {
    const to = row * C;
    const source = index[row]!;
    if (source === NO_ROW) {
      if (accumulate === 0) out.fill(0, to, to + C);
      continue;
    }
    const from = source * C;
    if (accumulate === 1) for (let c = 0; c < C; c++) out[to + c]! += x[from + c]!;
    else for (let c = 0; c < C; c++) out[to + c] = x[from + c]!;
  }
}
