/**
 * mHC's mixing: the exponentials of S × S logits, columns and rows in turn divided by their sums, SINKHORN_STEPS times.
 * Rows come last and sum to 1; columns do so only in the limit, so this kind is *approximately* doubly stochastic. Of
 * four streams and normal logits of standard deviation 1, 3, 8 the worst column is off by 3e-13, 2e-4, 0.025 in the
 * median and by 1e-6, 0.03, 0.08 in one matrix of a hundred.
 * Source: mHC (arXiv 2512.24880) §4.2; the adjoint goes back through every step.
 */
import { invariant } from "../errors.ts";
import { SINKHORN_RANGE, SINKHORN_STEPS } from "../cpu/sinkhornMixing.ts";
import code from "./sinkhornMixing.wgsl";

/** Bounds workgroup memory. */
const MAX_STREAMS = 8;

export function checkSinkhorn(S: number): void {
  invariant(
    Number.isInteger(S) && S >= 1 && S <= MAX_STREAMS,
    `sinkhorn mixing of ${S} streams; it takes 1 to ${MAX_STREAMS}`,
  );
}

export const sinkhornParameters = (S: number): number => S * S;

/** Workgroup memory per row, in floats: all scales, and the gradients of one step's. */
export const sinkhornFloats = (S: number): number => (2 * SINKHORN_STEPS + 1) * S + 2 * S;

export const sinkhornCode = (): string =>
  `const STEPS: u32 = ${SINKHORN_STEPS};\nconst RANGE: f32 = ${SINKHORN_RANGE};\n${code}`;
