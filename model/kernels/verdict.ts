/**
 * The gradient check and the loss scale, both on the device: a gradient that is not finite makes every optimizer
 * kernel of that step leave its tensors as they are, and no read-back decides it, so a run stays deterministic.
 * Scales are powers of two: scaling and unscaling change no bit of a gradient that fits.
 * Source: dynamic loss scaling of mixed precision training (arXiv 1710.03740 §3.2).
 */
import { invariant } from "../errors.ts";
import { expectSize, type Floats, type Graph, type OpSpec, type Tensor } from "../graph.ts";
import * as twin from "../cpu/verdict.ts";
import code from "./verdict.wgsl";

/** Entries of a verdict, see verdict.wgsl. */
export const VERDICT_SIZE = 8;
export const TAKE = 0;
export const INVERSE_SCALE = 1;
export const NEXT_SCALE = 2;
export const OVERFLOWS = 4;

/** Good steps after which the scale is tried at twice its value. */
const PATIENCE = 1000;
const MOST_PARTS = 1024;

/** What a verdict holds before the first step. */
export function firstVerdict(scale: number): number[] {
  invariant(
    scale >= 1 && Number.isInteger(Math.log2(scale)),
    `the loss scale ${scale} is not a power of two from 1 up`,
  );
  return [1, 1 / scale, scale, 0, 0, scale, 0, 0];
}

export const findFaultsOp: OpSpec = {
  name: "findFaults",
  access: ["read", "write"],
  units: (p) => p["parts"]!,
  cpu: (b, p, start, end) =>
    twin.findFaults(
      { grad: b[0] as Floats, faults: b[1] as Floats },
      { size: p["size"]!, chunk: p["chunk"]! },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "findFaults",
    constants: { size: p["size"]! / 4, chunk: p["chunk"]! / 4 },
    workgroups: [p["parts"]!, 1, 1],
  }),
};

export const judgeOp: OpSpec = {
  name: "judge",
  access: ["read", "readWrite"],
  units: () => 1,
  cpu: (b, p) =>
    twin.judge(
      { faults: b[0] as Floats, verdict: b[1] as Floats },
      { parts: p["parts"]!, patience: p["patience"]! },
    ),
  gpu: (p) => ({
    code,
    entryPoint: "judge",
    constants: { parts: p["parts"]!, patience: p["patience"]! },
    workgroups: [1, 1, 1],
  }),
};

export const scaleWeightOp: OpSpec = {
  name: "scaleWeight",
  access: ["read", "read", "write"],
  units: () => 1,
  cpu: (b) => {
    b[2]![0] = b[0]![0]! * b[1]![NEXT_SCALE]!;
  },
  gpu: () => ({ code, entryPoint: "scaleWeight", constants: {}, workgroups: [1, 1, 1] }),
};

/** Judges one step's gradients. `grad` is the pack of all of them, a multiple of 4 elements. */
export function judgeGradients(
  g: Graph,
  a: { grad: Tensor; verdict: Tensor; patience?: number },
): void {
  const size = a.grad.size;
  invariant(size % 4 === 0, `judgeGradients: ${size} elements are not a multiple of 4`);
  expectSize("judgeGradients", "verdict", a.verdict, VERDICT_SIZE);
  const wanted = Math.min(MOST_PARTS, Math.ceil(size / 1024));
  const chunk = Math.ceil(size / wanted / 1024) * 1024;
  const parts = Math.ceil(size / chunk);
  const faults = g.temp("gradient faults", [parts]);
  g.add(findFaultsOp, [a.grad, faults], { size, chunk, parts });
  g.add(judgeOp, [faults, a.verdict], { parts, patience: a.patience ?? PATIENCE });
}

/** out[0] = weight[0] times the scale that this step's gradients shall have; comes before judgeGradients. */
export function scaleWeight(g: Graph, a: { weight: Tensor; verdict: Tensor; out: Tensor }): void {
  expectSize("scaleWeight", "weight", a.weight, 1);
  expectSize("scaleWeight", "verdict", a.verdict, VERDICT_SIZE);
  expectSize("scaleWeight", "out", a.out, 1);
  g.add(scaleWeightOp, [a.weight, a.verdict, a.out], {});
}
