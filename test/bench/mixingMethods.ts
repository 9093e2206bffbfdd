/** The parameterizations of doubly stochastic matrices that the benchmarks compare: the twins that the CPU device runs. */
import { mixingRow, type MixingRow } from "../../model/cpu/mixing.ts";
import type { Random } from "../../model/random.ts";

export interface Method {
  readonly name: string;
  /** Sizes it can be asked for. */
  readonly takes: (d: number) => boolean;
  readonly row: (d: number) => MixingRow;
  /** A logit's start in the source. */
  readonly draw: (random: Random) => number;
  /** The source trains all of R in A = R − Rᵀ: Adam moves both entries, so a logit moves twice as far. */
  readonly stride: 1 | 2;
}

export const goMhc = (O: number): Method => ({
  name: `go-mHC, O = ${O}`,
  takes: (d) => d * O <= 32,
  row: (d) => mixingRow({ kind: "goMhc", S: d, O }),
  draw: (random) => random.uniform() - random.uniform(),
  stride: 2,
});

const softmaxes = (
  name: string,
  kind: "sinkhorn" | "kronecker" | "permutation",
  takes: (d: number) => boolean,
): Method => ({
  name,
  takes,
  row: (d) => mixingRow({ kind, S: d, O: 1 }),
  draw: (random) => random.normal(),
  stride: 1,
});

export const sinkhorn = softmaxes("Sinkhorn mHC (20)", "sinkhorn", () => true);
export const kronecker = softmaxes("Kronecker of 2 × 2", "kronecker", (d) =>
  Number.isInteger(Math.log2(d)),
);
/** d! logits. */
export const permutation = softmaxes("permutation mixture", "permutation", (d) => d <= 6);
