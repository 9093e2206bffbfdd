/** Grid attention for new rows against caches of keys: the same function of the same scalars as gridAttentionForward,
 *  pair by pair. */
import { expectSize, type Graph, type OpSpec, type Tensor } from "../graph.ts";
import { invariant } from "../errors.ts";
import * as twin from "../cpu/gridAttention.ts";
import { gridConstants, gridParams, rowHeads, type GridAttentionShape } from "./gridAttention.ts";
import { halfAliases } from "./halves.ts";
import sharedCode from "./attentionFew.wgsl";
import fewCode from "./gridAttentionFew.wgsl";
import hatCode from "./gridAttentionHat.wgsl";

export const gridFewOp: OpSpec = {
  name: "gridFew",
  access: ["read", "read", "read", "read", "read", "read", "read", "write"],
  halves: [5, 7],
  units: rowHeads,
  cpu: twin.gridFew,
  gpu: (p, _caps, stored) => ({
    code: halfAliases(stored, { V: 5, Out: 7 }, 4) + hatCode + sharedCode + fewCode,
    entryPoint: "forwardFew",
    constants: { ...gridConstants(p), capacity: p["capacity"]! },
    workgroups: [p["rows"]!, Math.ceil(p["headDim"]! / 16), p["batch"]! * p["nHeads"]!],
  }),
};

export interface GridAttentionFew {
  readonly shape: GridAttentionShape & {
    /** Positions of the caches behind b, c and v. */
    readonly capacity: number;
  };
  /** [batch, rows, H], in [0, 1]. */
  readonly a: Tensor;
  /** [batch, capacity, H], in [0, 1]. */
  readonly b: Tensor;
  /** [batch, capacity, H], at most about 8. */
  readonly c: Tensor;
  /** [H], at least 1/64. */
  readonly temperature: Tensor;
  /** [H], ≥ 0. */
  readonly slope: Tensor;
  /** [batch, capacity, H, D], this and `out` f32 or f16. */
  readonly v: Tensor;
  /** u32 [1]: position of row 0. */
  readonly span: Tensor;
  /** [batch, rows, H, D] */
  readonly out: Tensor;
}

/** Row i stands at position span + i and sees the keys up to it, its own included: span + rows ≤ capacity. Throws
 *  ShapeError on other sizes. */
export function gridAttentionFew(g: Graph, t: GridAttentionFew): void {
  const op = "gridAttentionFew";
  const { shape } = t;
  const p = { ...gridParams(op, shape), capacity: shape.capacity };
  invariant(
    shape.capacity >= shape.rows,
    `${op}: ${shape.rows} rows in caches of ${shape.capacity}`,
  );
  const n = rowHeads(p);
  const keys = shape.batch * shape.capacity * shape.nHeads;
  expectSize(op, "a", t.a, n);
  expectSize(op, "b", t.b, keys);
  expectSize(op, "c", t.c, keys);
  expectSize(op, "temperature", t.temperature, shape.nHeads);
  expectSize(op, "slope", t.slope, shape.nHeads);
  expectSize(op, "v", t.v, keys * shape.headDim);
  expectSize(op, "span", t.span, 1);
  expectSize(op, "out", t.out, n * shape.headDim);
  g.add(gridFewOp, [t.a, t.b, t.c, t.temperature, t.slope, t.v, t.span, t.out], p);
}
