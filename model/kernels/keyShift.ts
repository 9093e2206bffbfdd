/**
 * Key shift: keys read a learned per-channel mix of the last three positions, so that a key can say what came
 * before it. Nothing crosses a window's start.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Params,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import * as twin from "../cpu/keyShift.ts";
import { columnSum } from "./columnSum.ts";
import code from "./keyShift.wgsl";

/** Rows per partial sum, as in the kernel. */
const ROWS = 64;

const constantsOf = (p: Params): Record<string, number> => ({
  batch: p["batch"]!,
  rows: p["rows"]!,
  capacity: p["capacity"]!,
  channels: p["channels"]!,
});
const rowCount = (p: Params): number => p["batch"]! * p["rows"]!;

export const keyShiftForwardOp: OpSpec = {
  name: "keyShiftForward",
  access: ["read", "read", "read", "write"],
  units: rowCount,
  cpu: twin.keyShiftForward,
  gpu: (p) => ({
    code,
    entryPoint: "forward",
    constants: constantsOf(p),
    workgroups: gridFor(rowCount(p) * p["channels"]!, 256),
  }),
};

export const keyShiftBackwardInputOp: OpSpec = {
  name: "keyShiftBackwardInput",
  access: ["read", "read", "write"],
  units: rowCount,
  cpu: (b, p, start, end) => twin.keyShiftBackwardInput(b as readonly Floats[], p, start, end),
  gpu: (p) => ({
    code,
    entryPoint: "backwardInput",
    constants: constantsOf(p),
    workgroups: gridFor(rowCount(p) * p["channels"]!, 256),
  }),
};

export const keyShiftBackwardPartialsOp: OpSpec = {
  name: "keyShiftBackwardPartials",
  access: ["read", "read", "write"],
  units: (p) => Math.ceil(rowCount(p) / ROWS),
  cpu: (b, p, start, end) =>
    twin.keyShiftBackwardPartials(b as readonly Floats[], { ...p, chunk: ROWS }, start, end),
  gpu: (p) => ({
    code,
    entryPoint: "backwardPartials",
    constants: constantsOf(p),
    workgroups: gridFor(Math.ceil(rowCount(p) / ROWS) * p["channels"]!, 256),
  }),
};

export interface KeyShiftSizes {
  readonly batch: number;
  readonly rows: number;
  /** Training: rows. Decoding: the length of the cache behind x. */
  readonly capacity: number;
  readonly channels: number;
}

const paramsOf = (s: KeyShiftSizes): Params => ({
  batch: s.batch,
  rows: s.rows,
  capacity: s.capacity,
  channels: s.channels,
});

/** y_i = Σ_k mix_k ⊙ x_{span + i − k}; x [batch, capacity, C], mix [3, C], span u32 [1], y [batch, rows, C].
 *  Throws ShapeError on other sizes. */
export function keyShiftForward(
  g: Graph,
  a: KeyShiftSizes & { x: Tensor; mix: Tensor; span: Tensor; y: Tensor },
): void {
  const op = "keyShiftForward";
  expectSize(op, "x", a.x, a.batch * a.capacity * a.channels);
  expectSize(op, "mix", a.mix, 3 * a.channels);
  expectSize(op, "span", a.span, 1);
  expectSize(op, "y", a.y, a.batch * a.rows * a.channels);
  g.add(keyShiftForwardOp, [a.x, a.mix, a.span, a.y], paramsOf(a));
}

/** dX and dMix in the training layout (capacity = rows, span = 0); both are overwritten. */
export function keyShiftBackward(
  g: Graph,
  a: KeyShiftSizes & { x: Tensor; mix: Tensor; dY: Tensor; dX: Tensor; dMix: Tensor },
): void {
  const op = "keyShiftBackward";
  invariant(
    a.capacity === a.rows,
    `${op}: a window of ${a.rows} rows over ${a.capacity}; the backward pass needs as many`,
  );
  const n = a.batch * a.rows;
  expectSize(op, "x", a.x, n * a.channels);
  expectSize(op, "mix", a.mix, 3 * a.channels);
  expectSize(op, "dY", a.dY, n * a.channels);
  expectSize(op, "dX", a.dX, n * a.channels);
  expectSize(op, "dMix", a.dMix, 3 * a.channels);
  g.add(keyShiftBackwardInputOp, [a.dY, a.mix, a.dX], paramsOf(a));
  const partial = g.temp("keyShift partials", [Math.ceil(n / ROWS), 3, a.channels]);
  g.add(keyShiftBackwardPartialsOp, [a.dY, a.x, partial], paramsOf(a));
  columnSum(g, { x: partial, out: a.dMix });
}
