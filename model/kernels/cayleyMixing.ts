/**
 * Generalized orthostochastic mixing: mix_ij is the mean of the squares of the O × O block (i, j) of the orthogonal
 * matrix Q = 2(I + A)⁻¹ − I with A = skew(a), hence exactly doubly stochastic. A = 0 gives the identity and is a
 * stationary point: start elsewhere. Source: go-mHC (arXiv 2604.02309) §3 (skew map, Cayley transform, block
 * average); the adjoint is dW = −W dA W with W = (I + Q)/2.
 */
import type { GpuCaps } from "../graph.ts";
import { invariant } from "../errors.ts";
import code from "./cayleyMixing.wgsl";

/** Largest S·O: bounds workgroup memory and the rounding of the inverse. */
export const MAX_ORDER = 12;

export function checkCayley(S: number, O: number): void {
  invariant(
    Number.isInteger(S) &&
      Number.isInteger(O) &&
      S >= 1 &&
      O >= 1 &&
      S * O >= 2 &&
      S * O <= MAX_ORDER,
    `${S} streams with blocks of ${O}; their product must lie in 2..${MAX_ORDER}`,
  );
}

/** Parameters per token: the strict upper triangle of an S·O × S·O matrix. */
export const cayleyParameters = (S: number, O: number): number => (S * O * (S * O - 1)) / 2;

/** Workgroup memory per row, in floats: two matrices with a gap, and two columns. */
export const cayleyFloats = (S: number, O: number): number => 2 * S * O * (S * O + 2);

/** A compiler that unrolls the threefold nests takes many seconds in software. */
export const cayleyCode = (O: number, caps: GpuCaps): string =>
  `const O: u32 = ${O};\nconst ROLLED: u32 = ${caps.software ? 1 : 0};\n${code}`;
