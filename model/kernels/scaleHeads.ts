/** Learned gain on the scalars of each head: y = x·softplus(raw)·scale. Gains are positive by construction. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import * as twin from "../cpu/scaleHeads.ts";
import { columnSum } from "./columnSum.ts";
import code from "./scaleHeads.wgsl";

/** Rows per partial sum, as in the kernel. */
const ROWS = 64;

export const scaleHeadsForwardOp: OpSpec = {
  name: "scaleHeadsForward",
  access: ["read", "read", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    twin.scaleHeadsForward(b as readonly Floats[], p["scale"]!, start, end),
  gpu: (p) => ({
    code,
    entryPoint: "forward",
    constants: { rows: p["rows"]!, n: p["n"]!, scale: p["scale"]! },
    workgroups: gridFor(p["rows"]! * p["n"]!, 256),
  }),
};

export const scaleHeadsBackwardPartialsOp: OpSpec = {
  name: "scaleHeadsBackwardPartials",
  access: ["read", "read", "read", "write"],
  units: (p) => Math.ceil(p["rows"]! / ROWS),
  cpu: (b, p, start, end) =>
    twin.scaleHeadsBackwardPartials(b as readonly Floats[], { ...p, chunk: ROWS }, start, end),
  gpu: (p) => ({
    code,
    entryPoint: "backwardPartials",
    constants: { rows: p["rows"]!, n: p["n"]!, scale: p["scale"]! },
    workgroups: gridFor(Math.ceil(p["rows"]! / ROWS) * p["n"]!, 256),
  }),
};

function rowsOf(op: string, x: Tensor, raw: Tensor): number {
  const rows = x.size / raw.size;
  invariant(
    Number.isInteger(rows),
    `${op}: x (${x.name}) has ${x.size} elements, not rows of ${raw.size}`,
  );
  return rows;
}

/** x, y [rows, H, m], raw [H, m] (or any [n] repeated over rows); y = x·softplus(raw)·scale. */
export function scaleHeadsForward(
  g: Graph,
  a: { x: Tensor; raw: Tensor; y: Tensor; scale: number },
): void {
  const rows = rowsOf("scaleHeadsForward", a.x, a.raw);
  expectSize("scaleHeadsForward", "y", a.y, a.x.size);
  g.add(scaleHeadsForwardOp, [a.x, a.raw, a.y], { rows, n: a.raw.size, scale: a.scale });
}

/** dX = dY·softplus(raw)·scale, left out where x is a constant; dRaw = scale·sigmoid(raw)·Σ_rows dY·x. Overwrites. */
export function scaleHeadsBackward(
  g: Graph,
  a: { x: Tensor; raw: Tensor; dY: Tensor; dX?: Tensor; dRaw: Tensor; scale: number },
): void {
  const op = "scaleHeadsBackward";
  const rows = rowsOf(op, a.x, a.raw);
  const n = a.raw.size;
  expectSize(op, "dY", a.dY, a.x.size);
  expectSize(op, "dRaw", a.dRaw, n);
  const params = { rows, n, scale: a.scale };
  if (a.dX !== undefined) {
    expectSize(op, "dX", a.dX, a.x.size);
    g.add(scaleHeadsForwardOp, [a.dY, a.raw, a.dX], params);
  }
  const partial = g.temp("scaleHeads partials", [Math.ceil(rows / ROWS), n]);
  g.add(scaleHeadsBackwardPartialsOp, [a.x, a.raw, a.dY, partial], params);
  columnSum(g, { x: partial, out: a.dRaw });
}
