/**
 * Reference twin of sinkhornMixing: E = exp(a), then SINKHORN_STEPS times its columns and then its rows are divided by
 * their sums. Kept as two vectors of scales per step, mix_ij = u_i E_ij v_j.
 */
import type { Floats } from "../graph.ts";
import type { MixingRow } from "./mixing.ts";

/** The published count (mHC, arXiv 2512.24880, §4.2). */
export const SINKHORN_STEPS = 20;
/** Logits are clamped to ± this, so that neither E nor its scales leave the range of f32. */
export const SINKHORN_RANGE = 40;

/** Holds the scratch of one thread. */
export function sinkhornMixing(S: number): MixingRow {
  const e = new Float64Array(S * S);
  // Before the first step and after each of them; after each.
  const rowScales = new Float64Array((SINKHORN_STEPS + 1) * S).fill(1);
  const columnScales = new Float64Array((SINKHORN_STEPS + 1) * S);
  const dRows = new Float64Array(S);
  const dColumns = new Float64Array(S);

  const scale = (a: Floats): void => {
    for (let o = 0; o < S * S; o++)
      e[o] = Math.exp(Math.min(SINKHORN_RANGE, Math.max(-SINKHORN_RANGE, a[o]!)));
    for (let step = 1; step <= SINKHORN_STEPS; step++) {
      const at = step * S;
      for (let j = 0; j < S; j++) {
        let sum = 0;
        for (let i = 0; i < S; i++) sum += rowScales[at - S + i]! * e[i * S + j]!;
        columnScales[at + j] = 1 / sum;
      }
      for (let i = 0; i < S; i++) {
        let sum = 0;
        for (let j = 0; j < S; j++) sum += e[i * S + j]! * columnScales[at + j]!;
        rowScales[at + i] = 1 / sum;
      }
    }
  };

  const last = SINKHORN_STEPS * S;
  return {
    K: S * S,
    forward: (a, mix) => {
      scale(a);
      for (let i = 0; i < S; i++)
        for (let j = 0; j < S; j++)
          mix[i * S + j] = rowScales[last + i]! * e[i * S + j]! * columnScales[last + j]!;
    },
    // dRows and dColumns are the gradients of the scales' logarithms: of a log-sum-exp's arguments each gets the share
    // that it has of the sum.
    backward: (a, dMix, dA) => {
      scale(a);
      dRows.fill(0);
      dColumns.fill(0);
      for (let i = 0; i < S; i++)
        for (let j = 0; j < S; j++) {
          const o = i * S + j;
          const d = dMix[o]! * rowScales[last + i]! * e[o]! * columnScales[last + j]!;
          dA[o] = d;
          dRows[i]! += d;
          dColumns[j]! += d;
        }
      for (let at = last; at > 0; at -= S) {
        for (let i = 0; i < S; i++)
          for (let j = 0; j < S; j++) {
            const o = i * S + j;
            const d = dRows[i]! * rowScales[at + i]! * e[o]! * columnScales[at + j]!;
            dA[o]! -= d;
            dColumns[j]! -= d;
          }
        dRows.fill(0);
        for (let i = 0; i < S; i++)
          for (let j = 0; j < S; j++) {
            const o = i * S + j;
            const d = dColumns[j]! * rowScales[at - S + i]! * e[o]! * columnScales[at + j]!;
            dA[o]! -= d;
            dRows[i]! -= d;
          }
        dColumns.fill(0);
      }
      for (let o = 0; o < S * S; o++) if (Math.abs(a[o]!) > SINKHORN_RANGE) dA[o] = 0;
    },
  };
}
