/** Sums of runs of consecutive rows, as of the bytes of a patch; the gradient of a gather that repeats rows. */
import { gridFor, type Floats, type Graph, type OpSpec, type Tensor } from "../graph.ts";
import { invariant } from "../errors.ts";
import { sumSegmentsForward as twin } from "../cpu/sumSegments.ts";
import { halfAliases } from "./halves.ts";
import code from "./sumSegments.wgsl";

function sumOp(accumulate: 0 | 1): OpSpec {
  return {
    name: accumulate === 1 ? "sumSegmentsAccumulate" : "sumSegmentsForward",
    access: ["read", "read", accumulate === 1 ? "readWrite" : "write"],
    units: (p) => p["P"]!,
    cpu: (b, p, start, end) =>
      twin(
        {
          x: b[0] as Floats,
          start: b[1] as Uint32Array,
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
      constants: { P: p["P"]!, C: p["C"]! },
      workgroups: gridFor((p["P"]! * p["C"]!) / 4, 64),
    }),
  };
}
export const sumSegmentsForwardOp = sumOp(0);
export const sumSegmentsAccumulateOp = sumOp(1);

/** out[p, :] = Σ x[r, :] over r in [start[p], start[p + 1]); x [rows, C], start u32 [P + 1] ascending, out [P, C].
 *  Empty segments give zeros; rows outside all segments count nowhere. accumulate 1 adds to out instead. */
export function sumSegmentsForward(
  g: Graph,
  a: { x: Tensor; start: Tensor; out: Tensor; accumulate?: 0 | 1 },
): void {
  const P = a.start.size - 1;
  const C = a.out.size / P;
  invariant(
    Number.isInteger(C) && C % 4 === 0 && a.x.size % C === 0,
    `sumSegmentsForward: x [${a.x.shape.join(", ")}] and out [${a.out.shape.join(", ")}] do not hold rows of one width, ` +
      `a multiple of 4, for ${P} segments`,
  );
  g.add(
    a.accumulate === 1 ? sumSegmentsAccumulateOp : sumSegmentsForwardOp,
    [a.x, a.start, a.out],
    { P, C },
  );
}
