/**
 * Adam on the rows that a batch touched, and on no others: moments of a row decay only when it is touched. An entry
 * of the gradient that is not finite leaves its quadruple as it is: the verdict judges the packed gradients, and this
 * one is not among them. Source: Adam (arXiv 1412.6980) algorithm 1, in its lazy form for embeddings.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import { engramStep as twin } from "../cpu/engramStep.ts";
import code from "./engramStep.wgsl";
import { VERDICT_SIZE } from "./verdict.ts";

export const engramStepOp: OpSpec = {
  name: "engramStep",
  access: ["readWrite", "readWrite", "readWrite", "read", "read", "read", "read"],
  units: (p) => p["capacity"]!,
  cpu: (b, p, start, end) =>
    twin(
      {
        table: b[0] as Floats,
        m: b[1] as Floats,
        v: b[2] as Floats,
        grad: b[3] as Floats,
        touched: b[4] as Uint32Array,
        hyper: b[5] as Floats,
        verdict: b[6] as Floats,
        C: p["C"]!,
      },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "engramStep",
    constants: { capacity: p["capacity"]!, C: p["C"]! },
    workgroups: gridFor((p["capacity"]! * p["C"]!) / 4, 256),
  }),
};

export interface EngramStep {
  /** [tableRows, C], C a multiple of 4, and its moments. */
  readonly table: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  /** [capacity, C]: the gradient of each touched row. */
  readonly grad: Tensor;
  /** u32 [1 + capacity]: how many rows are touched, and which, each once. */
  readonly touched: Tensor;
  /** [8] and the verdict as in adamStep; decay is not used. */
  readonly hyper: Tensor;
  readonly verdict: Tensor;
}

export function engramStep(g: Graph, a: EngramStep): void {
  const [capacity, C] = a.grad.shape as [number, number];
  invariant(
    C % 4 === 0 && a.table.shape.at(-1) === C,
    `engramStep: table [${a.table.shape.join(", ")}] and gradients [${capacity}, ${C}] must have rows of one width, a multiple of 4`,
  );
  expectSize("engramStep", "m", a.m, a.table.size);
  expectSize("engramStep", "v", a.v, a.table.size);
  expectSize("engramStep", "touched", a.touched, 1 + capacity);
  expectSize("engramStep", "hyper", a.hyper, 8);
  expectSize("engramStep", "verdict", a.verdict, VERDICT_SIZE);
  g.add(engramStepOp, [a.table, a.m, a.v, a.grad, a.touched, a.hyper, a.verdict], { capacity, C });
}
