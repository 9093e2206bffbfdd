/**
 * Rotary positions on half-split pairs with absolute positions, for the published and dot-product forms.
 * Source: RoFormer (arXiv 2104.09864) §3.4.2; the half-split pairing and sign are those of the Tauformer code.
 */
import {
  expectSize,
  gridFor,
  type OpSpec,
  type Params,
  type Tensor,
  type Graph,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import { rope as twin } from "../cpu/rope.ts";
import code from "./rope.wgsl";

export const ROPE_BASE = 10000;

const pairs = (p: Params): number => p["batch"]! * p["rows"]! * p["nHeads"]! * (p["headDim"]! / 2);

function op(name: string, direction: 1 | -1): OpSpec {
  return {
    name,
    access: ["read", "read", "write"],
    units: (p) => p["batch"]! * p["rows"]!,
    cpu: (b, p, start, end) => twin(b, { ...p, base: ROPE_BASE, direction }, start, end),
    gpu: (p) => ({
      code,
      entryPoint: "rotate",
      constants: {
        pairs: pairs(p),
        rows: p["rows"]!,
        nHeads: p["nHeads"]!,
        headDim: p["headDim"]!,
        logBase: Math.log(ROPE_BASE),
        direction,
      },
      workgroups: gridFor(pairs(p), 256),
    }),
  };
}
export const ropeForwardOp = op("ropeForward", 1);
export const ropeBackwardOp = op("ropeBackward", -1);

export interface RopeSizes {
  readonly batch: number;
  readonly rows: number;
  readonly nHeads: number;
  /** Even. */
  readonly headDim: number;
}

function add(g: Graph, spec: OpSpec, s: RopeSizes, x: Tensor, span: Tensor, y: Tensor): void {
  const size = s.batch * s.rows * s.nHeads * s.headDim;
  invariant(s.headDim % 2 === 0, `${spec.name}: head dimension ${s.headDim} is odd`);
  expectSize(spec.name, "input", x, size);
  expectSize(spec.name, "output", y, size);
  expectSize(spec.name, "span", span, 1);
  g.add(spec, [x, span, y], {
    batch: s.batch,
    rows: s.rows,
    nHeads: s.nHeads,
    headDim: s.headDim,
  });
}

/** x [batch, rows, H, D] → y, rotated by position span + i; span u32 [1]. */
export function ropeForward(g: Graph, a: RopeSizes & { x: Tensor; span: Tensor; y: Tensor }): void {
  add(g, ropeForwardOp, a, a.x, a.span, a.y);
}

/** dX from dY: the opposite rotation. */
export function ropeBackward(
  g: Graph,
  a: RopeSizes & { dY: Tensor; span: Tensor; dX: Tensor },
): void {
  add(g, ropeBackwardOp, a, a.dY, a.span, a.dX);
}
