/**
 * Reference twin of cayleyMixing: skew map, Cayley transform, means of squared blocks.
 * The inverse is always taken in float64, so it needs no Newton step.
 */
import type { Floats } from "../graph.ts";
import type { MixingRow } from "./mixing.ts";

/** W = (I + skew(a))⁻¹ by Gauss-Jordan without pivoting: every pivot is at least 1. */
function invertInto(w: Float64Array, a: Floats, N: number): void {
  let k = 0;
  for (let p = 0; p < N; p++) {
    w[p * N + p] = 1;
    for (let q = p + 1; q < N; q++) {
      const value = a[k++]!;
      w[p * N + q] = value;
      w[q * N + p] = -value;
    }
  }
  for (let pivot = 0; pivot < N; pivot++) {
    const row = pivot * N;
    const reciprocal = 1 / w[row + pivot]!;
    w[row + pivot] = 1;
    for (let q = 0; q < N; q++) w[row + q]! *= reciprocal;
    for (let p = 0; p < N; p++) {
      if (p === pivot) continue;
      const at = p * N;
      const factor = w[at + pivot]!;
      w[at + pivot] = 0;
      for (let q = 0; q < N; q++) w[at + q]! -= factor * w[row + q]!;
    }
  }
}

/** Holds the scratch of one thread. */
export function cayleyMixing(S: number, O: number): MixingRow {
  const N = S * O;
  const w = new Float64Array(N * N);
  const g = new Float64Array(N);
  const h = new Float64Array(N * N);
  return {
    K: (N * (N - 1)) / 2,
    forward: (a, mix) => {
      if (S === 1) {
        mix[0] = 1;
        return;
      }
      invertInto(w, a, N);
      for (let i = 0; i < S; i++)
        for (let j = 0; j < S; j++) {
          let sum = 0;
          for (let p = i * O; p < (i + 1) * O; p++)
            for (let q = j * O; q < (j + 1) * O; q++) {
              const value = 2 * w[p * N + q]! - (p === q ? 1 : 0);
              sum += value * value;
            }
          mix[i * S + j] = sum / O;
        }
    },
    // With G = dL/dQ, dL/dA = M = −2 Wᵀ G Wᵀ and dA_pq = M_pq − M_qp.
    backward: (a, dMix, dA) => {
      invertInto(w, a, N);
      for (let p = 0; p < N; p++) {
        const blocks = Math.floor(p / O) * S;
        for (let q = 0; q < N; q++)
          g[q] =
            (2 / O) * dMix[blocks + Math.floor(q / O)]! * (2 * w[p * N + q]! - (p === q ? 1 : 0));
        for (let q = 0; q < N; q++) {
          let sum = 0;
          for (let k = 0; k < N; k++) sum += g[k]! * w[q * N + k]!;
          h[p * N + q] = sum;
        }
      }
      let at = 0;
      for (let p = 0; p < N; p++)
        for (let q = p + 1; q < N; q++) {
          let sum = 0;
          for (let k = 0; k < N; k++)
            sum += w[k * N + q]! * h[k * N + p]! - w[k * N + p]! * h[k * N + q]!;
          dA[at++] = 2 * sum;
        }
    },
  };
}
