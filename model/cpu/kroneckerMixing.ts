/**
 * Reference twin of kroneckerMixing. Factor f keeps bit f of a stream's index, the first factor the highest bit, with
 * the share keep_f and flips it with the rest; entry (i, j) is the product over the bits, so only i xor j matters.
 */
import type { Floats } from "../graph.ts";
import type { MixingRow } from "./mixing.ts";

/** Holds the scratch of one thread; S is a power of two. */
export function kroneckerMixing(S: number): MixingRow {
  const factors = Math.log2(S);
  const keep = new Float64Array(factors);
  const flip = new Float64Array(factors);
  /** The entries whose indices differ by x, and their gradients added up. */
  const entries = new Float64Array(S);
  const dEntries = new Float64Array(S);
  const bit = (x: number, f: number): number => (x >> (factors - 1 - f)) & 1;

  const share = (a: Floats): void => {
    for (let f = 0; f < factors; f++) {
      const difference = a[2 * f]! - a[2 * f + 1]!;
      keep[f] = 1 / (1 + Math.exp(-difference));
      flip[f] = 1 / (1 + Math.exp(difference));
    }
  };
  const product = (x: number, without: number): number => {
    let value = 1;
    for (let f = 0; f < factors; f++)
      if (f !== without) value *= bit(x, f) === 1 ? flip[f]! : keep[f]!;
    return value;
  };
  return {
    K: 2 * factors,
    forward: (a, mix) => {
      share(a);
      for (let x = 0; x < S; x++) entries[x] = product(x, -1);
      for (let i = 0; i < S; i++) for (let j = 0; j < S; j++) mix[i * S + j] = entries[i ^ j]!;
    },
    backward: (a, dMix, dA) => {
      share(a);
      dEntries.fill(0);
      for (let i = 0; i < S; i++) for (let j = 0; j < S; j++) dEntries[i ^ j]! += dMix[i * S + j]!;
      for (let f = 0; f < factors; f++) {
        let sum = 0;
        for (let x = 0; x < S; x++) sum += (1 - 2 * bit(x, f)) * dEntries[x]! * product(x, f);
        dA[2 * f] = keep[f]! * flip[f]! * sum;
        dA[2 * f + 1] = -dA[2 * f]!;
      }
    },
  };
}
