/**
 * KromHC's mixing: the Kronecker product of log₂ S factors [p, 1 − p; 1 − p, p], each p a softmax of two logits. Exactly
 * doubly stochastic with very few logits, and far from all of the polytope: every such matrix is symmetric, and all of
 * them share their eigenvectors. Source: KromHC (arXiv 2601.21579), factors of two streams.
 */
import { invariant } from "../errors.ts";
import code from "./kroneckerMixing.wgsl";

const SIZES: readonly number[] = [2, 4, 8];

export function checkKronecker(S: number): void {
  invariant(
    SIZES.includes(S),
    `kronecker mixing of ${S} streams; it takes one of ${SIZES.join(", ")}`,
  );
}

export const kroneckerParameters = (S: number): number => 2 * Math.log2(S);

/** Workgroup memory per row, in floats: one gradient for each difference of indices. */
export const kroneckerFloats = (S: number): number => S;

export const kroneckerCode = (S: number): string =>
  `const FACTORS: u32 = ${Math.log2(S)};\n${code}`;
