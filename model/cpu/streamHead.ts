/**
 * Reference twin of streamHead. Units: tokens forward, groups of tokens backward; the gains are one unit.
 * Columns of u are S for reading, S for writing, K mixing logits; alpha has one gain for each of the three.
 */
import type { Floats } from "../graph.ts";
import { mixingRow, type Mixing } from "./mixing.ts";

const EPS = 1e-6;

const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v));

const gainAt = (alpha: Floats, S: number, m: number): number =>
  alpha[Math.min(Math.floor(m / S), 2)]!;

export function streamHeadForward(
  v: Mixing & {
    C: number;
    x: Floats;
    u: Floats;
    alpha: Floats;
    bias: Floats;
    weights: Floats;
    gates: Floats;
    normed: Floats;
  },
  start: number,
  end: number,
): void {
  const { x, u, alpha, bias, weights, gates, normed, S, C } = v;
  const mixing = mixingRow(v);
  const M = 2 * S + mixing.K;
  const logits = new Float64Array(mixing.K);
  const mix = new Float64Array(S * S);
  for (let t = start; t < end; t++) {
    const streams = t * S * C;
    let squares = 0;
    for (let i = streams; i < streams + S * C; i++) squares += x[i]! * x[i]!;
    const r = 1 / Math.sqrt(squares / (S * C) + EPS);
    const value = (m: number): number => gainAt(alpha, S, m) * r * u[t * M + m]! + bias[m]!;
    for (let k = 0; k < mixing.K; k++) logits[k] = value(2 * S + k);
    mixing.forward(logits, mix);
    for (let i = 0; i < S; i++) {
      const row = (t * S + i) * (S + 1);
      for (let j = 0; j < S; j++) weights[row + j] = mix[i * S + j]!;
      weights[row + S] = 2 * sigmoid(value(S + i));
    }
    gates[t * (S + 1) + S] = r;
    const to = t * C;
    normed.fill(0, to, to + C);
    for (let j = 0; j < S; j++) {
      const gate = sigmoid(value(j));
      gates[t * (S + 1) + j] = gate;
      const from = streams + j * C;
      for (let c = 0; c < C; c++) normed[to + c]! += gate * x[from + c]!;
    }
    let sum = 0;
    for (let c = to; c < to + C; c++) sum += normed[c]! * normed[c]!;
    const scale = 1 / Math.sqrt(sum / C + EPS);
    for (let c = to; c < to + C; c++) normed[c]! *= scale;
  }
}

export function streamHeadBackward(
  v: Mixing & {
    C: number;
    T: number;
    /** Tokens per group. */
    rows: number;
    x: Floats;
    u: Floats;
    alpha: Floats;
    bias: Floats;
    gates: Floats;
    dWeights: Floats;
    dNormed: Floats;
    dU: Floats;
    terms: Floats;
    /** Entries of terms per token. */
    stride: number;
    sums: Floats;
  },
  start: number,
  end: number,
): void {
  const { x, u, alpha, bias, gates, dWeights, dNormed, dU, terms, stride, sums, S, C, T } = v;
  const mixing = mixingRow(v);
  const M = 2 * S + mixing.K;
  const logits = new Float64Array(mixing.K);
  const dLogits = new Float64Array(mixing.K);
  const mix = new Float64Array(S * S);
  const dMix = new Float64Array(S * S);
  const h = new Float64Array(C);
  const dPre = new Float64Array(S);
  const groupSums = new Float64Array(M + 3);
  for (let group = start; group < end; group++) {
    groupSums.fill(0);
    const last = Math.min((group + 1) * v.rows, T);
    for (let t = group * v.rows; t < last; t++) {
      const streams = t * S * C;
      const pre = t * (S + 1);
      const r = gates[pre + S]!;
      for (let k = 0; k < mixing.K; k++)
        logits[k] = alpha[2]! * r * u[t * M + 2 * S + k]! + bias[2 * S + k]!;
      for (let o = 0; o < S * S; o++)
        dMix[o] = dWeights[(t * S + Math.floor(o / S)) * (S + 1) + (o % S)]!;
      mixing.forward(logits, mix);
      mixing.backward(logits, dMix, dLogits);

      // The norm's adjoint: dH = s·dNormed − s³·⟨h, dNormed⟩/C·h.
      h.fill(0);
      for (let j = 0; j < S; j++)
        for (let c = 0; c < C; c++) h[c]! += gates[pre + j]! * x[streams + j * C + c]!;
      let squares = 0;
      let inner = 0;
      for (let c = 0; c < C; c++) {
        squares += h[c]! * h[c]!;
        inner += h[c]! * dNormed[t * C + c]!;
      }
      const scale = 1 / Math.sqrt(squares / C + EPS);
      const slope = (scale * scale * scale * inner) / C;
      dPre.fill(0);
      for (let j = 0; j < S; j++)
        for (let c = 0; c < C; c++)
          dPre[j]! += (scale * dNormed[t * C + c]! - slope * h[c]!) * x[streams + j * C + c]!;

      let through = 0;
      for (let m = 0; m < M; m++) {
        const gain = gainAt(alpha, S, m);
        const z = r * u[t * M + m]!;
        let dV: number;
        if (m < 2 * S) {
          const gate = sigmoid(gain * z + bias[m]!);
          const dGate = m < S ? dPre[m]! : 2 * dWeights[(t * S + m - S) * (S + 1) + S]!;
          dV = dGate * gate * (1 - gate);
        } else dV = dLogits[m - 2 * S]!;
        dU[t * M + m] = r * gain * dV;
        groupSums[m]! += dV;
        groupSums[M + Math.min(Math.floor(m / S), 2)]! += dV * z;
        through += gain * dV * z;
      }
      const to = t * stride;
      terms.fill(0, to, to + stride);
      terms.set(mix, to);
      for (let j = 0; j < S; j++) terms[to + S * S + j] = gates[pre + j]!;
      terms[to + S * S + S] = scale;
      terms[to + S * S + S + 1] = -slope;
      terms[to + S * S + S + 2] = (-r * r * through) / (S * C);
    }
    sums.set(groupSums, group * (M + 3));
  }
}

export function streamHeadGains(v: {
  M: number;
  groups: number;
  sums: Floats;
  dBias: Floats;
  dAlpha: Floats;
}): void {
  const { M, groups, sums, dBias, dAlpha } = v;
  const totals = new Float64Array(M + 3);
  for (let group = 0; group < groups; group++)
    for (let m = 0; m < M + 3; m++) totals[m]! += sums[group * (M + 3) + m]!;
  dBias.set(totals.subarray(0, M));
  dAlpha.set(totals.subarray(M));
}
