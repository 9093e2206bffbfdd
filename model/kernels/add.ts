/** Sums of tensors of one size, into a third or in place. Gradients are copies, so there is no backward. */
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
import { addForward as forwardTwin, addInto as intoTwin } from "../cpu/add.ts";
import { flatAliases } from "./halves.ts";
import code from "./add.wgsl";

/** Values per workgroup, as in the kernel. */
const PER_GROUP = 1024;

function kernel(p: Params, stored: readonly Stored[], entryPoint: string): GpuKernel {
  const aliases = flatAliases(stored, { X: 0, Y: 1, Z: 2 }, p["n"]!);
  const n = p["n"]! / aliases.lanes;
  return {
    code: aliases.code + code,
    entryPoint,
    constants: { n, scale: p["scale"]! },
    workgroups: gridFor(n, PER_GROUP),
  };
}

export const addForwardOp: OpSpec = {
  name: "addForward",
  access: ["read", "read", "write"],
  units: (p) => p["n"]!,
  cpu: (b, p, start, end) =>
    forwardTwin(
      { x: b[0] as Floats, z: b[1] as Floats, y: b[2] as Floats, scale: p["scale"]! },
      start,
      end,
    ),
  halves: [0, 1, 2],
  gpu: (p, _caps, stored) => kernel(p, stored, "forward"),
};

export const addIntoOp: OpSpec = {
  name: "addInto",
  access: ["read", "readWrite"],
  units: (p) => p["n"]!,
  cpu: (b, p, start, end) =>
    intoTwin({ x: b[0] as Floats, y: b[1] as Floats, scale: p["scale"]! }, start, end),
  halves: [0, 1],
  gpu: (p, _caps, stored) => kernel(p, stored, "into"),
};

/** y = x + scale·z; x, z, y of one size, scale 1 unless given. y must be another tensor than x and z. */
export function addForward(g: Graph, a: { x: Tensor; z: Tensor; y: Tensor; scale?: number }): void {
  expectSize("addForward", "z", a.z, a.x.size);
  expectSize("addForward", "y", a.y, a.x.size);
  g.add(addForwardOp, [a.x, a.z, a.y], { n: a.x.size, scale: a.scale ?? 1 });
}

/** y += scale·x; x, y of one size, scale 1 unless given. */
export function addInto(g: Graph, a: { x: Tensor; y: Tensor; scale?: number }): void {
  expectSize("addInto", "y", a.y, a.x.size);
  g.add(addIntoOp, [a.x, a.y], { n: a.x.size, scale: a.scale ?? 1 });
}
