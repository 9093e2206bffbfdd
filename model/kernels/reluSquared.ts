/** Squared ReLU, y = max(x, 0)². Source: Primer (arXiv 2109.08668) §3. */
import {
  expectSize,
  gridFor,
  type Floats,
  type GpuKernel,
  type Graph,
  type OpSpec,
  type Params,
  type Stored,
  type Tensor,
} from "../graph.ts";
import {
  reluSquaredBackward as backwardTwin,
  reluSquaredForward as forwardTwin,
} from "../cpu/reluSquared.ts";
import { flatAliases } from "./halves.ts";
import code from "./reluSquared.wgsl";

/** Values per workgroup, as in the kernel. */
const PER_GROUP = 1024;

function kernel(p: Params, stored: readonly Stored[], entryPoint: string): GpuKernel {
  const aliases = flatAliases(stored, { X: 0, Y: 1, Z: 2 }, p["n"]!);
  const n = p["n"]! / aliases.lanes;
  return {
    code: aliases.code + code,
    entryPoint,
    constants: { n },
    workgroups: gridFor(n, PER_GROUP),
  };
}

export const reluSquaredForwardOp: OpSpec = {
  name: "reluSquaredForward",
  access: ["read", "write"],
  units: (p) => p["n"]!,
  cpu: (b, _p, start, end) => forwardTwin(b[0] as Floats, b[1] as Floats, start, end),
  halves: [0, 1],
  gpu: (p, _caps, stored) => kernel(p, stored, "forward"),
};

export const reluSquaredBackwardOp: OpSpec = {
  name: "reluSquaredBackward",
  access: ["read", "read", "write"],
  units: (p) => p["n"]!,
  cpu: (b, _p, start, end) =>
    backwardTwin(b[0] as Floats, b[1] as Floats, b[2] as Floats, start, end),
  halves: [0, 1, 2],
  gpu: (p, _caps, stored) => kernel(p, stored, "backward"),
};

/** x, y of any equal shape. */
export function reluSquaredForward(g: Graph, a: { x: Tensor; y: Tensor }): void {
  expectSize("reluSquaredForward", "y", a.y, a.x.size);
  g.add(reluSquaredForwardOp, [a.x, a.y], { n: a.x.size });
}

/** dX = 2·max(x, 0)·dY. */
export function reluSquaredBackward(g: Graph, a: { x: Tensor; dY: Tensor; dX: Tensor }): void {
  expectSize("reluSquaredBackward", "dX", a.dX, a.x.size);
  expectSize("reluSquaredBackward", "dY", a.dY, a.x.size);
  g.add(reluSquaredBackwardOp, [a.x, a.dY, a.dX], { n: a.x.size });
}
