/** Reference twin of sumSegments. Units are segments. */
import type { Floats } from "../graph.ts";

export function sumSegmentsForward(
  a: { x: Floats; start: Uint32Array; out: Floats; C: number; accumulate: 0 | 1 },
  first: number,
  end: number,
): void {
  const { x, start, out, C, accumulate } = a;
  for (let p = first; p < end; p++) {
    const to = p * C;
    if (accumulate === 0) out.fill(0, to, to + C);
    const last = start[p + 1]!;
    for (let r = start[p]!; r < last; r++) {
      const from = r * C;
      for (let c = 0; c < C; c++) out[to + c]! += x[from + c]!;
    }
  }
}
