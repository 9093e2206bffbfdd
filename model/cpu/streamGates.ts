/**
 * Reference twin of streamGates. Columns of z are S for reading, S for writing, K mixing logits; alpha has one
 * gain for each of the three. Units: tokens forward, chunks of tokens for the partial sums, columns for their
 * combination, gains at the end.
 */
import type { Floats } from "../graph.ts";

const sigmoid = (u: number): number => 1 / (1 + Math.exp(-u));

export function streamGatesForward(
  v: {
    z: Floats;
    alpha: Floats;
    bias: Floats;
    pre: Floats;
    post: Floats;
    a: Floats;
    S: number;
    K: number;
  },
  start: number,
  end: number,
): void {
  const { z, alpha, bias, pre, post, a, S, K } = v;
  const M = 2 * S + K;
  for (let t = start; t < end; t++) {
    for (let s = 0; s < S; s++) {
      pre[t * S + s] = sigmoid(alpha[0]! * z[t * M + s]! + bias[s]!);
      post[t * S + s] = 2 * sigmoid(alpha[1]! * z[t * M + S + s]! + bias[S + s]!);
    }
    for (let k = 0; k < K; k++) a[t * K + k] = alpha[2]! * z[t * M + 2 * S + k]! + bias[2 * S + k]!;
  }
}

export function streamGatesPartials(
  v: {
    z: Floats;
    alpha: Floats;
    bias: Floats;
    dPre: Floats;
    dPost: Floats;
    dA: Floats;
    dZ: Floats;
    sums: Floats;
    T: number;
    S: number;
    K: number;
    tokensPerChunk: number;
  },
  start: number,
  end: number,
): void {
  const { z, alpha, bias, dPre, dPost, dA, dZ, sums, T, S, K, tokensPerChunk } = v;
  const M = 2 * S + K;
  for (let chunk = start; chunk < end; chunk++) {
    const biasSums = chunk * 2 * M;
    const alphaSums = biasSums + M;
    sums.fill(0, biasSums, biasSums + 2 * M);
    const last = Math.min((chunk + 1) * tokensPerChunk, T);
    for (let t = chunk * tokensPerChunk; t < last; t++)
      for (let m = 0; m < M; m++) {
        const value = z[t * M + m]!;
        const gain = alpha[m < S ? 0 : m < 2 * S ? 1 : 2]!;
        let du: number;
        if (m < 2 * S) {
          const s = sigmoid(gain * value + bias[m]!);
          du = (m < S ? dPre[t * S + m]! : 2 * dPost[t * S + m - S]!) * s * (1 - s);
        } else du = dA[t * K + m - 2 * S]!;
        dZ[t * M + m] = gain * du;
        sums[biasSums + m]! += du;
        sums[alphaSums + m]! += du * value;
      }
  }
}

export function streamGatesCombine(
  v: { sums: Floats; dBias: Floats; columnSums: Floats; chunks: number; M: number },
  start: number,
  end: number,
): void {
  const { sums, dBias, columnSums, chunks, M } = v;
  for (let m = start; m < end; m++) {
    let bias = 0;
    let alpha = 0;
    for (let chunk = 0; chunk < chunks; chunk++) {
      bias += sums[chunk * 2 * M + m]!;
      alpha += sums[chunk * 2 * M + M + m]!;
    }
    dBias[m] = bias;
    columnSums[m] = alpha;
  }
}

export function streamGatesGains(
  v: { columnSums: Floats; dAlpha: Floats; S: number; K: number },
  start: number,
  end: number,
): void {
  const { columnSums, dAlpha, S, K } = v;
  for (let group = start; group < end; group++) {
    const first = group * S;
    const last = first + (group === 2 ? K : S);
    let sum = 0;
    for (let m = first; m < last; m++) sum += columnSums[m]!;
    dAlpha[group] = sum;
  }
}
