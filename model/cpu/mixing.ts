/** Reference twins of mixing, one token's matrix at a time. Units are tokens. */
import type { Floats } from "../graph.ts";
import { cayleyMixing } from "./cayleyMixing.ts";
import { kroneckerMixing } from "./kroneckerMixing.ts";
import { permutationMixing } from "./permutationMixing.ts";
import { SCRATCH_BYTES, type SimdKernels } from "./simd/bind.ts";
import { sinkhornMixing } from "./sinkhornMixing.ts";
import { invariant } from "../errors.ts";

/** Kinds by number, as parameters of ops name them. */
export const MIXINGS = ["goMhc", "sinkhorn", "kronecker", "permutation"] as const;

export interface Mixing {
  readonly kind: (typeof MIXINGS)[number];
  readonly S: number;
  /** Of goMhc alone. */
  readonly O: number;
}

/** One token: mix [S, S] from a [K], and dA [K] from a and dMix [S, S]. */
export interface MixingRow {
  readonly K: number;
  forward(a: Floats, mix: Floats): void;
  backward(a: Floats, dMix: Floats, dA: Floats): void;
}

export function mixingRow(m: Mixing): MixingRow {
  switch (m.kind) {
    case "goMhc":
      return cayleyMixing(m.S, m.O);
    case "sinkhorn":
      return sinkhornMixing(m.S);
    case "kronecker":
      return kroneckerMixing(m.S);
    case "permutation":
      return permutationMixing(m.S);
    default:
      return m.kind satisfies never;
  }
}

/** One token's mixing in arrays of its own, which the caller fills and reads. */
export interface TokenMixing {
  readonly K: number;
  readonly logits: Float64Array;
  /** [S, S], as are their gradients. */
  readonly mix: Float64Array;
  readonly dMix: Float64Array;
  readonly dLogits: Float64Array;
  /** mix from logits. */
  forward(): void;
  /** dLogits from dMix, after `forward` of the same logits. */
  backward(): void;
}

/** With SIMD kernels, go-mHC runs there, in this thread's scratch from `offset` on; gives what is used of it. */
export function tokenMixing(
  m: Mixing,
  simd: SimdKernels | undefined,
): TokenMixing & { bytes: number } {
  const { S, O } = m;
  const row = mixingRow(m);
  const { K } = row;
  const cells = S * S;
  if (simd === undefined || m.kind !== "goMhc" || S === 1) {
    const [logits, dLogits] = [new Float64Array(K), new Float64Array(K)];
    const [mix, dMix] = [new Float64Array(cells), new Float64Array(cells)];
    return {
      K,
      logits,
      mix,
      dMix,
      dLogits,
      bytes: 0,
      forward: () => row.forward(logits, mix),
      backward: () => row.backward(logits, dMix, dLogits),
    };
  }
  const N = S * O;
  const matrix = N * (N + (N % 2)) * 8;
  const small = (K + cells) * 2 * 8;
  const bytes = Math.ceil((small + 4 * matrix) / 16) * 16;
  invariant(bytes <= SCRATCH_BYTES / 2, `a mixing of ${S} streams and blocks of ${O} is too large`);
  const at = simd.scratch;
  const w = at;
  const work = w + matrix;
  const array = (from: number, length: number): Float64Array =>
    new Float64Array(simd.memory.buffer, from, length);
  const logits = array(work + 3 * matrix, K);
  const dLogits = array(logits.byteOffset + K * 8, K);
  const mix = array(dLogits.byteOffset + K * 8, cells);
  const dMix = array(mix.byteOffset + cells * 8, cells);
  const forward = simd.exports["cayleyForward"]!;
  const backward = simd.exports["cayleyBackward"]!;
  return {
    K,
    logits,
    mix,
    dMix,
    dLogits,
    bytes,
    forward: () => forward(logits.byteOffset, mix.byteOffset, w, S, O),
    backward: () => backward(dMix.byteOffset, dLogits.byteOffset, w, work, S, O),
  };
}

export function mixingForward(
  v: Mixing & { a: Floats; mix: Floats },
  start: number,
  end: number,
): void {
  const row = mixingRow(v);
  const cells = v.S * v.S;
  for (let t = start; t < end; t++)
    row.forward(
      v.a.subarray(t * row.K, (t + 1) * row.K),
      v.mix.subarray(t * cells, (t + 1) * cells),
    );
}

export function mixingBackward(
  v: Mixing & { a: Floats; dMix: Floats; dA: Floats },
  start: number,
  end: number,
): void {
  const row = mixingRow(v);
  const cells = v.S * v.S;
  for (let t = start; t < end; t++)
    row.backward(
      v.a.subarray(t * row.K, (t + 1) * row.K),
      v.dMix.subarray(t * cells, (t + 1) * cells),
      v.dA.subarray(t * row.K, (t + 1) * row.K),
    );
}
