/**
 * Mixing the streams and adding the branch output to them: H_res and H_post of the hyper-connection papers.
 * Bound by memory: forward and backward each make one pass. Source: go-mHC (arXiv 2604.02309) §2.
 */
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
  streamWriteBackward as backwardTwin,
  streamWriteForward as forwardTwin,
} from "../cpu/streamWrite.ts";
import { streamShape } from "./streamExpand.ts";
import { MAX_STREAMS } from "./streamRead.ts";
import code from "./streamWrite.wgsl";

const LANES = 32;
const WORKGROUP_FLOATS = 4096;

/** Tokens per workgroup: a power of two whose inner products fit the plain 16 KiB. */
function tokensFor(S: number): number {
  const perToken = LANES * (S * S + S + 1);
  let tokens = 8;
  while (tokens > 1 && tokens * perToken > WORKGROUP_FLOATS) tokens /= 2;
  return tokens;
}

export const streamWriteForwardOp: OpSpec = {
  name: "streamWriteForward",
  access: ["read", "read", "read", "read", "write"],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    forwardTwin(
      {
        x: b[0] as Floats,
        mix: b[1] as Floats,
        post: b[2] as Floats,
        f: b[3] as Floats,
        y: b[4] as Floats,
        S: p["S"]!,
        C: p["C"]!,
      },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "forward",
    constants: { T: p["T"]!, S: p["S"]!, C: p["C"]! },
    workgroups: gridFor((p["T"]! * p["C"]!) / 4, 128),
  }),
};

export const streamWriteBackwardOp: OpSpec = {
  name: "streamWriteBackward",
  access: ["read", "read", "read", "read", "read", "write", "write", "write", "write"],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    backwardTwin(
      {
        x: b[0] as Floats,
        mix: b[1] as Floats,
        post: b[2] as Floats,
        f: b[3] as Floats,
        dY: b[4] as Floats,
        dX: b[5] as Floats,
        dMix: b[6] as Floats,
        dPost: b[7] as Floats,
        dF: b[8] as Floats,
        S: p["S"]!,
        C: p["C"]!,
      },
      start,
      end,
    ),
  gpu: (p) => {
    const tokens = tokensFor(p["S"]!);
    return {
      code,
      entryPoint: "backward",
      constants: { T: p["T"]!, S: p["S"]!, C: p["C"]!, tokens },
      workgroups: gridFor(p["T"]!, tokens),
    };
  },
};

function shape(
  op: string,
  a: { x: Tensor; mix: Tensor; post: Tensor; f: Tensor },
): { T: number; S: number; C: number } {
  const s = streamShape(op, a.f, a.x);
  invariant(s.S <= MAX_STREAMS, `${op}: ${s.S} streams; at most ${MAX_STREAMS} are supported`);
  expectSize(op, "mix", a.mix, s.T * s.S * s.S);
  expectSize(op, "post", a.post, s.T * s.S);
  return s;
}

/** y [T, S, C]: y_i = Σ_j mix[:, i, j]·x_j + post[:, i]·f; x [T, S, C], mix [T, S, S], post [T, S], f [T, C]. */
export function streamWriteForward(
  g: Graph,
  a: { x: Tensor; mix: Tensor; post: Tensor; f: Tensor; y: Tensor },
): void {
  expectSize("streamWriteForward", "y", a.y, a.x.size);
  g.add(streamWriteForwardOp, [a.x, a.mix, a.post, a.f, a.y], shape("streamWriteForward", a));
}

/** All four gradients, each in the shape of what it belongs to; all are overwritten. */
export function streamWriteBackward(
  g: Graph,
  a: {
    x: Tensor;
    mix: Tensor;
    post: Tensor;
    f: Tensor;
    dY: Tensor;
    dX: Tensor;
    dMix: Tensor;
    dPost: Tensor;
    dF: Tensor;
  },
): void {
  const op = "streamWriteBackward";
  expectSize(op, "dY", a.dY, a.x.size);
  expectSize(op, "dX", a.dX, a.x.size);
  expectSize(op, "dMix", a.dMix, a.mix.size);
  expectSize(op, "dPost", a.dPost, a.post.size);
  expectSize(op, "dF", a.dF, a.f.size);
  g.add(
    streamWriteBackwardOp,
    [a.x, a.mix, a.post, a.f, a.dY, a.dX, a.dMix, a.dPost, a.dF],
    shape(op, a),
  );
}
