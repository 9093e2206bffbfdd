/** Reference twin of rope, both directions. Units are rows of all windows. */
import type { Buffer, Floats, Params } from "../graph.ts";

export function rope(buffers: readonly Buffer[], p: Params, start: number, end: number): void {
  const [x, , y] = buffers as [Floats, Uint32Array, Floats];
  const offset = buffers[1]![0]!;
  const nHeads = p["nHeads"]!;
  const headDim = p["headDim"]!;
  const half = headDim / 2;
  for (let m = 0; m < half; m++) {
    const frequency = p["base"]! ** ((-2 * m) / headDim);
    for (let row = start; row < end; row++) {
      const angle = (offset + (row % p["rows"]!)) * frequency;
      const c = Math.cos(angle);
      const s = Math.sin(angle) * p["direction"]!;
      for (let h = 0; h < nHeads; h++) {
        const at = (row * nHeads + h) * headDim + m;
        const x1 = x[at]!;
        const x2 = x[at + half]!;
        y[at] = x1 * c + x2 * s;
        y[at + half] = x2 * c - x1 * s;
      }
    }
  }
}
