/**
 * Mixing the streams and adding the branch output to them: H_res and H_post of the hyper-connection papers, side by
 * side in one tensor of weights, as if the branch were one more stream. Bound by memory: forward and backward each
 * make one pass. The gradient of x, mixᵀ·dY, is left to streamHead's backward, which reads x and dY again anyway.
 * Source: go-mHC (arXiv 2604.02309) §2.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Params,
  type Stored,
  type Tensor,
} from "../graph.ts";
import {
  streamWriteBackward as backwardTwin,
  streamWriteForward as forwardTwin,
} from "../cpu/streamWrite.ts";
import { halfAliases } from "./halves.ts";
import { streamShape } from "./streamExpand.ts";
import code from "./streamWrite.wgsl";

const LANES = 32;
const WORKGROUP_FLOATS = 4096;

/** Tokens per workgroup: a power of two whose inner products fit the plain 16 KiB. */
function tokensFor(S: number): number {
  const perToken = LANES * (S * (S + 1) + 1);
  let tokens = 4;
  while (tokens > 1 && tokens * perToken > WORKGROUP_FLOATS) tokens /= 2;
  return tokens;
}

function source(p: Params, stored: readonly Stored[]): string {
  return `${halfAliases(stored, { X: 0, F: 2, Y: 3, DF: 5 }, 4)}const T: u32 = ${p["T"]};
const S: u32 = ${p["S"]};
const C: u32 = ${p["C"]};
const TOKENS: u32 = ${tokensFor(p["S"]!)};
${code}`;
}

export const streamWriteForwardOp: OpSpec = {
  name: "streamWriteForward",
  access: ["read", "read", "read", "write"],
  halves: [0, 2, 3],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    forwardTwin(
      {
        x: b[0] as Floats,
        weights: b[1] as Floats,
        f: b[2] as Floats,
        y: b[3] as Floats,
        S: p["S"]!,
        C: p["C"]!,
      },
      start,
      end,
    ),
  gpu: (p, _caps, stored) => ({
    code: source(p, stored),
    entryPoint: "forward",
    constants: {},
    workgroups: gridFor((p["T"]! * p["C"]!) / 4, 128),
  }),
};

export const streamWriteBackwardOp: OpSpec = {
  name: "streamWriteBackward",
  access: ["read", "read", "read", "read", "write", "write"],
  halves: [0, 2, 3, 5],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    backwardTwin(
      {
        x: b[0] as Floats,
        weights: b[1] as Floats,
        f: b[2] as Floats,
        dY: b[3] as Floats,
        dWeights: b[4] as Floats,
        dF: b[5] as Floats,
        S: p["S"]!,
        C: p["C"]!,
      },
      start,
      end,
    ),
  gpu: (p, _caps, stored) => ({
    code: source(p, stored),
    entryPoint: "backward",
    constants: {},
    workgroups: gridFor(p["T"]!, tokensFor(p["S"]!)),
  }),
};

function shape(op: string, a: { x: Tensor; weights: Tensor; f: Tensor }): Params {
  const s = streamShape(op, a.f, a.x);
  expectSize(op, "weights", a.weights, s.T * s.S * (s.S + 1));
  return { ...s };
}

/** y [T, S, C]: y_i = Σ_j w[:, i, j]·x_j + w[:, i, S]·f; x [T, S, C], weights [T, S, S + 1], f [T, C]. */
export function streamWriteForward(
  g: Graph,
  a: { x: Tensor; weights: Tensor; f: Tensor; y: Tensor },
): void {
  expectSize("streamWriteForward", "y", a.y, a.x.size);
  g.add(streamWriteForwardOp, [a.x, a.weights, a.f, a.y], shape("streamWriteForward", a));
}

/** dWeights and dF, each in the shape of what it belongs to; both are overwritten. */
export function streamWriteBackward(
  g: Graph,
  a: { x: Tensor; weights: Tensor; f: Tensor; dY: Tensor; dWeights: Tensor; dF: Tensor },
): void {
  const op = "streamWriteBackward";
  expectSize(op, "dY", a.dY, a.x.size);
  expectSize(op, "dWeights", a.dWeights, a.weights.size);
  expectSize(op, "dF", a.dF, a.f.size);
  g.add(streamWriteBackwardOp, [a.x, a.weights, a.f, a.dY, a.dWeights, a.dF], shape(op, a));
}
