/** Copies a tensor into one that is held differently: parameters into the halves that matrix products read. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import code from "./convert.wgsl";
import { halfAliases } from "./halves.ts";

export const convertOp: OpSpec = {
  name: "convert",
  access: ["read", "write"],
  halves: [0, 1],
  units: (p) => p["n"]!,
  cpu: (b, _p, start, end) => {
    const [x, y] = b as readonly Floats[];
    y!.set(x!.subarray(start, end), start);
  },
  gpu: (p, _caps, stored) => ({
    code: halfAliases(stored, { X: 0, Y: 1 }, 4) + code,
    entryPoint: "convert",
    constants: { n: p["n"]! / 4 },
    workgroups: gridFor(p["n"]! / 4, 512),
  }),
};

/** y = x, both of one size, a multiple of 4. */
export function convert(g: Graph, a: { x: Tensor; y: Tensor }): void {
  expectSize("convert", "y", a.y, a.x.size);
  invariant(a.x.size % 4 === 0, `convert: ${a.x.size} elements are no whole quads`);
  g.add(convertOp, [a.x, a.y], { n: a.x.size });
}
