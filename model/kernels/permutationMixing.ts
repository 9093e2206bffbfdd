/**
 * mHC-lite's mixing: a convex mixture of all S! permutation matrices, its weights a softmax of as many logits. Exactly
 * doubly stochastic and complete (Birkhoff and von Neumann), at a factorial price.
 * Source: mHC-lite (arXiv 2601.05732).
 */
import { invariant } from "../errors.ts";
import type { GpuCaps } from "../graph.ts";
import { permutations } from "../cpu/permutationMixing.ts";
import code from "./permutationMixing.wgsl";

/** 120 logits; one stream more makes 720. */
const MAX_STREAMS = 5;

export function checkPermutation(S: number): void {
  invariant(
    Number.isInteger(S) && S >= 1 && S <= MAX_STREAMS,
    `a mixture of the permutations of ${S} streams; it takes 1 to ${MAX_STREAMS}`,
  );
}

export const permutationParameters = (S: number): number =>
  Array.from({ length: S }, (_, i) => i + 1).reduce((a, b) => a * b, 1);

/** Workgroup memory per row, in floats: one weight per permutation. */
export const permutationFloats = (S: number): number => permutationParameters(S);

/** Permutations are packed, four bits for each row's column, row 0 lowest. A software compiler takes long to unroll
 *  loops over them. */
export function permutationCode(S: number, caps: GpuCaps): string {
  const packed = permutations(S).map((p) => p.reduce((bits, j, i) => bits + j * 16 ** i, 0));
  return `const ROLLED: u32 = ${caps.software ? 1 : 0};
const ORDERS = array<u32, ${packed.length}>(${packed.map((x) => `${x}u`).join(", ")});\n${code}`;
}
