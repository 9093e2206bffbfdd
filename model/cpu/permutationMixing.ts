/** Reference twin of permutationMixing: softmax(a) weighs the S! permutation matrices. */
import type { Floats } from "../graph.ts";
import type { MixingRow } from "./mixing.ts";

/** All orders of 0 … S − 1, the first one ascending, then as a dictionary has them; entry i is row i's column. */
export function permutations(S: number): number[][] {
  const from = (rest: readonly number[]): number[][] =>
    rest.length === 0
      ? [[]]
      : rest.flatMap((first) => from(rest.filter((x) => x !== first)).map((p) => [first, ...p]));
  return from(Array.from({ length: S }, (_, i) => i));
}

/** Holds the scratch of one thread. */
export function permutationMixing(S: number): MixingRow {
  const orders = permutations(S);
  const K = orders.length;
  /** Of permutation k and row i: the entry of a matrix. */
  const cells = Int32Array.from(orders.flatMap((p) => p.map((column, row) => row * S + column)));
  const weights = new Float64Array(K);

  const weigh = (a: Floats): void => {
    let top = -Infinity;
    for (let k = 0; k < K; k++) top = Math.max(top, a[k]!);
    let total = 0;
    for (let k = 0; k < K; k++) total += weights[k] = Math.exp(a[k]! - top);
    for (let k = 0; k < K; k++) weights[k]! /= total;
  };
  return {
    K,
    forward: (a, mix) => {
      weigh(a);
      mix.fill(0, 0, S * S);
      for (let k = 0; k < K; k++)
        for (let i = 0; i < S; i++) mix[cells[k * S + i]!]! += weights[k]!;
    },
    backward: (a, dMix, dA) => {
      weigh(a);
      let mean = 0;
      for (let k = 0; k < K; k++) {
        let sum = 0;
        for (let i = 0; i < S; i++) sum += dMix[cells[k * S + i]!]!;
        dA[k] = sum;
        mean += weights[k]! * sum;
      }
      for (let k = 0; k < K; k++) dA[k] = weights[k]! * (dA[k]! - mean);
    },
  };
}
