/** Streams to branch input with per-token weights, H_pre of the hyper-connection papers. Source: go-mHC §2. */
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
  streamReadBackward as backwardTwin,
  streamReadForward as forwardTwin,
} from "../cpu/streamRead.ts";
import { streamShape } from "./streamExpand.ts";
import code from "./streamRead.wgsl";

/** Streams that fit the kernels' register arrays. */
export const MAX_STREAMS = 8;

export const streamReadForwardOp: OpSpec = {
  name: "streamReadForward",
  access: ["read", "read", "write"],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    forwardTwin(
      { x: b[0] as Floats, pre: b[1] as Floats, h: b[2] as Floats, S: p["S"]!, C: p["C"]! },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "forward",
    constants: { T: p["T"]!, S: p["S"]!, C: p["C"]! },
    workgroups: gridFor((p["T"]! * p["C"]!) / 4, 256),
  }),
};

function backwardOp(accumulate: 0 | 1): OpSpec {
  return {
    name: accumulate === 1 ? "streamReadBackwardAccumulate" : "streamReadBackward",
    access: ["read", "read", "read", "write", accumulate === 1 ? "readWrite" : "write"],
    units: (p) => p["T"]!,
    cpu: (b, p, start, end) =>
      backwardTwin(
        {
          x: b[0] as Floats,
          pre: b[1] as Floats,
          dH: b[2] as Floats,
          dPre: b[3] as Floats,
          dX: b[4] as Floats,
          S: p["S"]!,
          C: p["C"]!,
          accumulate,
        },
        start,
        end,
      ),
    gpu: (p) => ({
      code,
      entryPoint: accumulate === 1 ? "backwardAccumulate" : "backward",
      constants: { T: p["T"]!, S: p["S"]!, C: p["C"]! },
      workgroups: gridFor(p["T"]!, 8),
    }),
  };
}
export const streamReadBackwardOp = backwardOp(0);
export const streamReadBackwardAccumulateOp = backwardOp(1);

function shape(op: string, h: Tensor, x: Tensor, pre: Tensor): { T: number; S: number; C: number } {
  const s = streamShape(op, h, x);
  invariant(s.S <= MAX_STREAMS, `${op}: ${s.S} streams; at most ${MAX_STREAMS} are supported`);
  expectSize(op, "pre", pre, s.T * s.S);
  return s;
}

/** h [T, C] = Σ_j pre[:, j]·x[:, j, :]; x [T, S, C], pre [T, S]. */
export function streamReadForward(g: Graph, a: { x: Tensor; pre: Tensor; h: Tensor }): void {
  g.add(streamReadForwardOp, [a.x, a.pre, a.h], shape("streamReadForward", a.h, a.x, a.pre));
}

/** dPre [T, S] = ⟨dH, x_j⟩ and dX [T, S, C] = pre_j·dH; accumulate 1 adds to dX. */
export function streamReadBackward(
  g: Graph,
  a: { x: Tensor; pre: Tensor; dH: Tensor; dPre: Tensor; dX: Tensor; accumulate?: 0 | 1 },
): void {
  const s = shape("streamReadBackward", a.dH, a.x, a.pre);
  expectSize("streamReadBackward", "dPre", a.dPre, s.T * s.S);
  expectSize("streamReadBackward", "dX", a.dX, a.x.size);
  const op = a.accumulate === 1 ? streamReadBackwardAccumulateOp : streamReadBackwardOp;
  g.add(op, [a.x, a.pre, a.dH, a.dPre, a.dX], s);
}
