/** Bounds values smoothly: y = cap·tanh(x / cap). Used for key salience (tauformer.md §4.2: bound c). */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Params,
  type Tensor,
} from "../graph.ts";
import { softcapBackward as backwardTwin, softcapForward as forwardTwin } from "../cpu/softcap.ts";
import code from "./softcap.wgsl";

const constants = (p: Params): Record<string, number> => ({ n: p["n"]!, cap: p["cap"]! });

export const softcapForwardOp: OpSpec = {
  name: "softcapForward",
  access: ["read", "write"],
  units: (p) => p["n"]!,
  cpu: (b, p, start, end) => forwardTwin(b[0] as Floats, b[1] as Floats, p["cap"]!, start, end),
  gpu: (p) => ({
    code,
    entryPoint: "forward",
    constants: constants(p),
    workgroups: gridFor(p["n"]!, 256),
  }),
};

export const softcapBackwardOp: OpSpec = {
  name: "softcapBackward",
  access: ["read", "read", "write"],
  units: (p) => p["n"]!,
  cpu: (b, p, start, end) =>
    backwardTwin(b[0] as Floats, b[1] as Floats, b[2] as Floats, p["cap"]!, start, end),
  gpu: (p) => ({
    code,
    entryPoint: "backward",
    constants: constants(p),
    workgroups: gridFor(p["n"]!, 256),
  }),
};

/** x, y of any equal shape. */
export function softcapForward(g: Graph, a: { x: Tensor; y: Tensor; cap: number }): void {
  expectSize("softcapForward", "y", a.y, a.x.size);
  g.add(softcapForwardOp, [a.x, a.y], { n: a.x.size, cap: a.cap });
}

export function softcapBackward(
  g: Graph,
  a: { x: Tensor; dY: Tensor; dX: Tensor; cap: number },
): void {
  expectSize("softcapBackward", "dX", a.dX, a.x.size);
  g.add(softcapBackwardOp, [a.x, a.dY, a.dX], { n: a.x.size, cap: a.cap });
}
