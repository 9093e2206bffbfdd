/**
 * Dot-product attention with a distance slope: the control that tau attention is compared with, at equal layouts.
 * Query i of a window stands at position span + i and sees the keys at max(0, position − window + 1) … position.
 * Source: FlashAttention-2 (arXiv 2307.08691) §3.1 for the recomputation from lse.
 */
import {
  expectSize,
  type Floats,
  type Graph,
  type OpSpec,
  type Params,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import * as twin from "../cpu/dotAttention.ts";
import { attentionRowStats, attentionSlopeReduce } from "./attentionRows.ts";
import code from "./dotAttention.wgsl";

export interface DotAttentionShape {
  readonly batch: number;
  readonly rows: number;
  /** Training: rows. Decoding: the length of the caches behind k and v. */
  readonly capacity: number;
  readonly nHeads: number;
  /** D, a multiple of 4 up to 64. */
  readonly headDim: number;
  /** Keys a query sees, itself included; 0 = all before it. */
  readonly window: number;
}

const TILE = 64;
const kernel =
  (entryPoint: string) =>
  (p: Params): ReturnType<OpSpec["gpu"]> => ({
    code,
    entryPoint,
    constants: {
      rows: p["rows"]!,
      capacity: p["capacity"]!,
      nHeads: p["nHeads"]!,
      headDim: p["headDim"]!,
      window: p["window"]!,
      scale: 1 / Math.sqrt(p["headDim"]!),
    },
    workgroups: [Math.ceil(p["rows"]! / TILE), p["nHeads"]!, p["batch"]!],
  });
const rowHeads = (p: Params): number => p["batch"]! * p["rows"]! * p["nHeads"]!;

/** On the CPU the next op computes the normalizers along the way, so this one has no units there. */
export const dotAttentionNormalizersOp: OpSpec = {
  name: "dotAttentionNormalizers",
  access: ["read", "read", "read", "read", "write"],
  units: () => 0,
  cpu: () => undefined,
  gpu: kernel("rowNormalizers"),
};

export const dotAttentionForwardOp: OpSpec = {
  name: "dotAttentionForward",
  access: ["read", "read", "read", "read", "readWrite", "read", "write"],
  units: rowHeads,
  cpu: twin.dotAttentionForward,
  gpu: kernel("forward"),
};

export const dotAttentionKeysBackwardOp: OpSpec = {
  name: "dotAttentionKeysBackward",
  access: ["read", "read", "read", "read", "read", "read", "write", "write"],
  units: rowHeads,
  cpu: (b, p, start, end) => twin.dotAttentionKeysBackward(b as readonly Floats[], p, start, end),
  gpu: kernel("keysBackward"),
};

export const dotAttentionQueriesBackwardOp: OpSpec = {
  name: "dotAttentionQueriesBackward",
  access: ["read", "read", "read", "read", "read", "read", "write", "write"],
  units: rowHeads,
  cpu: (b, p, start, end) =>
    twin.dotAttentionQueriesBackward(b as readonly Floats[], p, start, end),
  gpu: kernel("queriesBackward"),
};

function paramsOf(op: string, s: DotAttentionShape): Params {
  invariant(
    s.headDim >= 4 && s.headDim <= 64 && s.headDim % 4 === 0,
    `${op}: head dimension ${s.headDim}; a multiple of 4 up to 64 is supported`,
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
    headDim: s.headDim,
    window: s.window,
  };
}

export interface DotAttentionForward {
  readonly shape: DotAttentionShape;
  /** [batch, rows, H, D] */
  readonly q: Tensor;
  /** [batch, capacity, H, D] */
  readonly k: Tensor;
  readonly v: Tensor;
  /** [H], ≥ 0, used as given. */
  readonly slope: Tensor;
  /** u32 [1]: position of row 0. */
  readonly span: Tensor;
  /** [batch, rows, H, D] */
  readonly out: Tensor;
  /** [batch, rows, H] */
  readonly lse: Tensor;
}

/** out_i = Σ_j softmax_j(q_i·k_j / √D − slope·(i − j)) v_j over the allowed keys. Every query's own position must
 *  hold a key: span + rows ≤ capacity. Throws ShapeError on other sizes. */
export function dotAttentionForward(g: Graph, t: DotAttentionForward): void {
  const op = "dotAttentionForward";
  const s = t.shape;
  const params = paramsOf(op, s);
  const queries = s.batch * s.rows * s.nHeads;
  const keys = s.batch * s.capacity * s.nHeads;
  expectSize(op, "q", t.q, queries * s.headDim);
  expectSize(op, "k", t.k, keys * s.headDim);
  expectSize(op, "v", t.v, keys * s.headDim);
  expectSize(op, "slope", t.slope, s.nHeads);
  expectSize(op, "span", t.span, 1);
  expectSize(op, "out", t.out, queries * s.headDim);
  expectSize(op, "lse", t.lse, queries);
  g.add(dotAttentionNormalizersOp, [t.q, t.k, t.slope, t.span, t.lse], params);
  g.add(dotAttentionForwardOp, [t.q, t.k, t.slope, t.span, t.lse, t.v, t.out], params);
}

export interface DotAttentionBackward {
  readonly shape: DotAttentionShape;
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly slope: Tensor;
  readonly out: Tensor;
  readonly lse: Tensor;
  readonly dOut: Tensor;
  readonly dQ: Tensor;
  readonly dK: Tensor;
  readonly dV: Tensor;
  readonly dSlope: Tensor;
}

/** Gradients of every input in the training layout (capacity = rows, span = 0); each is overwritten in full. */
export function dotAttentionBackward(g: Graph, t: DotAttentionBackward): void {
  const op = "dotAttentionBackward";
  const s = t.shape;
  const params = paramsOf(op, s);
  invariant(
    s.capacity === s.rows,
    `${op}: ${s.capacity} keys for ${s.rows} rows; the backward pass needs as many`,
  );
  const n = s.batch * s.rows * s.nHeads;
  const { q, k, v, out, dOut, dQ, dK, dV } = t;
  for (const [name, tensor] of Object.entries({ q, k, v, out, dOut, dQ, dK, dV }))
    expectSize(op, name, tensor, n * s.headDim);
  expectSize(op, "lse", t.lse, n);
  expectSize(op, "slope", t.slope, s.nHeads);
  expectSize(op, "dSlope", t.dSlope, s.nHeads);
  const stats = g.temp("attention row stats", [s.batch, s.rows, s.nHeads, 2]);
  const slopePartial = g.temp("attention slope partial", [s.batch, s.rows, s.nHeads]);
  attentionRowStats(g, { dOut, out, lse: t.lse, stats, headDim: s.headDim });
  g.add(dotAttentionKeysBackwardOp, [q, k, t.slope, stats, dOut, v, dV, dK], params);
  g.add(dotAttentionQueriesBackwardOp, [q, k, t.slope, stats, dOut, v, dQ, slopePartial], params);
  attentionSlopeReduce(g, { partial: slopePartial, dSlope: t.dSlope });
}
