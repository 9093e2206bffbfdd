/**
 * AdamW with decoupled decay; the whole tensor in one node, all tensors packed in one. Bias corrections are given, so the step count stays
 * with the caller. Source: Adam (arXiv 1412.6980) algorithm 1; AdamW (arXiv 1711.05101) algorithm 2.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { adamStep as adamTwin } from "../cpu/adam.ts";
import code from "./adam.wgsl";
import { VERDICT_SIZE } from "./verdict.ts";

export const adamStepOp: OpSpec = {
  name: "adamStep",
  access: ["readWrite", "read", "readWrite", "readWrite", "read", "read"],
  units: (p) => p["size"]!,
  cpu: (b, _p, start, end) => {
    const [param, grad, m, v, hyper, verdict] = b as readonly Floats[];
    adamTwin(
      { param: param!, grad: grad!, m: m!, v: v!, hyper: hyper!, verdict: verdict! },
      start,
      end,
    );
  },
  gpu: (p) => {
    const size = p["size"]!;
    const lanes = size % 4 === 0 ? 4 : 1;
    return {
      code: `alias Real = ${lanes === 4 ? "vec4f" : "f32"};\n${code}`,
      entryPoint: "adamStep",
      constants: { size: size / lanes },
      workgroups: gridFor(size / lanes, 256),
    };
  },
};

export interface AdamStep {
  readonly param: Tensor;
  readonly grad: Tensor;
  /** First and second moments, of param's size. */
  readonly m: Tensor;
  readonly v: Tensor;
  /** [8]: lr, beta1, beta2, eps, weightDecay, 1 − beta1^t, 1 − beta2^t, cautious (1: decay only where the step
   *  and the parameter agree in sign). */
  readonly hyper: Tensor;
  /** What verdict.ts found: whether to step at all, and what unscales the gradient. */
  readonly verdict: Tensor;
}

/** param −= lr·(m̂ / (√v̂ + eps) + weightDecay·param), with m and v updated in place. */
export function adamStep(g: Graph, a: AdamStep): void {
  const size = a.param.size;
  expectSize("adamStep", "grad", a.grad, size);
  expectSize("adamStep", "m", a.m, size);
  expectSize("adamStep", "v", a.v, size);
  expectSize("adamStep", "hyper", a.hyper, 8);
  expectSize("adamStep", "verdict", a.verdict, VERDICT_SIZE);
  g.add(adamStepOp, [a.param, a.grad, a.m, a.v, a.hyper, a.verdict], { size });
}
