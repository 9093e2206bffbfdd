/** Sums over rows (gradients of biases) and the weighted total (the mean loss), in fixed order on every device. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import {
  columnSumCombine as combineTwin,
  columnSumPartials as partialsTwin,
  weightedTotal as totalTwin,
} from "../cpu/columnSum.ts";
import code from "./columnSum.wgsl";

/** Rows per chunk of the first pass, as in the kernel. */
const ROWS = 32;
/** Up to so many rows the second pass alone is quicker than both. */
const ONE_PASS = 1024;
/** Columns per workgroup of the second. */
export const COMBINED = 8;

export const columnSumPartialsOp: OpSpec = {
  name: "columnSumPartials",
  access: ["read", "write"],
  units: (p) => p["chunks"]!,
  cpu: (b, p, start, end) =>
    partialsTwin(
      {
        x: b[0] as Floats,
        sums: b[1] as Floats,
        rows: p["rows"]!,
        C: p["C"]!,
        rowsPerChunk: ROWS,
      },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "partials",
    constants: { rows: p["rows"]!, C: p["C"]!, chunks: p["chunks"]! },
    workgroups: gridFor(p["chunks"]! * Math.ceil(p["C"]! / 64), 1),
  }),
};

function combineOp(accumulate: 0 | 1): OpSpec {
  return {
    name: accumulate === 1 ? "columnSumCombineAccumulate" : "columnSumCombine",
    access: ["read", accumulate === 1 ? "readWrite" : "write"],
    units: (p) => p["C"]!,
    cpu: (b, p, start, end) =>
      combineTwin(
        { sums: b[0] as Floats, out: b[1] as Floats, chunks: p["chunks"]!, C: p["C"]!, accumulate },
        start,
        end,
      ),
    gpu: (p) => ({
      code,
      entryPoint: accumulate === 1 ? "combineAccumulate" : "combine",
      constants: { C: p["C"]!, chunks: p["chunks"]! },
      workgroups: [Math.ceil(p["C"]! / COMBINED), 1, 1],
    }),
  };
}
export const columnSumCombineOp = combineOp(0);
export const columnSumCombineAccumulateOp = combineOp(1);

export const weightedTotalOp: OpSpec = {
  name: "weightedTotal",
  access: ["read", "read", "write"],
  units: () => 1,
  cpu: (b) => totalTwin(b[0] as Floats, b[1] as Floats, b[2] as Floats),
  gpu: (p) => ({
    code,
    entryPoint: "weightedTotal",
    constants: { rows: p["n"]! },
    workgroups: [1, 1, 1],
  }),
};

/** out[c] = Σ_r x[r, c]; x [rows, C], out [C]. accumulate 1 adds to out instead. */
export function columnSum(g: Graph, a: { x: Tensor; out: Tensor; accumulate?: 0 | 1 }): void {
  const C = a.out.size;
  const rows = a.x.size / C;
  invariant(
    Number.isInteger(rows),
    `columnSum: x (${a.x.name}) has ${a.x.size} elements, not rows of ${C}`,
  );
  const combine = a.accumulate === 1 ? columnSumCombineAccumulateOp : columnSumCombineOp;
  if (rows <= ONE_PASS) {
    g.add(combine, [a.x, a.out], { C, chunks: rows });
    return;
  }
  const chunks = Math.ceil(rows / ROWS);
  const sums = g.temp("columnSum partials", [chunks, C]);
  g.add(columnSumPartialsOp, [a.x, sums], { rows, C, chunks });
  g.add(combine, [sums, a.out], { C, chunks });
}

/** out[0] = weight[0]·Σ x; x of any shape, weight [1], out [1]. The mean loss with weight 1 / scored rows. */
export function weightedTotal(g: Graph, a: { x: Tensor; weight: Tensor; out: Tensor }): void {
  expectSize("weightedTotal", "weight", a.weight, 1);
  expectSize("weightedTotal", "out", a.out, 1);
  g.add(weightedTotalOp, [a.x, a.weight, a.out], { n: a.x.size });
}
