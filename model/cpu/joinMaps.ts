/** Reference twin of joinMaps: the maps behind an attention sublayer's scalars, side by side. */
import type { Buffer, Floats, Params } from "../graph.ts";

/** Units are rows of the maps. */
export function joinMaps(buffers: readonly Buffer[], p: Params, start: number, end: number): void {
  const [tied, query, key, salience, queries, keys] = buffers as readonly Floats[];
  const [nTied, nFree, nSalience] = [p["nTied"]!, p["nFree"]!, p["nSalience"]!];
  const sides = [
    { out: queries!, width: p["widthQ"]!, free: query!, last: 0 },
    { out: keys!, width: p["widthK"]!, free: key!, last: nSalience },
  ];
  for (let row = start; row < end; row++)
    for (const { out, width, free, last } of sides) {
      const at = row * width;
      out.fill(0, at, at + width);
      for (let i = 0; i < nTied; i++) out[at + i] = tied![row * nTied + i]!;
      for (let i = 0; i < nFree; i++) out[at + nTied + i] = free[row * nFree + i]!;
      for (let i = 0; i < last; i++) out[at + nTied + nFree + i] = salience![row * last + i]!;
    }
}
