/**
 * Tau attention: a key is m scalars and a salience, a score is minus the L1 distance to the query's scalars.
 * Query i of a window stands at position span + i and sees the keys at max(0, position − window + 1) … position.
 * Source: Tauformer §3.2 is the case m = 1; several bands, salience and the distance slope are ours.
 */
import {
  expectSize,
  type Floats,
  type GpuKernel,
  type Graph,
  type OpSpec,
  type Params,
  type Stored,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import * as twin from "../cpu/tauAttention.ts";
import { halfAliases } from "./halves.ts";
import forwardCode from "./tauAttention.wgsl";
import fewSharedCode from "./attentionFew.wgsl";
import fewCode from "./tauAttentionFew.wgsl";
import backwardCode from "./tauAttentionBackward.wgsl";
import { attentionRowScalars, attentionSlopeReduceOp } from "./attentionRows.ts";
import { matrixForward } from "./tauAttentionMatrix.ts";
import { matrixKeysBackward } from "./tauAttentionMatrixBackward.ts";
import { matrixQueriesBackward, partsSize } from "./tauAttentionParts.ts";
import { backwardOnMatrices, fitsMatrices, forwardOnMatrices } from "./tauAttentionTiles.ts";

/** Sizes of an attention op: B = batch windows, `rows` queries and `capacity` keys in each. */
export interface TauAttentionShape {
  readonly batch: number;
  readonly rows: number;
  /** Training: rows. Decoding: the length of the caches behind b, c and v. */
  readonly capacity: number;
  readonly nHeads: number;
  /** Scalars per query and key (m), 1 to 8. */
  readonly bands: number;
  /** D, a multiple of 4 up to 64. */
  readonly headDim: number;
  /** Keys a query sees, itself included; 0 = all before it. */
  readonly window: number;
  /** 1: all 32 bits also where matrix units would take values and weights as halves. Default 0. */
  readonly exact?: 0 | 1;
}

const TILE = 64;
const constantsOf = (p: Params): Record<string, number> => ({
  rows: p["rows"]!,
  capacity: p["capacity"]!,
  nHeads: p["nHeads"]!,
  bands: p["bands"]!,
  headDim: p["headDim"]!,
  window: p["window"]!,
});
const tiles = (p: Params): [number, number, number] => [
  Math.ceil(p["rows"]! / TILE),
  p["nHeads"]!,
  p["batch"]!,
];
const rowHeads = (p: Params): number => p["batch"]! * p["rows"]! * p["nHeads"]!;
const heads = (p: Params): number => p["batch"]! * p["nHeads"]!;

/** Decoding: up to this many new rows against a longer cache take the kernel that spreads a row over a workgroup. */
const FEW_ROWS = 64;
const isFew = (p: Params): boolean => p["rows"]! <= FEW_ROWS && p["capacity"]! > p["rows"]!;

const forwardKernel = (
  p: Params,
  stored: readonly Stored[],
  entryPoint: "rowNormalizers" | "forward",
): GpuKernel => ({
  code: halfAliases(stored, { V: 6, Out: 7 }, 4) + forwardCode,
  entryPoint,
  constants: constantsOf(p),
  workgroups: tiles(p),
});

const fewKernel = (p: Params, stored: readonly Stored[]): GpuKernel => ({
  code: halfAliases(stored, { V: 6, Out: 7 }, 4) + fewSharedCode + fewCode,
  entryPoint: "forwardFew",
  constants: constantsOf(p),
  workgroups: [p["rows"]!, Math.ceil(p["headDim"]! / 16), p["batch"]! * p["nHeads"]!],
});

const backwardKernel = (
  p: Params,
  stored: readonly Stored[],
  entryPoint: "keysBackward" | "queriesBackward",
): GpuKernel => ({
  code:
    halfAliases(stored, { V: 3, DOut: 4, DV: entryPoint === "keysBackward" ? 5 : -1 }, 4) +
    backwardCode,
  entryPoint,
  constants: constantsOf(p),
  workgroups: tiles(p),
});

/** Nothing to do where the next op computes the normalizers along the way: on the CPU, on matrix units, for few
 *  rows. */
export const tauAttentionNormalizersOp: OpSpec = {
  name: "tauAttentionNormalizers",
  access: ["read", "read", "read", "read", "read", "write"],
  units: () => 0,
  cpu: () => undefined,
  gpu: (p, caps, stored) => {
    const kernel = forwardKernel(p, stored, "rowNormalizers");
    return isFew(p) || forwardOnMatrices(p, caps) ? { ...kernel, workgroups: [0, 0, 0] } : kernel;
  },
};

export const tauAttentionForwardOp: OpSpec = {
  name: "tauAttentionForward",
  access: ["read", "read", "read", "read", "read", "readWrite", "read", "write"],
  halves: [6, 7],
  units: rowHeads,
  cpu: twin.tauAttentionForward,
  gpu: (p, caps, stored) =>
    isFew(p)
      ? fewKernel(p, stored)
      : forwardOnMatrices(p, caps)
        ? matrixForward(p, stored)
        : forwardKernel(p, stored, "forward"),
};

export const tauAttentionKeysBackwardOp: OpSpec = {
  name: "tauAttentionKeysBackward",
  access: ["read", "read", "read", "read", "read", "write", "write", "write", "write"],
  halves: [3, 4, 5],
  units: heads,
  cpu: (b, p, start, end) => twin.tauAttentionKeysBackward(b as readonly Floats[], p, start, end),
  gpu: (p, caps, stored) =>
    backwardOnMatrices(p, caps)
      ? matrixKeysBackward(p, stored)
      : backwardKernel(p, stored, "keysBackward"),
};

/** On matrix units it makes dSlope, elsewhere the partial sums of which tauAttentionSlope makes it. */
export const tauAttentionQueriesBackwardOp: OpSpec = {
  name: "tauAttentionQueriesBackward",
  access: ["read", "read", "read", "read", "read", "read", "write", "write", "write"],
  halves: [3, 4],
  units: heads,
  cpu: (b, p, start, end) =>
    twin.tauAttentionQueriesBackward(b as readonly Floats[], p, start, end),
  gpu: (p, caps, stored) =>
    backwardOnMatrices(p, caps)
      ? matrixQueriesBackward(p, stored)
      : backwardKernel(p, stored, "queriesBackward"),
};

export const tauAttentionSlopeOp: OpSpec = {
  ...attentionSlopeReduceOp,
  name: "tauAttentionSlope",
  gpu: (p, caps, stored) => {
    const kernel = attentionSlopeReduceOp.gpu(p, caps, stored);
    return backwardOnMatrices(p, caps) ? { ...kernel, workgroups: [0, 0, 0] } : kernel;
  },
};

function paramsOf(op: string, s: TauAttentionShape): Params {
  invariant(
    s.bands >= 1 && s.bands <= 8 && s.headDim >= 4 && s.headDim <= 64 && s.headDim % 4 === 0,
    `${op}: ${s.bands} bands and head dimension ${s.headDim}; 1 to 8 and a multiple of 4 up to 64 are supported`,
  );
  invariant(
    s.nHeads <= 65535 && s.batch <= 65535 && s.window >= 0,
    `${op}: ${s.nHeads} heads, batch ${s.batch} or window ${s.window} is out of range`,
  );
  return {
    batch: s.batch,
    rows: s.rows,
    capacity: s.capacity,
    nHeads: s.nHeads,
    bands: s.bands,
    headDim: s.headDim,
    window: s.window,
    exact: s.exact ?? 0,
  };
}

export interface TauAttentionForward {
  readonly shape: TauAttentionShape;
  /** [batch, rows, H, m] */
  readonly a: Tensor;
  /** [batch, capacity, H, m] */
  readonly b: Tensor;
  /** [batch, capacity, H] */
  readonly c: Tensor;
  /** [H], ≥ 0, used as given. */
  readonly slope: Tensor;
  /** [batch, capacity, H, D], this and `out` f32 or f16 */
  readonly v: Tensor;
  /** u32 [1]: position of row 0. */
  readonly span: Tensor;
  /** [batch, rows, H, D] */
  readonly out: Tensor;
  /** [batch, rows, H]: log of the softmax denominators, for the backward pass. */
  readonly lse: Tensor;
}

/** out_i = Σ_j softmax_j(−Σ_k |a_ik − b_jk| + c_j − slope·(i − j)) v_j over the allowed keys.
 *  Every query's own position must hold a key: span + rows ≤ capacity. Throws ShapeError on other sizes. */
export function tauAttentionForward(g: Graph, t: TauAttentionForward): void {
  const op = "tauAttentionForward";
  const s = t.shape;
  const params = paramsOf(op, s);
  const queries = s.batch * s.rows * s.nHeads;
  const keys = s.batch * s.capacity * s.nHeads;
  expectSize(op, "a", t.a, queries * s.bands);
  expectSize(op, "b", t.b, keys * s.bands);
  expectSize(op, "c", t.c, keys);
  expectSize(op, "slope", t.slope, s.nHeads);
  expectSize(op, "v", t.v, keys * s.headDim);
  expectSize(op, "span", t.span, 1);
  expectSize(op, "out", t.out, queries * s.headDim);
  expectSize(op, "lse", t.lse, queries);
  g.add(tauAttentionNormalizersOp, [t.a, t.b, t.c, t.slope, t.span, t.lse], params);
  g.add(tauAttentionForwardOp, [t.a, t.b, t.c, t.slope, t.span, t.lse, t.v, t.out], params);
}

export interface TauAttentionBackward {
  readonly shape: TauAttentionShape;
  readonly a: Tensor;
  readonly b: Tensor;
  readonly c: Tensor;
  readonly slope: Tensor;
  readonly v: Tensor;
  readonly out: Tensor;
  readonly lse: Tensor;
  readonly dOut: Tensor;
  readonly dA: Tensor;
  readonly dB: Tensor;
  readonly dC: Tensor;
  readonly dSlope: Tensor;
  readonly dV: Tensor;
}

/** Gradients of every input in the training layout (capacity = rows, span = 0); each is overwritten in full. v, out,
 *  dOut and dV are f32 or f16 each; on matrix units v and dOut are rounded to halves either way.
 *  Recomputes the weights from lse; the subgradient of |x| at 0 is 0. Throws ShapeError on other sizes. */
export function tauAttentionBackward(g: Graph, t: TauAttentionBackward): void {
  const op = "tauAttentionBackward";
  const s = t.shape;
  const params = paramsOf(op, s);
  invariant(
    s.capacity === s.rows,
    `${op}: ${s.capacity} keys for ${s.rows} rows; the backward pass needs as many`,
  );
  const rowCount = s.batch * s.rows;
  const n = rowCount * s.nHeads;
  for (const [name, tensor] of Object.entries({ a: t.a, b: t.b, dA: t.dA, dB: t.dB }))
    expectSize(op, name, tensor, n * s.bands);
  for (const [name, tensor] of Object.entries({ c: t.c, lse: t.lse, dC: t.dC }))
    expectSize(op, name, tensor, n);
  for (const [name, tensor] of Object.entries({ v: t.v, out: t.out, dOut: t.dOut, dV: t.dV }))
    expectSize(op, name, tensor, n * s.headDim);
  expectSize(op, "slope", t.slope, s.nHeads);
  expectSize(op, "dSlope", t.dSlope, s.nHeads);
  const stats = g.temp("attention row scalars", [s.batch, s.rows, s.nHeads, 4]);
  // What the keys' op leaves for the queries': on matrix units partial sums, on the CPU their gradients.
  const partFloats = Math.max(fitsMatrices(params) ? partsSize(params) : 0, n * (s.bands + 1));
  const parts = g.temp("attention parts", [partFloats]);
  const slopePartial = g.temp("attention slope partial", [s.batch, s.rows, s.nHeads]);
  attentionRowScalars(g, {
    dOut: t.dOut,
    out: t.out,
    lse: t.lse,
    c: t.c,
    slope: t.slope,
    stats,
    headDim: s.headDim,
  });
  g.add(
    tauAttentionKeysBackwardOp,
    [t.a, t.b, stats, t.v, t.dOut, t.dV, t.dB, t.dC, parts],
    params,
  );
  g.add(
    tauAttentionQueriesBackwardOp,
    [t.a, t.b, stats, t.v, t.dOut, parts, t.dA, slopePartial, t.dSlope],
    params,
  );
  g.add(tauAttentionSlopeOp, [slopePartial, t.dSlope], { ...params, n: rowCount });
}
