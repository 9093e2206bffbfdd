/**
 * The mixing of the streams as one replaceable part: per-token logits a [T, K] → mix [T, S, S]. Every kind gives
 * doubly stochastic matrices. A new parameterization adds a member to MixingKind and a case to each switch.
 */
import type { Graph, Tensor } from "../graph.ts";
import { cayleyMixingBackward, cayleyMixingForward, cayleyParameters } from "./cayleyMixing.ts";

export interface MixingKind {
  readonly kind: "goMhc";
  /** Streams. */
  readonly S: number;
  /** Orthostochastic block size, the paper's s. */
  readonly O: number;
}

/** K, the logits per token. */
export function mixingLogits(m: MixingKind): number {
  switch (m.kind) {
    case "goMhc":
      return cayleyParameters(m.S, m.O);
    default:
      return m.kind satisfies never;
  }
}

/** mix [T, S, S] from a [T, mixingLogits]. */
export function mixingForward(g: Graph, v: MixingKind & { a: Tensor; mix: Tensor }): void {
  switch (v.kind) {
    case "goMhc":
      return cayleyMixingForward(g, v);
    default:
      return v.kind satisfies never;
  }
}

/** dA [T, mixingLogits] from a and dMix [T, S, S]. */
export function mixingBackward(
  g: Graph,
  v: MixingKind & { a: Tensor; dMix: Tensor; dA: Tensor },
): void {
  switch (v.kind) {
    case "goMhc":
      return cayleyMixingBackward(g, v);
    default:
      return v.kind satisfies never;
  }
}
