/**
 * Where scalars lie on the grid, and how far a head looks along it: z = logistic(scalar − offset), T = COLDEST +
 * softplus(heat), both learned. The scalar's gain (attentionScalars) says how much of what a head tells apart is spread
 * over the grid's middle, the temperature how sharply it tells it apart; a bounded grid needs both.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Params,
} from "../graph.ts";
import type { Tensor } from "../graph.ts";
import * as twin from "../cpu/gridAttentionScalars.ts";
import { GRID_POINTS } from "../cpu/gridPair.ts";
import { attentionSlopeReduce } from "./attentionRows.ts";
import code from "./gridAttentionScalars.wgsl";

/** The least temperature: four cells of the grid, where a pair in one cell weighs at most tanh(1/8) of one less than
 *  under e^(−|a − b|/T) (tauformer.md §4.3). */
export const COLDEST = 4 / (GRID_POINTS - 1);

const kernel = (p: Params, entryPoint: string): ReturnType<OpSpec["gpu"]> => ({
  code,
  entryPoint,
  constants: { n: p["n"]!, nHeads: p["nHeads"]!, coldest: p["coldest"]! },
  workgroups: gridFor(p["n"]!, 256),
});

export const gridScalarsOp: OpSpec = {
  name: "gridScalars",
  access: ["read", "read", "read", "read", "write", "write", "write"],
  units: (p) => p["n"]!,
  cpu: (b, p, start, end) => twin.forward(b as readonly Floats[], p, start, end),
  gpu: (p) => kernel(p, "forward"),
};

export const gridScalarsBackwardOp: OpSpec = {
  name: "gridScalarsBackward",
  access: [
    ...["read", "read", "read", "read", "read", "read"],
    ...["write", "write", "write", "write"],
  ] as OpSpec["access"],
  units: (p) => p["n"]!,
  cpu: (b, p, start, end) => twin.backward(b as readonly Floats[], p, start, end),
  gpu: (p) => kernel(p, "backward"),
};

/** Learned, [H] each. */
export interface GridScalarParams {
  readonly offset: Tensor;
  readonly heat: Tensor;
}

/** rawA, rawB [rows, H] → a, b [rows, H] in [0, 1]; temperature [H]. */
export function gridScalarsForward(
  g: Graph,
  t: GridScalarParams & {
    rawA: Tensor;
    rawB: Tensor;
    a: Tensor;
    b: Tensor;
    temperature: Tensor;
  },
): void {
  const op = "gridScalarsForward";
  const nHeads = t.heat.size;
  const n = t.rawA.size;
  expectSize(op, "rawA", t.rawA, Math.floor(n / nHeads) * nHeads);
  for (const [name, x] of Object.entries({ rawB: t.rawB, a: t.a, b: t.b }))
    expectSize(op, name, x, n);
  expectSize(op, "offset", t.offset, nHeads);
  expectSize(op, "temperature", t.temperature, nHeads);
  g.add(gridScalarsOp, [t.rawA, t.rawB, t.offset, t.heat, t.a, t.b, t.temperature], {
    n,
    nHeads,
    coldest: COLDEST,
  });
}

/** Overwrites all gradients; a and b are what the forward pass gave. */
export function gridScalarsBackward(
  g: Graph,
  t: {
    a: Tensor;
    b: Tensor;
    heat: Tensor;
    dA: Tensor;
    dB: Tensor;
    dTemperature: Tensor;
    dRawA: Tensor;
    dRawB: Tensor;
    dOffset: Tensor;
    dHeat: Tensor;
  },
): void {
  const op = "gridScalarsBackward";
  const nHeads = t.heat.size;
  const n = t.a.size;
  const { b, dA, dB, dRawA, dRawB } = t;
  for (const [name, x] of Object.entries({ b, dA, dB, dRawA, dRawB })) expectSize(op, name, x, n);
  const { dTemperature, dOffset, dHeat } = t;
  for (const [name, x] of Object.entries({ dTemperature, dOffset, dHeat }))
    expectSize(op, name, x, nHeads);
  const partial = g.temp("grid offset partial", [n]);
  g.add(
    gridScalarsBackwardOp,
    [t.a, b, dA, dB, dTemperature, t.heat, dRawA, dRawB, partial, dHeat],
    { n, nHeads, coldest: COLDEST },
  );
  attentionSlopeReduce(g, { partial, dSlope: dOffset });
}
