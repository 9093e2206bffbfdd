/** Reference twin of copyRows. Units are rows. */
import type { Floats, Params } from "../graph.ts";

export function copyRows(
  src: Floats,
  span: Uint32Array,
  dst: Floats,
  p: Params,
  start: number,
  end: number,
): void {
  const channels = p["channels"]!;
  const offset = span[0]!;
  const last = Math.min(end, p["capacity"]! - offset);
  if (last <= start) return;
  dst.set(src.subarray(start * channels, last * channels), (offset + start) * channels);
}
