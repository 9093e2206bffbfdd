/**
 * Reference twin of streamHead. Units: tokens forward, groups of tokens backward; the gains are one unit.
 * Columns of u are S for reading, S for writing, K mixing logits; alpha has one gain for each of the three.
 */
import type { Floats } from "../graph.ts";
import { tokenMixing, type Mixing } from "./mixing.ts";
import { SCRATCH_BYTES, simdOf, type SimdKernels } from "./simd/bind.ts";

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
  const simd = C % 4 === 0 ? simdOf([x, u, alpha, bias, weights, gates, normed]) : undefined;
  const mixing = tokenMixing(v, simd);
  const { logits, mix } = mixing;
  const M = 2 * S + mixing.K;
  for (let t = start; t < end; t++) {
    const streams = t * S * C;
    let squares = 0;
    if (simd !== undefined)
      squares = simd.exports["sumSquares"]!(x.byteOffset + streams * 4, S * C);
    else for (let i = streams; i < streams + S * C; i++) squares += x[i]! * x[i]!;
    const r = 1 / Math.sqrt(squares / (S * C) + EPS);
    const value = (m: number): number => gainAt(alpha, S, m) * r * u[t * M + m]! + bias[m]!;
    for (let k = 0; k < mixing.K; k++) logits[k] = value(2 * S + k);
    mixing.forward();
    for (let i = 0; i < S; i++) {
      const row = (t * S + i) * (S + 1);
      for (let j = 0; j < S; j++) weights[row + j] = mix[i * S + j]!;
      weights[row + S] = 2 * sigmoid(value(S + i));
    }
    gates[t * (S + 1) + S] = r;
    for (let j = 0; j < S; j++) gates[t * (S + 1) + j] = sigmoid(value(j));
    const to = t * C;
    if (simd !== undefined) {
      const out = normed.byteOffset + to * 4;
      const first = gates.byteOffset + t * (S + 1) * 4;
      const sum = simd.exports["streamRead"]!(out, x.byteOffset + streams * 4, first, S, C);
      simd.exports["scaleRow"]!(out, C, 1 / Math.sqrt(sum / C + EPS));
      continue;
    }
    normed.fill(0, to, to + C);
    for (let j = 0; j < S; j++) {
      const gate = gates[t * (S + 1) + j]!;
      const from = streams + j * C;
      for (let c = 0; c < C; c++) normed[to + c]! += gate * x[from + c]!;
    }
    let sum = 0;
    for (let c = to; c < to + C; c++) sum += normed[c]! * normed[c]!;
    const scale = 1 / Math.sqrt(sum / C + EPS);
    for (let c = to; c < to + C; c++) normed[c]! *= scale;
  }
}

interface ReadTensors {
  readonly S: number;
  readonly C: number;
  readonly x: Floats;
  readonly gates: Floats;
  readonly dNormed: Floats;
}

/** The norm's adjoint at one token, dH = s·dNormed − s³·⟨h, dNormed⟩/C·h, and what it makes of the read gates. */
interface ReadBackward {
  /** s. */
  scale: number;
  /** s³·⟨h, dNormed⟩/C. */
  slope: number;
  /** [S]: ⟨dH, x_j⟩. */
  readonly dPre: Float64Array;
  backward(token: number): void;
}

function readPlain(v: ReadTensors): ReadBackward {
  const { x, gates, dNormed, S, C } = v;
  const h = new Float64Array(C);
  const read: ReadBackward = {
    scale: 0,
    slope: 0,
    dPre: new Float64Array(S),
    backward: (t) => {
      const streams = t * S * C;
      h.fill(0);
      for (let j = 0; j < S; j++)
        for (let c = 0; c < C; c++) h[c]! += gates[t * (S + 1) + j]! * x[streams + j * C + c]!;
      let squares = 0;
      let inner = 0;
      for (let c = 0; c < C; c++) {
        squares += h[c]! * h[c]!;
        inner += h[c]! * dNormed[t * C + c]!;
      }
      setScales(read, squares / C, inner / C);
      read.dPre.fill(0);
      for (let j = 0; j < S; j++)
        for (let c = 0; c < C; c++)
          read.dPre[j]! +=
            (read.scale * dNormed[t * C + c]! - read.slope * h[c]!) * x[streams + j * C + c]!;
    },
  };
  return read;
}

function setScales(read: ReadBackward, meanSquare: number, meanProduct: number): void {
  read.scale = 1 / Math.sqrt(meanSquare + EPS);
  read.slope = read.scale ** 3 * meanProduct;
}

/** `offset`: where the scratch is free. */
function readSimd(v: ReadTensors, simd: SimdKernels, offset: number): ReadBackward {
  const { x, gates, dNormed, S, C } = v;
  const h = simd.scratch + offset;
  const streamRead = simd.exports["streamRead"]!;
  const dots = simd.exports["dots"]!;
  // ⟨h, dNormed⟩, ⟨dNormed, x_j⟩ and ⟨h, x_j⟩.
  const products = new Float32Array(simd.memory.buffer, h + C * 4, 2 * S + 1);
  const to = products.byteOffset;
  const read: ReadBackward = {
    scale: 0,
    slope: 0,
    dPre: new Float64Array(S),
    backward: (t) => {
      const streams = x.byteOffset + t * S * C * 4;
      const d = dNormed.byteOffset + t * C * 4;
      const squares = streamRead(h, streams, gates.byteOffset + t * (S + 1) * 4, S, C);
      dots(to, h, d, C * 4, 1, C);
      dots(to + 4, d, streams, C * 4, S, C);
      dots(to + 4 + 4 * S, h, streams, C * 4, S, C);
      setScales(read, squares / C, products[0]! / C);
      for (let j = 0; j < S; j++)
        read.dPre[j] = read.scale * products[1 + j]! - read.slope * products[1 + S + j]!;
    },
  };
  return read;
}

export function streamHeadBackward(
  v: Mixing &
    ReadTensors & {
      T: number;
      /** Tokens per group. */
      rows: number;
      u: Floats;
      alpha: Floats;
      bias: Floats;
      dWeights: Floats;
      dU: Floats;
      terms: Floats;
      /** Entries of terms per token. */
      stride: number;
      sums: Floats;
    },
  start: number,
  end: number,
): void {
  const { u, alpha, bias, gates, dWeights, dU, terms, stride, sums, S, C, T } = v;
  const fits = C % 4 === 0 && C * 4 <= SCRATCH_BYTES / 4;
  const simd = fits ? simdOf([v.x, gates, v.dNormed]) : undefined;
  const mixing = tokenMixing(v, simd);
  const { logits, dLogits, mix, dMix } = mixing;
  const M = 2 * S + mixing.K;
  const read = simd === undefined ? readPlain(v) : readSimd(v, simd, mixing.bytes);
  const { dPre } = read;
  const groupSums = new Float64Array(M + 3);
  for (let group = start; group < end; group++) {
    groupSums.fill(0);
    const last = Math.min((group + 1) * v.rows, T);
    for (let t = group * v.rows; t < last; t++) {
      const pre = t * (S + 1);
      const r = gates[pre + S]!;
      for (let k = 0; k < mixing.K; k++)
        logits[k] = alpha[2]! * r * u[t * M + 2 * S + k]! + bias[2 * S + k]!;
      for (let o = 0; o < S * S; o++)
        dMix[o] = dWeights[(t * S + Math.floor(o / S)) * (S + 1) + (o % S)]!;
      mixing.forward();
      mixing.backward();
      read.backward(t);

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
      terms[to + S * S + S] = read.scale;
      terms[to + S * S + S + 1] = -read.slope;
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
