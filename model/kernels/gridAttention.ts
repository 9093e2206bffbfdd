/**
 * Grid attention: tau attention with one scalar per head whose kernel e^(−|a − b|/T) is carried by 64 grid points, so
 * that the past of a chunk is a state of 64 × (D + 1) numbers and time grows linearly with the context. Scalars in
 * different cells of the grid meet exactly that kernel, scalars in one cell a slightly smaller, smooth one.
 * Chunks of 64 rows: what each leaves on the grid, a scan over chunks, then per chunk its own keys pair by pair and
 * two rows of the state per query. Every weight is the same kernel, in the chunk and across chunks.
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
import * as twin from "../cpu/gridAttention.ts";
import { GRID_POINTS } from "../cpu/gridPair.ts";
import { halfAliases } from "./halves.ts";
import forwardCode from "./gridAttention.wgsl";
import hatCode from "./gridAttentionHat.wgsl";
import scanCode from "./gridAttentionScan.wgsl";
import statesCode from "./gridAttentionStates.wgsl";

export interface GridAttentionShape {
  readonly batch: number;
  readonly rows: number;
  readonly nHeads: number;
  /** D: 16, 32, 48 or 64. */
  readonly headDim: number;
}

const CHUNK = 64;
export const chunksOf = (p: Params): number => Math.ceil(p["rows"]! / CHUNK);
export const gridConstants = (p: Params): Record<string, number> => ({
  rows: p["rows"]!,
  nHeads: p["nHeads"]!,
  headDim: p["headDim"]!,
});
export const gridGroups = (p: Params): [number, number, number] => [
  chunksOf(p),
  p["nHeads"]!,
  p["batch"]!,
];
export const rowHeads = (p: Params): number => p["batch"]! * p["rows"]! * p["nHeads"]!;
/** Numbers per chunk and head in each of `grids` grids. */
const stateSize = (p: Params, grids: number): number => grids * GRID_POINTS * (p["headDim"]! + 4);

const keySource = `
@group(0) @binding(0) var<storage, read> b: array<f32>;
@group(0) @binding(1) var<storage, read> c: array<f32>;
@group(0) @binding(2) var<storage, read> temperature: array<f32>;
@group(0) @binding(3) var<storage, read> slope: array<f32>;
@group(0) @binding(4) var<storage, read> v: array<V>;
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
fn temperatureOf(h: u32) -> f32 { return temperature[h]; }
fn scalarOf(row: u32) -> f32 { return b[row]; }
// As seen from the first row after the chunk.
fn weightOf(row: u32, h: u32, t: u32) -> f32 { return exp(c[row] - slope[h] * f32(CHUNK - t)); }
fn valueOf(row: u32, column: u32) -> f32 {
  if (column < headDim) { return f32(v[row * headDim + column]); }
  return select(0.0, 1.0, column == headDim);
}
`;

/** What keys leave for later chunks; on the CPU the last op of each pass does it all. */
export const gridKeyStatesOp: OpSpec = {
  name: "gridKeyStates",
  access: ["read", "read", "read", "read", "read", "write"],
  halves: [4],
  units: () => 0,
  cpu: () => undefined,
  gpu: (p, _caps, stored) => ({
    code: halfAliases(stored, { V: 4 }, 1) + hatCode + keySource + statesCode,
    entryPoint: "chunkStates",
    constants: { ...gridConstants(p), grids: p["grids"]! },
    workgroups: gridGroups(p),
  }),
};

export const gridScanOp: OpSpec = {
  name: "gridScan",
  access: ["read", "readWrite"],
  units: () => 0,
  cpu: () => undefined,
  gpu: (p) => {
    const size = stateSize(p, p["grids"]!);
    return {
      code: scanCode,
      entryPoint: p["reverse"] === 1 ? "back" : "ahead",
      constants: { rows: p["rows"]!, nHeads: p["nHeads"]!, size },
      workgroups: [Math.ceil(size / 32), p["batch"]! * p["nHeads"]!, 1],
    };
  },
};

export const gridForwardOp: OpSpec = {
  name: "gridForward",
  access: ["read", "read", "read", "read", "read", "read", "read", "write", "write"],
  halves: [5, 7],
  units: rowHeads,
  cpu: (b, p, start, end) => twin.gridForward(b as readonly Floats[], p, start, end),
  gpu: (p, _caps, stored) => ({
    code: halfAliases(stored, { V: 5, Out: 7 }, 4) + hatCode + forwardCode,
    entryPoint: "forward",
    constants: gridConstants(p),
    workgroups: gridGroups(p),
  }),
};

export function gridParams(op: string, s: GridAttentionShape): Params {
  invariant(
    s.headDim % 16 === 0 && s.headDim >= 16 && s.headDim <= 64,
    `${op}: head dimension ${s.headDim}; a multiple of 16 up to 64 is supported`,
  );
  invariant(
    s.batch * s.nHeads <= 65535 && s.rows <= 65535 * CHUNK,
    `${op}: batch ${s.batch}, ${s.nHeads} heads or ${s.rows} rows is out of range`,
  );
  return { batch: s.batch, rows: s.rows, nHeads: s.nHeads, headDim: s.headDim };
}

/** Room for the states of all chunks. */
export const stateTemp = (g: Graph, p: Params, grids: number): Tensor =>
  g.temp("grid states", [p["batch"]!, p["nHeads"]!, chunksOf(p), stateSize(p, grids)]);

export interface GridAttentionForward {
  readonly shape: GridAttentionShape;
  /** [batch, rows, H], in [0, 1]: queries and keys. */
  readonly a: Tensor;
  readonly b: Tensor;
  /** [batch, rows, H], at most about 8. */
  readonly c: Tensor;
  /** [H], at least 1/64. */
  readonly temperature: Tensor;
  /** [H], ≥ 0. */
  readonly slope: Tensor;
  /** [batch, rows, H, D], this and `out` f32 or f16. */
  readonly v: Tensor;
  readonly out: Tensor;
  /** [batch, rows, H]: sums of weights, for the backward pass. */
  readonly total: Tensor;
}

/** out_i = Σ_{j ≤ i} K(a_i, b_j) e^(c_j − slope·(i − j)) v_j / total_i, K the grid's kernel at the head's temperature.
 *  Throws ShapeError on other sizes. */
export function gridAttentionForward(g: Graph, t: GridAttentionForward): void {
  const op = "gridAttentionForward";
  const p = gridParams(op, t.shape);
  const n = rowHeads(p);
  for (const [name, x] of Object.entries({ a: t.a, b: t.b, c: t.c, total: t.total }))
    expectSize(op, name, x, n);
  expectSize(op, "temperature", t.temperature, p["nHeads"]!);
  expectSize(op, "slope", t.slope, p["nHeads"]!);
  expectSize(op, "v", t.v, n * p["headDim"]!);
  expectSize(op, "out", t.out, n * p["headDim"]!);
  const states = stateTemp(g, p, 1);
  addKeyStates(g, { ...t, states }, p, 1);
  g.add(gridForwardOp, [t.a, t.b, t.c, t.temperature, t.slope, t.v, states, t.out, t.total], p);
}

/** The state before each chunk. */
export function addKeyStates(
  g: Graph,
  t: { b: Tensor; c: Tensor; temperature: Tensor; slope: Tensor; v: Tensor; states: Tensor },
  p: Params,
  grids: 1 | 2,
): void {
  g.add(gridKeyStatesOp, [t.b, t.c, t.temperature, t.slope, t.v, t.states], { ...p, grids });
  g.add(gridScanOp, [t.slope, t.states], { ...p, grids, reverse: 0 });
}
