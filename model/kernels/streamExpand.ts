/**
 * Entrance of the streams: every stream starts as a copy of the embedding. The two ops, spread and sum, are
 * shared with streamCollapse. Source: go-mHC (arXiv 2604.02309) §2, hyper-connections (arXiv 2409.19606) §2.
 */
import {
  gridFor,
  type Floats,
  type Graph,
  type GpuKernel,
  type OpSpec,
  type Params,
  type Stored,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import {
  streamSpread as spreadTwin,
  streamSum as sumTwin,
  type StreamsArgs,
} from "../cpu/streamExpand.ts";
import { halfAliases } from "./halves.ts";
import code from "./streamExpand.wgsl";

const kernel = (p: Params, stored: readonly Stored[], entryPoint: string): GpuKernel => ({
  code: halfAliases(stored, { X: 0, Y: 1 }, 4) + code,
  entryPoint,
  constants: { T: p["T"]!, S: p["S"]!, C: p["C"]!, scale: p["scale"]! },
  workgroups: gridFor((p["T"]! * p["C"]!) / 4, 256),
});

function args(b: readonly unknown[], p: Params): StreamsArgs {
  return { x: b[0] as Floats, y: b[1] as Floats, S: p["S"]!, C: p["C"]!, scale: p["scale"]! };
}

export const streamSpreadOp: OpSpec = {
  name: "streamSpread",
  access: ["read", "write"],
  halves: [0, 1],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) => spreadTwin(args(b, p), start, end),
  gpu: (p, _caps, stored) => kernel(p, stored, "spread"),
};

export const streamSumOp: OpSpec = {
  name: "streamSum",
  access: ["read", "write"],
  halves: [0, 1],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) => sumTwin(args(b, p), start, end),
  gpu: (p, _caps, stored) => kernel(p, stored, "sum"),
};

/** T, S and C from one vector per token [T, C] and its streams [T, S, C]. */
export function streamShape(
  op: string,
  one: Tensor,
  streams: Tensor,
): { T: number; S: number; C: number } {
  const C = one.shape.at(-1)!;
  const S = streams.size / one.size;
  invariant(
    C % 4 === 0 && Number.isInteger(S),
    `${op}: [${one.shape.join(", ")}] and [${streams.shape.join(", ")}] do not fit as [T, C] and [T, S, C] with C a multiple of 4`,
  );
  return { T: one.size / C, S, C };
}

/** y [T, S, C]: every stream is x [T, C]. */
export function streamExpandForward(g: Graph, a: { x: Tensor; y: Tensor }): void {
  g.add(streamSpreadOp, [a.x, a.y], { ...streamShape("streamExpandForward", a.x, a.y), scale: 1 });
}

/** dX [T, C] = Σ_s dY[:, s, :]. */
export function streamExpandBackward(g: Graph, a: { dY: Tensor; dX: Tensor }): void {
  g.add(streamSumOp, [a.dY, a.dX], {
    ...streamShape("streamExpandBackward", a.dX, a.dY),
    scale: 1,
  });
}
