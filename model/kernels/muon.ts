/**
 * Muon: momentum, then an approximate orthogonalization of the update by four polynomials of degree five, then a
 * decoupled-decay step, for every matrix of a pack. The iteration works on the Gram matrix of the smaller side, in
 * batches (muonPlan.ts). Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024).
 * The polynomials: N. Amsel et al., "The Polar Express" (arXiv 2505.16932 §3): each the best on the interval that those
 * before it leave, so that four do what five Newton–Schulz iterations did.
 * Differs: weights are [in, out] here, so the shape factor is max(1, cols / rows)^0.5; halves, not bfloat16.
 */
import { expectSize, gridFor, type Floats } from "../graph.ts";
import type { Graph, GpuKernel, OpSpec, Params, Stored, Tensor } from "../graph.ts";
import { invariant } from "../errors.ts";
import * as twin from "../cpu/muon.ts";
import type { MuonGroup, MuonPlan } from "../muonPlan.ts";
import { halfAliases } from "./halves.ts";
import code from "./muon.wgsl";
import loadCode from "./muonLoad.wgsl";
import placeCode from "./muonPlace.wgsl";
import updateCode from "./muonUpdate.wgsl";
import { matmul } from "./matmul.ts";
import { matmulGroups, type GroupSize } from "./matmulGroups.ts";
import { VERDICT_SIZE } from "./verdict.ts";

/**
 * x ← first·x + second·(x xᵀ)x + third·(x xᵀ)²x, one after the other: singular values from 0.003 to 1 end within a fifth
 * of UNIT. The last is scaled by it: updates stay as large as the five iterations made them, and rates what they were.
 */
export const UNIT = 0.933;
export const POLYNOMIALS = [
  { first: 8.383674, second: -24.765906, third: 18.357082 },
  { first: 4.04342, second: -3.011405, third: 0.56951215 },
  { first: 3.5055706, second: -2.6266539, third: 0.5257194 },
  { first: 2.3232782, second: -1.7113787, third: 0.40756678 },
] as const;
/** One workgroup adds up at most this many parts of a norm. */
const MOST_PARTS = 256;
/** Elements of a matrix that a part's workgroup takes at a time. */
const RUN = 1024;
const TILE = 32;

/** A batch and where it starts in x. */
interface Placed extends twin.MuonBatch {
  readonly count: number;
  readonly start: number;
}
const FIELDS = ["first", "side", "length", "count", "start"] as const;
const paramsOf = (batches: readonly Placed[]): Params => ({
  groups: batches.length,
  ...Object.fromEntries(batches.flatMap((b, i) => FIELDS.map((f) => [`${f}${i}`, b[f]] as const))),
});
const batchesOf = (p: Params): Placed[] =>
  Array.from(
    { length: p["groups"]! },
    (_, i) => Object.fromEntries(FIELDS.map((f) => [f, p[`${f}${i}`]!])) as unknown as Placed,
  );
const unitsOf = (p: Params): number =>
  batchesOf(p).reduce((sum, { count, side }) => sum + count * side, 0);

/** The batches' parts of a range of units, x being that of the batch alone. */
function eachBatch(
  p: Params,
  x: Floats,
  range: readonly [number, number],
  run: (batch: Placed, x: Floats, start: number, end: number) => void,
): void {
  let first = 0;
  for (const batch of batchesOf(p)) {
    const { count, side, length, start } = batch;
    const units = count * side;
    const [from, to] = [Math.max(0, range[0] - first), Math.min(units, range[1] - first)];
    if (from < to) run(batch, x.subarray(start, start + units * length), from, to);
    first += units;
  }
}

/** A workgroup per tile of every matrix. */
function tiled(
  p: Params,
  stored: readonly Stored[],
  o: { readonly entryPoint: "load" | "update"; readonly x: number },
): GpuKernel {
  let blocks = 0;
  const batches = batchesOf(p);
  const uniforms = batches.flatMap(({ first, side, length, count, start }) => {
    const from = blocks;
    blocks += count * Math.ceil(side / TILE) * Math.ceil(length / TILE);
    return [first, side, length, start, from, 0, 0, 0];
  });
  return {
    code: `${halfAliases(stored, { X: o.x }, 1)}const GROUPS = ${batches.length}u;
@group(0) @binding(${stored.length}) var<uniform> groups: array<vec4u, ${2 * batches.length + 1}>;
${placeCode}${o.entryPoint === "load" ? loadCode : updateCode}`,
    entryPoint: o.entryPoint,
    constants: {},
    uniforms: [...uniforms, blocks],
    workgroups: gridFor(blocks, 1),
  };
}

export const muonMomentumOp: OpSpec = {
  name: "muonMomentum",
  access: ["read", "readWrite", "read", "read", "read", "write"],
  units: (p) => p["count"]! * p["partCount"]!,
  cpu: (b, p, start, end) => {
    const [grad, buffer, , hyper, verdict, parts] = b as readonly Floats[];
    twin.muonMomentum(
      {
        grad: grad!,
        buffer: buffer!,
        table: b[2]!,
        hyper: hyper!,
        verdict: verdict!,
        parts: parts!,
      },
      p["partCount"]!,
      start,
      end,
    );
  },
  gpu: (p) => ({
    code,
    entryPoint: "momentum",
    constants: { partCount: p["partCount"]! },
    workgroups: [p["partCount"]!, p["count"]!, 1],
  }),
};

export const muonNormsOp: OpSpec = {
  name: "muonNorms",
  access: ["read", "write"],
  units: (p) => p["count"]!,
  cpu: (b, p, start, end) =>
    twin.muonNorms(b[0] as Floats, b[1] as Floats, p["partCount"]!, start, end),
  gpu: (p) => ({
    code,
    entryPoint: "norms",
    constants: { partCount: p["partCount"]! },
    workgroups: [p["count"]!, 1, 1],
  }),
};

export const muonLoadOp: OpSpec = {
  name: "muonLoad",
  access: ["read", "read", "read", "read", "read", "read", "write"],
  halves: [6],
  units: unitsOf,
  cpu: (b, p, start, end) => {
    const [grad, buffer, , hyper, verdict, norms, x] = b as readonly Floats[];
    const common = { grad: grad!, buffer: buffer!, table: b[2]!, hyper: hyper! };
    eachBatch(p, x!, [start, end], (batch, own, from, to) =>
      twin.muonLoad({ ...common, verdict: verdict!, norms: norms!, x: own }, batch, from, to),
    );
  },
  gpu: (p, _caps, stored) => tiled(p, stored, { entryPoint: "load", x: 6 }),
};

export const muonUpdateOp: OpSpec = {
  name: "muonUpdate",
  access: ["read", "readWrite", "read", "read", "read"],
  halves: [0],
  units: unitsOf,
  cpu: (b, p, start, end) => {
    const [x, param, , hyper, verdict] = b as readonly Floats[];
    const common = { param: param!, table: b[2]!, hyper: hyper!, verdict: verdict! };
    eachBatch(p, x!, [start, end], (batch, own, from, to) =>
      twin.muonUpdate({ ...common, x: own }, batch, from, to),
    );
  },
  gpu: (p, _caps, stored) => tiled(p, stored, { entryPoint: "update", x: 0 }),
};

export interface MuonStep {
  /** Packs of one size that hold every matrix of the plan at its offset. */
  readonly param: Tensor;
  readonly grad: Tensor;
  /** Starts at zero. */
  readonly momentum: Tensor;
  readonly plan: MuonPlan;
  /** u32, holds muonTable(plan). */
  readonly table: Tensor;
  /** [8]: lr, momentum, weightDecay, nesterov (0 or 1), cautious (1: decay only where the step and the parameter
   *  agree in sign), three unused. */
  readonly hyper: Tensor;
  /** What verdict.ts found: whether to step at all, and what unscales the gradient. */
  readonly verdict: Tensor;
  /** 1 holds the iteration's matrices in halves. */
  readonly half?: 0 | 1;
  /** 1, with halves: one dispatch makes the products of all batches, which fills GPUs with matrix units. */
  readonly grouped?: 0 | 1;
}

/** param = param·(1 − lr·weightDecay) − lr·max(1, cols / rows)^0.5·orthogonalized(direction); momentum in place. */
export function muonStep(g: Graph, a: MuonStep): void {
  const { grad, momentum, table, hyper, verdict, plan } = a;
  const count = plan.matrices.length;
  for (const m of plan.matrices)
    invariant(
      m.offset % 4 === 0 && m.offset + 4 * Math.ceil((m.rows * m.cols) / 4) <= a.param.size,
      `muonStep: a ${m.rows} × ${m.cols} matrix at ${m.offset} does not fit ${a.param.name}`,
    );
  expectSize("muonStep", "grad", grad, a.param.size);
  expectSize("muonStep", "momentum", momentum, a.param.size);
  expectSize("muonStep", "table", table, 4 * count);
  expectSize("muonStep", "hyper", hyper, 8);
  expectSize("muonStep", "verdict", verdict, VERDICT_SIZE);
  const largest = Math.max(...plan.matrices.map((m) => m.rows * m.cols));
  const partCount = Math.min(MOST_PARTS, Math.ceil(largest / RUN));
  const parts = g.temp("muon norm parts", [count, partCount]);
  const norms = g.temp("muon norms", [count]);
  g.add(muonMomentumOp, [grad, momentum, table, hyper, verdict, parts], { count, partCount });
  g.add(muonNormsOp, [parts, norms], { count, partCount });
  const common = { grad, momentum, table, hyper, verdict, norms };
  if (a.grouped === 1 && a.half === 1) {
    batches(g, a, common, plan.groups, (x, groups) => orthogonalizedGroups(g, x, groups));
    return;
  }
  for (const group of plan.groups)
    batches(g, a, common, [group], (x) => orthogonalized(g, x, group));
}

/** Loads these batches one after the other into a tensor, orthogonalizes it and moves the parameters. */
function batches(
  g: Graph,
  a: MuonStep,
  t: { readonly [name in "grad" | "momentum" | "table" | "hyper" | "verdict" | "norms"]: Tensor },
  groups: readonly MuonGroup[],
  orthogonalize: (x: Tensor, groups: readonly MuonGroup[]) => Tensor,
): void {
  let size = 0;
  const placed = groups.map((group) => {
    const start = size;
    size += group.count * group.side * group.length;
    return { ...group, start };
  });
  const x = g.temp("muon x", [size], halfOf(a));
  const { grad, momentum, table, hyper, verdict, norms } = t;
  const params = paramsOf(placed);
  g.add(muonLoadOp, [grad, momentum, table, hyper, verdict, norms, x], params);
  const orthogonal = orthogonalize(x, groups);
  g.add(muonUpdateOp, [orthogonal, a.param, table, hyper, verdict], params);
}

const halfOf = (a: MuonStep): "f16" | "f32" => (a.half === 1 ? "f16" : "f32");

/** As orthogonalized, for several batches at once, in halves. */
function orthogonalizedGroups(g: Graph, x: Tensor, groups: readonly MuonGroup[]): Tensor {
  const of = (k: "side" | "length", n: "side" | "length"): GroupSize[] =>
    groups.map((b) => ({ m: b.side, k: b[k], n: b[n], batch: b.count }));
  const squares = groups.reduce((sum, { count, side }) => sum + count * side * side, 0);
  let last = x;
  for (const { first, second, third } of POLYNOMIALS) {
    const gram = g.temp("muon gram", [squares], "f16");
    const mixed = g.temp("muon polynomial", [squares], "f16");
    const next = g.temp("muon x", x.shape, "f16");
    const grams = of("length", "side");
    matmulGroups(g, { a: last, b: last, out: gram, groups: grams, transposeB: 1 });
    matmulGroups(g, {
      ...{ a: gram, b: gram, out: mixed, groups: of("side", "side") },
      blend: { hidden: gram, shares: { hidden: second, product: third } },
    });
    matmulGroups(g, {
      ...{ a: mixed, b: last, out: next, groups: of("side", "length") },
      blend: { hidden: last, shares: { hidden: first, product: 1 } },
    });
    last = next;
  }
  return last;
}

/** x [count, side, length] nearly orthogonalized; its dtype is that of all temporaries. */
function orthogonalized(g: Graph, x: Tensor, { count: batch, side, length }: MuonGroup): Tensor {
  let last = x;
  for (const { first, second, third } of POLYNOMIALS) {
    const gram = g.temp("muon gram", [batch, side, side], x.dtype);
    const mixed = g.temp("muon polynomial", [batch, side, side], x.dtype);
    const next = g.temp("muon x", x.shape, x.dtype);
    matmul(g, { a: last, b: last, out: gram, m: side, k: length, n: side, transposeB: 1, batch });
    // mixed = second·gram + third·gram², next = first·x + mixed·x: the matrix that halves must hold stays small.
    matmul(g, {
      ...{ a: gram, b: gram, out: mixed, m: side, k: side, n: side, batch },
      ...{ epilogue: "blend", hidden: gram, shares: { hidden: second, product: third } },
    });
    matmul(g, {
      ...{ a: mixed, b: last, out: next, m: side, k: side, n: length, batch },
      ...{ epilogue: "blend", hidden: last, shares: { hidden: first, product: 1 } },
    });
    last = next;
  }
  return last;
}
