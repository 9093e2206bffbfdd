/**
 * taumode: the bounded Rayleigh energies of head vectors, one per band of the Laplacian's spectrum. y are spectral
 * coordinates (head vectors times the eigenvectors), so the energy is diagonal. One band and a fixed spectrum is
 * the published form. Source: Tauformer §3.2; bounded form: its README. Differs: bands, a learnable spectrum.
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
import * as twin from "../cpu/taumode.ts";
import code from "./taumode.wgsl";

/** Row groups of the spectrum gradient's first pass. */
const MOST_PARTS = 256;

const sizes = (p: Params): twin.TaumodeSizes => ({
  rows: p["rows"]!,
  nHeads: p["nHeads"]!,
  headDim: p["headDim"]!,
  bands: p["bands"]!,
  tau: p["tau"]!,
  parts: p["parts"]!,
});
const shapeConstants = (p: Params): Record<string, number> => ({
  rows: p["rows"]!,
  nHeads: p["nHeads"]!,
  headDim: p["headDim"]!,
  bands: p["bands"]!,
});
const rowHeads = (p: Params): number => p["rows"]! * p["nHeads"]!;

export const taumodeForwardOp: OpSpec = {
  name: "taumodeForward",
  access: ["read", "read", "write"],
  units: rowHeads,
  cpu: (b, p, start, end) =>
    twin.taumodeForward(b[0] as Floats, b[1] as Floats, b[2] as Floats, sizes(p), start, end),
  gpu: (p) => ({
    code,
    entryPoint: "forward",
    constants: { ...shapeConstants(p), tau: p["tau"]! },
    workgroups: gridFor(rowHeads(p), 64),
  }),
};

export const taumodeBackwardYOp: OpSpec = {
  name: "taumodeBackwardY",
  access: ["read", "read", "read", "write", "write"],
  units: rowHeads,
  cpu: (b, p, start, end) =>
    twin.taumodeBackwardY(
      b[0] as Floats,
      b[1] as Floats,
      b[2] as Floats,
      b[3] as Floats,
      b[4] as Floats,
      sizes(p),
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "backwardY",
    constants: { ...shapeConstants(p), tau: p["tau"]! },
    workgroups: gridFor(rowHeads(p), 64),
  }),
};

export const taumodePartialsOp: OpSpec = {
  name: "taumodePartials",
  access: ["read", "read", "write"],
  units: (p) => p["parts"]!,
  cpu: (b, p, start, end) =>
    twin.taumodePartials(b[0] as Floats, b[1] as Floats, b[2] as Floats, sizes(p), start, end),
  gpu: (p) => ({
    code,
    entryPoint: "partials",
    constants: { ...shapeConstants(p), parts: p["parts"]! },
    workgroups: gridFor(p["parts"]! * p["nHeads"]! * p["headDim"]!, 64),
  }),
};

export const taumodeReduceOp: OpSpec = {
  name: "taumodeReduce",
  access: ["read", "write"],
  units: (p) => p["nHeads"]! * p["headDim"]!,
  cpu: (b, p, start, end) =>
    twin.taumodeReduce(b[0] as Floats, b[1] as Floats, sizes(p), start, end),
  gpu: (p) => ({
    code,
    entryPoint: "reduce",
    constants: { nHeads: p["nHeads"]!, headDim: p["headDim"]!, parts: p["parts"]! },
    workgroups: gridFor(p["nHeads"]! * p["headDim"]!, 64),
  }),
};

export interface TaumodeShape {
  readonly rows: number;
  readonly nHeads: number;
  readonly headDim: number;
  /** m: equal contiguous bands of the coordinates. */
  readonly bands: number;
  /** Of the bound E / (E + tau); 0 leaves E as it is. */
  readonly tau: number;
}

function paramsOf(op: string, s: TaumodeShape): Params {
  invariant(
    s.headDim % s.bands === 0,
    `${op}: ${s.headDim} coordinates do not split into ${s.bands} bands`,
  );
  return { ...s, parts: Math.min(MOST_PARTS, s.rows) };
}

/** y [rows, H, D], mu [H, D] ≥ 0 → lambda [rows, H, m], in [0, 1) where tau > 0. */
export function taumodeForward(
  g: Graph,
  a: TaumodeShape & { y: Tensor; mu: Tensor; lambda: Tensor },
): void {
  const op = "taumodeForward";
  const p = paramsOf(op, {
    rows: a.rows,
    nHeads: a.nHeads,
    headDim: a.headDim,
    bands: a.bands,
    tau: a.tau,
  });
  expectSize(op, "y", a.y, a.rows * a.nHeads * a.headDim);
  expectSize(op, "mu", a.mu, a.nHeads * a.headDim);
  expectSize(op, "lambda", a.lambda, a.rows * a.nHeads * a.bands);
  g.add(taumodeForwardOp, [a.y, a.mu, a.lambda], p);
}

/** Overwrites dY and dMu. */
export function taumodeBackward(
  g: Graph,
  a: TaumodeShape & { y: Tensor; mu: Tensor; dLambda: Tensor; dY: Tensor; dMu: Tensor },
): void {
  const op = "taumodeBackward";
  const p = paramsOf(op, {
    rows: a.rows,
    nHeads: a.nHeads,
    headDim: a.headDim,
    bands: a.bands,
    tau: a.tau,
  });
  expectSize(op, "dLambda", a.dLambda, a.rows * a.nHeads * a.bands);
  expectSize(op, "dY", a.dY, a.y.size);
  expectSize(op, "dMu", a.dMu, a.mu.size);
  const dE = g.temp("dEnergy", [a.rows, a.nHeads, a.bands]);
  g.add(taumodeBackwardYOp, [a.y, a.mu, a.dLambda, a.dY, dE], p);
  const partial = g.temp("spectrum partials", [p["parts"]!, a.nHeads, a.headDim]);
  g.add(taumodePartialsOp, [a.y, dE, partial], p);
  g.add(taumodeReduceOp, [partial, a.dMu], p);
}
