/**
 * Rows by index. Its gradient is another gather with the inverse index where rows are used once, and
 * sumSegments where neighbouring rows share a source. Indices must be below xRows or 0xffffffff.
 */
import { gridFor, type Floats, type Graph, type OpSpec, type Tensor } from "../graph.ts";
import { invariant } from "../errors.ts";
import { gatherRowsForward as twin } from "../cpu/gatherRows.ts";
import { halfAliases } from "./halves.ts";
import code from "./gatherRows.wgsl";

/** Quadruples per workgroup, as in the kernel. */
const PER_GROUP = 1024;

function gatherOp(accumulate: 0 | 1): OpSpec {
  return {
    name: accumulate === 1 ? "gatherRowsAccumulate" : "gatherRowsForward",
    access: ["read", "read", accumulate === 1 ? "readWrite" : "write"],
    units: (p) => p["rows"]!,
    cpu: (b, p, start, end) =>
      twin(
        {
          x: b[0] as Floats,
          index: b[1] as Uint32Array,
          out: b[2] as Floats,
          C: p["C"]!,
          accumulate,
        },
        start,
        end,
      ),
    halves: [0, 2],
    gpu: (p, _caps, stored) => ({
      code: halfAliases(stored, { X: 0, Out: 2 }, 4) + code,
      entryPoint: accumulate === 1 ? "accumulate" : "forward",
      constants: { rows: p["rows"]!, C: p["C"]! },
      workgroups: gridFor((p["rows"]! * p["C"]!) / 4, PER_GROUP),
    }),
  };
}
export const gatherRowsForwardOp = gatherOp(0);
export const gatherRowsAccumulateOp = gatherOp(1);

/** out[r, :] = x[index[r], :], zeros where index[r] is 0xffffffff; x [xRows, C], index u32 [rows], out [rows, C].
 *  accumulate 1 adds to out instead. */
export function gatherRowsForward(
  g: Graph,
  a: { x: Tensor; index: Tensor; out: Tensor; accumulate?: 0 | 1 },
): void {
  const rows = a.index.size;
  const C = a.out.size / rows;
  invariant(
    Number.isInteger(C) && C % 4 === 0 && a.x.size % C === 0,
    `gatherRowsForward: x [${a.x.shape.join(", ")}] and out [${a.out.shape.join(", ")}] do not hold rows of one width, ` +
      `a multiple of 4, for ${rows} indices`,
  );
  g.add(a.accumulate === 1 ? gatherRowsAccumulateOp : gatherRowsForwardOp, [a.x, a.index, a.out], {
    rows,
    C,
  });
}
