/** Grid attention's backward pass: the forward's states once more, then the same in reverse for what queries leave
 *  for the keys before them. Deterministic; nothing but `total` and `out` is kept from the forward pass. */
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
import * as twin from "../cpu/gridAttentionBackward.ts";
import { attentionRowScalars, attentionSlopeReduce } from "./attentionRows.ts";
import {
  addKeyStates,
  gridConstants,
  gridGroups,
  gridParams,
  gridScanOp,
  rowHeads,
  stateTemp,
  type GridAttentionShape,
} from "./gridAttention.ts";
import { halfAliases } from "./halves.ts";
import backwardCode from "./gridAttentionBackward.wgsl";
import hatCode from "./gridAttentionHat.wgsl";
import partsCode from "./gridAttentionParts.wgsl";
import statesCode from "./gridAttentionStates.wgsl";

const querySource = `
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> temperature: array<f32>;
@group(0) @binding(2) var<storage, read> stats: array<vec4f>;
@group(0) @binding(3) var<storage, read> dOut: array<DOut>;
@group(0) @binding(4) var<storage, read_write> states: array<f32>;
fn temperatureOf(h: u32) -> f32 { return temperature[h]; }
fn scalarOf(row: u32) -> f32 { return a[row]; }
// As seen from the chunk's first row.
fn weightOf(row: u32, h: u32, t: u32) -> f32 { return exp(-stats[row].w * f32(t)) / stats[row].x; }
fn valueOf(row: u32, column: u32) -> f32 {
  if (column < headDim) { return f32(dOut[row * headDim + column]); }
  return select(0.0, -stats[row].y, column == headDim);
}
`;

/** What queries leave for earlier chunks. */
export const gridQueryStatesOp: OpSpec = {
  name: "gridQueryStates",
  access: ["read", "read", "read", "read", "write"],
  halves: [3],
  units: () => 0,
  cpu: () => undefined,
  gpu: (p, _caps, stored) => ({
    code: halfAliases(stored, { DOut: 3 }, 1) + hatCode + querySource + statesCode,
    entryPoint: "chunkStates",
    constants: gridConstants(p),
    workgroups: gridGroups(p),
  }),
};

const kernel = (
  p: Params,
  stored: readonly Stored[],
  entryPoint: "queriesBackward" | "keysBackward",
): ReturnType<OpSpec["gpu"]> => ({
  code:
    halfAliases(stored, { V: 4, DOut: 5, DV: entryPoint === "keysBackward" ? 7 : -1 }, 4) +
    hatCode +
    backwardCode,
  entryPoint,
  constants: gridConstants(p),
  workgroups: gridGroups(p),
});

export const gridQueriesBackwardOp: OpSpec = {
  name: "gridQueriesBackward",
  access: ["read", "read", "read", "read", "read", "read", "read", "write", "write"],
  halves: [4, 5],
  units: rowHeads,
  cpu: (b, p, start, end) => twin.gridQueriesBackward(b as readonly Floats[], p, start, end),
  gpu: (p, _caps, stored) => kernel(p, stored, "queriesBackward"),
};

export const gridKeysBackwardOp: OpSpec = {
  name: "gridKeysBackward",
  access: ["read", "read", "read", "read", "read", "read", "read", "write", "write"],
  halves: [4, 5, 7],
  units: rowHeads,
  cpu: (b, p, start, end) => twin.gridKeysBackward(b as readonly Floats[], p, start, end),
  gpu: (p, _caps, stored) => kernel(p, stored, "keysBackward"),
};

export const gridPartsOp: OpSpec = {
  name: "gridParts",
  access: ["read", "read", "write", "write", "write", "write"],
  units: rowHeads,
  cpu: (b, p, start, end) => twin.gridParts(b as readonly Floats[], p, start, end),
  gpu: (p) => ({
    code: partsCode,
    entryPoint: "parts",
    constants: { rows: p["rows"]!, nHeads: p["nHeads"]!, n: rowHeads(p) },
    workgroups: gridFor(rowHeads(p), 256),
  }),
};

export interface GridAttentionBackward {
  readonly shape: GridAttentionShape;
  readonly a: Tensor;
  readonly b: Tensor;
  readonly c: Tensor;
  readonly temperature: Tensor;
  readonly slope: Tensor;
  readonly v: Tensor;
  readonly out: Tensor;
  readonly total: Tensor;
  readonly dOut: Tensor;
  readonly dA: Tensor;
  readonly dB: Tensor;
  readonly dC: Tensor;
  readonly dTemperature: Tensor;
  readonly dSlope: Tensor;
  readonly dV: Tensor;
}

/** Gradients of every input, each overwritten in full; v, out, dOut and dV are f32 or f16 each. Throws ShapeError on
 *  other sizes. */
export function gridAttentionBackward(g: Graph, t: GridAttentionBackward): void {
  const op = "gridAttentionBackward";
  const p = gridParams(op, t.shape);
  const n = rowHeads(p);
  for (const [name, x] of Object.entries({ a: t.a, b: t.b, c: t.c, dA: t.dA, dB: t.dB, dC: t.dC }))
    expectSize(op, name, x, n);
  for (const [name, x] of Object.entries({ v: t.v, out: t.out, dOut: t.dOut, dV: t.dV }))
    expectSize(op, name, x, n * p["headDim"]!);
  expectSize(op, "total", t.total, n);
  expectSize(op, "dTemperature", t.dTemperature, p["nHeads"]!);
  expectSize(op, "dSlope", t.dSlope, p["nHeads"]!);
  const { batch, rows, nHeads, headDim } = t.shape;
  const perRow = [batch, rows, nHeads] as const;
  const stats = g.temp("grid row scalars", [...perRow, 4]);
  const queryParts = g.temp("grid query parts", [...perRow, 2]);
  const keyParts = g.temp("grid key parts", [...perRow, 4]);
  const heatPartial = g.temp("grid temperature partial", perRow);
  const slopePartial = g.temp("grid slope partial", perRow);
  attentionRowScalars(g, {
    dOut: t.dOut,
    out: t.out,
    lse: t.total,
    c: t.c,
    slope: t.slope,
    stats,
    headDim,
  });
  const before = stateTemp(g, p, 2);
  addKeyStates(g, { ...t, states: before }, p, 2);
  g.add(
    gridQueriesBackwardOp,
    [t.a, t.b, t.temperature, stats, t.v, t.dOut, before, t.dA, queryParts],
    p,
  );
  const after = stateTemp(g, p, 1);
  g.add(gridQueryStatesOp, [t.a, t.temperature, stats, t.dOut, after], p);
  g.add(gridScanOp, [t.slope, after], { ...p, grids: 1, reverse: 1 });
  g.add(
    gridKeysBackwardOp,
    [t.a, t.b, t.temperature, stats, t.v, t.dOut, after, t.dV, keyParts],
    p,
  );
  g.add(gridPartsOp, [keyParts, queryParts, t.dB, t.dC, heatPartial, slopePartial], p);
  attentionSlopeReduce(g, { partial: heatPartial, dSlope: t.dTemperature });
  attentionSlopeReduce(g, { partial: slopePartial, dSlope: t.dSlope });
}
