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
  type Stored,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import * as twin from "../cpu/keyShift.ts";
import { columnSum } from "./columnSum.ts";
import { flatAliases } from "./halves.ts";
import code from "./keyShift.wgsl";

/** Rows per thread of the forward pass, and per partial sum of the backward pass, as in the kernel. */
const RUN = 8;
const CHUNK = 128;
/** Values per workgroup of the backward pass. */
const TILE = 32;

const rowCount = (p: Params): number => p["batch"]! * p["rows"]!;
const chunks = (p: Params): number => Math.ceil(rowCount(p) / CHUNK);

function kernel(
  p: Params,
  stored: readonly Stored[],
  names: Readonly<Record<string, number>>,
): { code: string; constants: Record<string, number>; channels: number } {
  const aliases = flatAliases(stored, names, p["channels"]!);
  const channels = p["channels"]! / aliases.lanes;
  return {
    code: aliases.code + code,
    constants: { batch: p["batch"]!, rows: p["rows"]!, capacity: p["capacity"]!, channels },
    channels,
  };
}

export const keyShiftForwardOp: OpSpec = {
  name: "keyShiftForward",
  access: ["read", "read", "read", "write"],
  units: rowCount,
  cpu: twin.keyShiftForward,
  halves: [0, 3],
  gpu: (p, _caps, stored) => {
    const { channels, ...k } = kernel(p, stored, { X: 0, Y: 3, Input: 1 });
    const runs = p["batch"]! * Math.ceil(p["rows"]! / RUN);
    return { ...k, entryPoint: "forward", workgroups: gridFor(runs * channels, 256) };
  },
};

function backwardOp(accumulate: 0 | 1): OpSpec {
  return {
    name: accumulate === 1 ? "keyShiftBackwardAccumulate" : "keyShiftBackward",
    access: ["read", "read", "read", accumulate === 1 ? "readWrite" : "write", "write"],
    units: chunks,
    cpu: (b, p, start, end) =>
      twin.keyShiftBackward(b as readonly Floats[], { ...p, chunk: CHUNK, accumulate }, start, end),
    halves: [0, 1, 3],
    gpu: (p, _caps, stored) => {
      const { channels, code, constants } = kernel(p, stored, { X: 0, Y: 3, Input: 1 });
      return {
        code,
        entryPoint: "backward",
        constants: { ...constants, accumulate },
        workgroups: gridFor(chunks(p) * Math.ceil(channels / TILE), 1),
      };
    },
  };
}
export const keyShiftBackwardOp = backwardOp(0);
export const keyShiftBackwardAccumulateOp = backwardOp(1);

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

/** dX and dMix in the training layout (capacity = rows, span = 0); both are overwritten, unless accumulate 1 adds to
 *  dX. */
export function keyShiftBackward(
  g: Graph,
  a: KeyShiftSizes & {
    x: Tensor;
    mix: Tensor;
    dY: Tensor;
    dX: Tensor;
    dMix: Tensor;
    accumulate?: 0 | 1;
  },
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
  const params = paramsOf(a);
  const partial = g.temp("keyShift partials", [chunks(params), 3, a.channels]);
  g.add(
    a.accumulate === 1 ? keyShiftBackwardAccumulateOp : keyShiftBackwardOp,
    [a.dY, a.x, a.mix, a.dX, partial],
    params,
  );
  columnSum(g, { x: partial, out: a.dMix });
}
