/**
 * What a memory's value adds to a hidden state: y = x + σ(⟨n, k⟩ / √C)·v per row, with n the normalized state and
 * key and value side by side as they come from one product. Source: Engram (arXiv 2601.07372) §2.3, eq. 4.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type GpuKernel,
  type OpSpec,
  type Params,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import {
  engramGateBackward as backwardTwin,
  engramGateForward as forwardTwin,
} from "../cpu/engramGate.ts";
import { halfAliases } from "./halves.ts";
import code from "./engramGate.wgsl";
import rowSumCode from "./rowSum.wgsl";

/** Lanes per row, as in the kernel. */
const LANES = 16;

function kernel(p: Params, aliases: string, entryPoint: string): GpuKernel {
  return {
    code: aliases + rowSumCode + code,
    entryPoint,
    constants: { rows: p["rows"]!, C: p["C"]! },
    workgroups: gridFor(p["rows"]!, 256 / LANES),
  };
}

export const engramGateForwardOp: OpSpec = {
  name: "engramGateForward",
  access: ["read", "read", "read", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) => {
    const [x, n, kv, y] = b as readonly Floats[];
    forwardTwin({ x: x!, n: n!, kv: kv!, y: y!, C: p["C"]! }, start, end);
  },
  halves: [0, 1, 2, 3],
  gpu: (p, _caps, stored) =>
    kernel(p, halfAliases(stored, { X: 0, N: 1, KV: 2, Y: 3, DKV: 4 }, 4), "forward"),
};

export const engramGateBackwardOp: OpSpec = {
  name: "engramGateBackward",
  access: ["read", "read", "read", "write", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) => {
    const [dY, n, kv, dN, dKv] = b as readonly Floats[];
    backwardTwin({ dY: dY!, n: n!, kv: kv!, dN: dN!, dKv: dKv!, C: p["C"]! }, start, end);
  },
  halves: [0, 1, 2, 3, 4],
  gpu: (p, _caps, stored) =>
    kernel(p, halfAliases(stored, { X: 0, N: 1, KV: 2, Y: 3, DKV: 4 }, 4), "backward"),
};

function shape(op: string, n: Tensor, kv: Tensor): Params {
  const C = kv.shape.at(-1)! / 2;
  const rows = kv.size / (2 * C);
  invariant(
    C % 4 === 0 && n.size === rows * C,
    `${op}: n (${n.name}) has ${n.size} elements and kv shape [${kv.shape.join(", ")}]; [rows, C] and [rows, 2·C] ` +
      "with C a multiple of 4 were expected",
  );
  return { rows, C };
}

/** y = x + σ(⟨n, k⟩ / √C)·v; x, n, y [rows, C], kv [rows, 2·C] holds k before v. */
export function engramGateForward(
  g: Graph,
  a: { x: Tensor; n: Tensor; kv: Tensor; y: Tensor },
): void {
  const params = shape("engramGateForward", a.n, a.kv);
  expectSize("engramGateForward", "x", a.x, a.n.size);
  expectSize("engramGateForward", "y", a.y, a.n.size);
  g.add(engramGateForwardOp, [a.x, a.n, a.kv, a.y], params);
}

/** dN [rows, C] and dKv [rows, 2·C] from dY [rows, C]; the gradient of x is dY itself. */
export function engramGateBackward(
  g: Graph,
  a: { dY: Tensor; n: Tensor; kv: Tensor; dN: Tensor; dKv: Tensor },
): void {
  const params = shape("engramGateBackward", a.n, a.kv);
  expectSize("engramGateBackward", "dY", a.dY, a.n.size);
  expectSize("engramGateBackward", "dN", a.dN, a.n.size);
  expectSize("engramGateBackward", "dKv", a.dKv, a.kv.size);
  g.add(engramGateBackwardOp, [a.dY, a.n, a.kv, a.dN, a.dKv], params);
}
