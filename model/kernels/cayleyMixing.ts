/**
 * Generalized orthostochastic mixing: mix_ij is the mean of the squares of the O × O block (i, j) of the orthogonal
 * matrix Q = 2(I + A)⁻¹ − I with A = skew(a), hence exactly doubly stochastic. A = 0 gives the identity and is a
 * stationary point: start elsewhere. Source: go-mHC (arXiv 2604.02309) §3 (skew map, Cayley transform, block
 * average); the adjoint is dW = −W dA W with W = (I + Q)/2.
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
import {
  cayleyMixingBackward as backwardTwin,
  cayleyMixingForward as forwardTwin,
} from "../cpu/cayleyMixing.ts";
import code from "./cayleyMixing.wgsl";

/** Largest S·O, of the kernel's column arrays. */
export const MAX_ORDER = 12;
/** Lanes per workgroup, as in the kernel; each token takes S·O of them. */
const LANES = 64;

const groupsFor = (p: Params): [number, number, number] =>
  gridFor(p["T"]!, Math.floor(LANES / (p["S"]! * p["O"]!)));

export const cayleyMixingForwardOp: OpSpec = {
  name: "cayleyMixingForward",
  access: ["read", "write"],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    forwardTwin({ a: b[0] as Floats, mix: b[1] as Floats, S: p["S"]!, O: p["O"]! }, start, end),
  gpu: (p) => ({
    code,
    entryPoint: "forward",
    constants: { T: p["T"]!, S: p["S"]!, O: p["O"]! },
    workgroups: groupsFor(p),
  }),
};

export const cayleyMixingBackwardOp: OpSpec = {
  name: "cayleyMixingBackward",
  access: ["read", "read", "write"],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    backwardTwin(
      { a: b[0] as Floats, dMix: b[1] as Floats, dA: b[2] as Floats, S: p["S"]!, O: p["O"]! },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "backward",
    constants: { T: p["T"]!, S: p["S"]!, O: p["O"]! },
    workgroups: groupsFor(p),
  }),
};

/** Parameters per token: the strict upper triangle of an S·O × S·O matrix. */
export function cayleyParameters(S: number, O: number): number {
  return (S * O * (S * O - 1)) / 2;
}

function shape(
  op: string,
  v: { a: Tensor; mix: Tensor; S: number; O: number },
): { T: number; S: number; O: number } {
  const { S, O } = v;
  invariant(
    Number.isInteger(S) &&
      Number.isInteger(O) &&
      S >= 1 &&
      O >= 1 &&
      S * O >= 2 &&
      S * O <= MAX_ORDER,
    `${op}: ${S} streams with blocks of ${O}; their product must lie in 2..${MAX_ORDER}`,
  );
  const T = v.mix.size / (S * S);
  expectSize(op, "a", v.a, T * cayleyParameters(S, O));
  return { T, S, O };
}

/** mix [T, S, S] from a [T, S·O·(S·O − 1)/2], the strict upper triangles row by row. */
export function cayleyMixingForward(
  g: Graph,
  v: { a: Tensor; mix: Tensor; S: number; O: number },
): void {
  g.add(cayleyMixingForwardOp, [v.a, v.mix], shape("cayleyMixingForward", v));
}

/** dA in the shape of a from dMix [T, S, S]; the inverse is computed again from a. */
export function cayleyMixingBackward(
  g: Graph,
  v: { a: Tensor; dMix: Tensor; dA: Tensor; S: number; O: number },
): void {
  expectSize("cayleyMixingBackward", "dA", v.dA, v.a.size);
  g.add(
    cayleyMixingBackwardOp,
    [v.a, v.dMix, v.dA],
    shape("cayleyMixingBackward", { ...v, mix: v.dMix }),
  );
}
