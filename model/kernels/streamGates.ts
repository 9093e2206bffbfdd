/**
 * Per-token coefficients of the streams: read and write gates, and the logits of the mixing matrix. z is the
 * normalized streams times one projection, which the caller makes; alpha are the three learned gains.
 * Source: go-mHC (arXiv 2604.02309) eq. 2–4 and 7–9; the gates' forms are mHC's (arXiv 2512.24880) eq. 7.
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
  streamGatesCombine as combineTwin,
  streamGatesForward as forwardTwin,
  streamGatesGains as gainsTwin,
  streamGatesPartials as partialsTwin,
} from "../cpu/streamGates.ts";
import code from "./streamGates.wgsl";

/** Tokens per chunk of the backward's first pass, as in the kernel. */
const TOKENS = 16;

export const streamGatesForwardOp: OpSpec = {
  name: "streamGatesForward",
  access: ["read", "read", "read", "write", "write", "write"],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    forwardTwin(
      {
        z: b[0] as Floats,
        alpha: b[1] as Floats,
        bias: b[2] as Floats,
        pre: b[3] as Floats,
        post: b[4] as Floats,
        a: b[5] as Floats,
        S: p["S"]!,
        K: p["K"]!,
      },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "forward",
    constants: { T: p["T"]!, S: p["S"]!, K: p["K"]! },
    workgroups: gridFor(p["T"]! * (2 * p["S"]! + p["K"]!), 256),
  }),
};

export const streamGatesPartialsOp: OpSpec = {
  name: "streamGatesPartials",
  access: ["read", "read", "read", "read", "read", "read", "write", "write"],
  units: (p) => p["chunks"]!,
  cpu: (b, p, start, end) =>
    partialsTwin(
      {
        z: b[0] as Floats,
        alpha: b[1] as Floats,
        bias: b[2] as Floats,
        dPre: b[3] as Floats,
        dPost: b[4] as Floats,
        dA: b[5] as Floats,
        dZ: b[6] as Floats,
        sums: b[7] as Floats,
        T: p["T"]!,
        S: p["S"]!,
        K: p["K"]!,
        tokensPerChunk: TOKENS,
      },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "partials",
    constants: { T: p["T"]!, S: p["S"]!, K: p["K"]!, chunks: p["chunks"]! },
    workgroups: gridFor(p["chunks"]! * Math.ceil((2 * p["S"]! + p["K"]!) / 64), 1),
  }),
};

export const streamGatesCombineOp: OpSpec = {
  name: "streamGatesCombine",
  access: ["read", "write", "write"],
  units: (p) => 2 * p["S"]! + p["K"]!,
  cpu: (b, p, start, end) =>
    combineTwin(
      {
        sums: b[0] as Floats,
        dBias: b[1] as Floats,
        columnSums: b[2] as Floats,
        chunks: p["chunks"]!,
        M: 2 * p["S"]! + p["K"]!,
      },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "combine",
    constants: { S: p["S"]!, K: p["K"]!, chunks: p["chunks"]! },
    workgroups: [2 * p["S"]! + p["K"]!, 1, 1],
  }),
};

export const streamGatesGainsOp: OpSpec = {
  name: "streamGatesGains",
  access: ["read", "write"],
  units: () => 3,
  cpu: (b, p, start, end) =>
    gainsTwin(
      { columnSums: b[0] as Floats, dAlpha: b[1] as Floats, S: p["S"]!, K: p["K"]! },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "gains",
    constants: { S: p["S"]!, K: p["K"]! },
    workgroups: [1, 1, 1],
  }),
};

type Sizes = Readonly<Record<"T" | "S" | "K", number>>;

function shape(
  op: string,
  v: { z: Tensor; alpha: Tensor; bias: Tensor; pre: Tensor; post: Tensor; a: Tensor },
): Sizes {
  const M = v.bias.size;
  const T = v.z.size / M;
  const S = v.pre.size / T;
  const K = v.a.size / T;
  invariant(
    Number.isInteger(T) && 2 * S + K === M,
    `${op}: z has ${v.z.size} elements for ${M} biases, ${v.pre.size} gates and ${v.a.size} logits; ` +
      "[T, 2S + K], [T, S] and [T, K] were expected",
  );
  expectSize(op, "alpha", v.alpha, 3);
  expectSize(op, "post", v.post, T * S);
  return { T, S, K };
}

/** pre [T, S] = sigmoid(u), post [T, S] = 2·sigmoid(u), a [T, K] = u, where u = alpha[group]·z + bias;
 *  z [T, 2S + K] in the order pre, post, a; alpha [3], bias [2S + K]. */
export function streamGatesForward(
  g: Graph,
  v: { z: Tensor; alpha: Tensor; bias: Tensor; pre: Tensor; post: Tensor; a: Tensor },
): void {
  g.add(
    streamGatesForwardOp,
    [v.z, v.alpha, v.bias, v.pre, v.post, v.a],
    shape("streamGatesForward", v),
  );
}

/** dZ [T, 2S + K], dAlpha [3] and dBias [2S + K] from dPre, dPost [T, S] and dA [T, K]; all are overwritten. */
export function streamGatesBackward(
  g: Graph,
  v: {
    z: Tensor;
    alpha: Tensor;
    bias: Tensor;
    dPre: Tensor;
    dPost: Tensor;
    dA: Tensor;
    dZ: Tensor;
    dAlpha: Tensor;
    dBias: Tensor;
  },
): void {
  const op = "streamGatesBackward";
  const s = shape(op, { ...v, pre: v.dPre, post: v.dPost, a: v.dA });
  expectSize(op, "dZ", v.dZ, v.z.size);
  expectSize(op, "dAlpha", v.dAlpha, 3);
  expectSize(op, "dBias", v.dBias, v.bias.size);
  const chunks = Math.ceil(s.T / TOKENS);
  const sums = g.temp("streamGates partials", [chunks, 2, v.bias.size]);
  const inputs = [v.z, v.alpha, v.bias, v.dPre, v.dPost, v.dA];
  g.add(streamGatesPartialsOp, [...inputs, v.dZ, sums], { ...s, chunks });
  const columnSums = g.temp("streamGates column sums", [v.bias.size]);
  g.add(streamGatesCombineOp, [sums, v.dBias, columnSums], { S: s.S, K: s.K, chunks });
  g.add(streamGatesGainsOp, [columnSums, v.dAlpha], { S: s.S, K: s.K });
}
