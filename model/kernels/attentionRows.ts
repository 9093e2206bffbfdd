/**
 * What every attention's backward needs beside its tiles: per row the normalizer with dOut·out, and the slope's
 * gradient as a column sum. Rows are (batch, position) flattened, inner dimension = head.
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
import * as twin from "../cpu/attentionRows.ts";
import { halfAliases } from "./halves.ts";
import code from "./attentionRows.wgsl";

const kernel = (
  p: Params,
  entryPoint: string,
  stored: readonly Stored[],
): ReturnType<OpSpec["gpu"]> => ({
  code: halfAliases(stored, { DOut: 0, Out: 1 }, 4) + code,
  entryPoint,
  constants: { n: p["n"]!, nHeads: p["nHeads"] ?? 1, headDim: p["headDim"]! },
  workgroups: gridFor(p["n"]!, 64),
});

export const attentionRowStatsOp: OpSpec = {
  name: "attentionRowStats",
  access: ["read", "read", "read", "write"],
  halves: [0, 1],
  units: (p) => p["n"]!,
  cpu: (b, p, start, end) =>
    twin.attentionRowStats(b as readonly Floats[], p["headDim"]!, start, end),
  gpu: (p, _caps, stored) => kernel(p, "rowStats", stored),
};

export const attentionRowScalarsOp: OpSpec = {
  name: "attentionRowScalars",
  access: ["read", "read", "read", "read", "read", "write"],
  halves: [0, 1],
  units: (p) => p["n"]!,
  cpu: (b, p, start, end) => twin.attentionRowScalars(b as readonly Floats[], p, start, end),
  gpu: (p, _caps, stored) => kernel(p, "rowScalars", stored),
};

/** dSlope[h] = −Σ over rows of partial, in a fixed order. */
export const attentionSlopeReduceOp: OpSpec = {
  name: "attentionSlopeReduce",
  access: ["read", "write"],
  units: (p) => p["nHeads"]!,
  cpu: (b, p, start, end) => twin.attentionSlopeReduce(b as readonly Floats[], p, start, end),
  gpu: (p) => ({
    code: halfAliases([], { DOut: 0, Out: 1 }, 4) + code,
    entryPoint: "slopeReduce",
    constants: { n: p["n"]!, nHeads: p["nHeads"]!, headDim: 4 },
    workgroups: [p["nHeads"]!, 1, 1],
  }),
};

/** dOut, out [n, D], lse [n] → stats [n, 2] = (lse, dOut·out). */
export function attentionRowStats(
  g: Graph,
  t: { dOut: Tensor; out: Tensor; lse: Tensor; stats: Tensor; headDim: number },
): void {
  const n = t.lse.size;
  expectSize("attentionRowStats", "dOut", t.dOut, n * t.headDim);
  expectSize("attentionRowStats", "out", t.out, n * t.headDim);
  expectSize("attentionRowStats", "stats", t.stats, n * 2);
  g.add(attentionRowStatsOp, [t.dOut, t.out, t.lse, t.stats], { n, headDim: t.headDim });
}

/** dOut, out [n, D], lse and c [n], slope [H], rows' heads innermost → stats [n, 4] = (lse, dOut·out, c, slope). */
export function attentionRowScalars(
  g: Graph,
  t: {
    dOut: Tensor;
    out: Tensor;
    lse: Tensor;
    c: Tensor;
    slope: Tensor;
    stats: Tensor;
    headDim: number;
  },
): void {
  const op = "attentionRowScalars";
  const n = t.lse.size;
  expectSize(op, "dOut", t.dOut, n * t.headDim);
  expectSize(op, "out", t.out, n * t.headDim);
  expectSize(op, "c", t.c, n);
  expectSize(op, "stats", t.stats, n * 4);
  g.add(attentionRowScalarsOp, [t.dOut, t.out, t.lse, t.c, t.slope, t.stats], {
    n,
    nHeads: t.slope.size,
    headDim: t.headDim,
  });
}

/** partial [n, H] → dSlope [H] = −Σ_n partial. */
export function attentionSlopeReduce(g: Graph, t: { partial: Tensor; dSlope: Tensor }): void {
  const nHeads = t.dSlope.size;
  const n = t.partial.size / nHeads;
  expectSize("attentionSlopeReduce", "partial", t.partial, Math.floor(n) * nHeads);
  g.add(attentionSlopeReduceOp, [t.partial, t.dSlope], { n, nHeads });
}
