/** Reference twins of mixing, one token's matrix at a time. Units are tokens. */
import type { Floats } from "../graph.ts";
import { cayleyMixing } from "./cayleyMixing.ts";
import { kroneckerMixing } from "./kroneckerMixing.ts";
import { permutationMixing } from "./permutationMixing.ts";
import { sinkhornMixing } from "./sinkhornMixing.ts";

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
