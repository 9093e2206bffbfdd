/**
 * Muon: momentum, then an approximate orthogonalization of the update by five Newton–Schulz iterations, then a
 * decoupled-decay step. The iteration works on the Gram matrix of the smaller side, so tall matrices need no
 * transposed copy. Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024).
 * Differs: weights are [in, out] here, so the shape factor is max(1, cols / rows)^0.5.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import * as twin from "../cpu/muon.ts";
import code from "./muon.wgsl";
import { matmul } from "./matmul.ts";

/** x ← first·x + second·(x xᵀ)x + third·(x xᵀ)²x: steep at zero, singular values end near one. */
const NEWTON_SCHULZ = { first: 3.4445, second: -4.775, third: 2.0315 } as const;
const ITERATIONS = 5;
/** One workgroup adds up at most this many parts of a norm. */
const MOST_PARTS = 256;

const lanesFor = (size: number): 1 | 4 => (size % 4 === 0 ? 4 : 1);
const source = (lanes: 1 | 4): string =>
  (lanes === 4
    ? "alias Real = vec4f;\nfn squares(x: Real) -> f32 { return dot(x, x); }\n"
    : "alias Real = f32;\nfn squares(x: Real) -> f32 { return x * x; }\n") + code;

export const muonMomentumOp: OpSpec = {
  name: "muonMomentum",
  access: ["read", "readWrite", "read", "write", "write"],
  units: (p) => p["batch"]! * p["partCount"]!,
  cpu: (b, p, start, end) => {
    const [grad, buffer, hyper, direction, parts] = b as readonly Floats[];
    twin.muonMomentum(
      { grad: grad!, buffer: buffer!, hyper: hyper!, direction: direction!, parts: parts! },
      { size: p["size"]!, partCount: p["partCount"]! },
      start,
      end,
    );
  },
  gpu: (p) => {
    const lanes = lanesFor(p["size"]!);
    return {
      code: source(lanes),
      entryPoint: "momentum",
      constants: { size: p["size"]! / lanes, partCount: p["partCount"]! },
      workgroups: [p["partCount"]!, p["batch"]!, 1],
    };
  },
};

export const muonNormalizeOp: OpSpec = {
  name: "muonNormalize",
  access: ["read", "read", "write"],
  units: (p) => p["batch"]! * p["size"]!,
  cpu: (b, p, start, end) =>
    twin.muonNormalize(
      { unscaled: b[0] as Floats, squareSums: b[1] as Floats, normalized: b[2] as Floats },
      { size: p["size"]!, partCount: p["partCount"]! },
      start,
      end,
    ),
  gpu: (p) => {
    const lanes = lanesFor(p["size"]!);
    return {
      code: source(lanes),
      entryPoint: "normalizeNorm",
      constants: { size: p["size"]! / lanes, partCount: p["partCount"]! },
      workgroups: [Math.ceil(p["size"]! / lanes / 256), p["batch"]!, 1],
    };
  },
};

export const muonPolynomialOp: OpSpec = {
  name: "muonPolynomial",
  access: ["read", "read", "write"],
  units: (p) => p["batch"]! * p["side"]! * p["side"]!,
  cpu: (b, _p, start, end) =>
    twin.muonPolynomial(
      { gram: b[0] as Floats, gramSquared: b[1] as Floats, mixed: b[2] as Floats },
      { side: _p["side"]!, ...NEWTON_SCHULZ },
      start,
      end,
    ),
  gpu: (p) => ({
    code: source(1),
    entryPoint: "polynomial",
    constants: { batch: p["batch"]!, side: p["side"]!, ...NEWTON_SCHULZ },
    workgroups: gridFor(p["batch"]! * p["side"]! * p["side"]!, 256),
  }),
};

export const muonUpdateOp: OpSpec = {
  name: "muonUpdate",
  access: ["read", "readWrite", "read"],
  units: (p) => p["batch"]! * p["size"]!,
  cpu: (b, p, start, end) =>
    twin.muonUpdate(
      { x: b[0] as Floats, param: b[1] as Floats, hyper: b[2] as Floats },
      p["scale"]!,
      start,
      end,
    ),
  gpu: (p) => {
    const lanes = lanesFor(p["size"]!);
    return {
      code: source(lanes),
      entryPoint: "update",
      constants: { size: p["size"]! / lanes, batch: p["batch"]!, scale: p["scale"]! },
      workgroups: gridFor((p["batch"]! * p["size"]!) / lanes, 256),
    };
  },
};

export interface MuonStep {
  /** [batch, rows, cols], weights as [in, out]. */
  readonly param: Tensor;
  readonly grad: Tensor;
  /** Momentum, of param's size; starts at zero. */
  readonly momentum: Tensor;
  /** [8]: lr, momentum, weightDecay, nesterov (0 or 1), cautious (1: decay only where the step and the parameter
   *  agree in sign), three unused. */
  readonly hyper: Tensor;
  readonly rows: number;
  readonly cols: number;
  readonly batch?: number;
}

/** param = param·(1 − lr·weightDecay) − lr·max(1, cols / rows)^0.5·orthogonalized(direction); momentum in place. */
export function muonStep(g: Graph, a: MuonStep): void {
  const { rows, cols, hyper } = a;
  const batch = a.batch ?? 1;
  const size = rows * cols;
  expectSize("muonStep", "param", a.param, batch * size);
  expectSize("muonStep", "grad", a.grad, batch * size);
  expectSize("muonStep", "momentum", a.momentum, batch * size);
  expectSize("muonStep", "hyper", hyper, 8);
  const partCount = Math.min(MOST_PARTS, Math.ceil(size / lanesFor(size) / 256));
  const direction = g.temp("muon direction", [batch, rows, cols]);
  const parts = g.temp("muon norm parts", [batch, partCount]);
  g.add(muonMomentumOp, [a.grad, a.momentum, hyper, direction, parts], { batch, size, partCount });
  let x = g.temp("muon x", [batch, rows, cols]);
  g.add(muonNormalizeOp, [direction, parts, x], { batch, size, partCount });
  const side = Math.min(rows, cols);
  const wide = rows <= cols;
  for (let i = 0; i < ITERATIONS; i++) {
    const gram = g.temp("muon gram", [batch, side, side]);
    const gramSquared = g.temp("muon gram²", [batch, side, side]);
    const mixed = g.temp("muon polynomial", [batch, side, side]);
    const next = g.temp("muon x", [batch, rows, cols]);
    // x xᵀ where x is wide, xᵀ x where it is tall.
    if (wide) matmul(g, { a: x, b: x, out: gram, m: side, k: cols, n: side, transposeB: 1, batch });
    else matmul(g, { a: x, b: x, out: gram, m: side, k: rows, n: side, transposeA: 1, batch });
    matmul(g, { a: gram, b: gram, out: gramSquared, m: side, k: side, n: side, batch });
    g.add(muonPolynomialOp, [gram, gramSquared, mixed], { batch, side });
    if (wide) matmul(g, { a: mixed, b: x, out: next, m: side, k: side, n: cols, batch });
    else matmul(g, { a: x, b: mixed, out: next, m: rows, k: side, n: side, batch });
    x = next;
  }
  const scale = Math.sqrt(Math.max(1, cols / rows));
  g.add(muonUpdateOp, [x, a.param, hyper], { batch, size, scale });
}
