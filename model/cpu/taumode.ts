/** Reference twin of taumode: band energies of spectral coordinates. */
import type { Floats } from "../graph.ts";

const EPS = 1e-6;

export interface TaumodeSizes {
  readonly rows: number;
  readonly nHeads: number;
  readonly headDim: number;
  readonly bands: number;
  readonly tau: number;
  readonly parts: number;
}

function power(y: Floats, base: number, D: number): number {
  let sum = 0;
  for (let d = 0; d < D; d++) sum += y[base + d]! * y[base + d]!;
  return sum + EPS;
}

function energy(
  y: Floats,
  mu: Floats,
  base: number,
  muBase: number,
  from: number,
  to: number,
): number {
  let sum = 0;
  for (let d = from; d < to; d++) sum += mu[muBase + d]! * y[base + d]! * y[base + d]!;
  return sum;
}

/** Units are row·head. */
export function taumodeForward(
  y: Floats,
  mu: Floats,
  lambda: Floats,
  s: TaumodeSizes,
  start: number,
  end: number,
): void {
  const { headDim: D, bands, tau } = s;
  const width = D / bands;
  for (let i = start; i < end; i++) {
    const base = i * D;
    const muBase = (i % s.nHeads) * D;
    const p = power(y, base, D);
    for (let b = 0; b < bands; b++) {
      const e = energy(y, mu, base, muBase, b * width, (b + 1) * width) / p;
      lambda[i * bands + b] = tau === 0 ? e : e / (e + tau);
    }
  }
}

/** Units are row·head; dE [rows, H, m] is kept for the spectrum's gradient. */
export function taumodeBackwardY(
  y: Floats,
  mu: Floats,
  dLambda: Floats,
  dY: Floats,
  dE: Floats,
  s: TaumodeSizes,
  start: number,
  end: number,
): void {
  const { headDim: D, bands, tau } = s;
  const width = D / bands;
  for (let i = start; i < end; i++) {
    const base = i * D;
    const muBase = (i % s.nHeads) * D;
    const p = power(y, base, D);
    let pull = 0;
    for (let b = 0; b < bands; b++) {
      const e = energy(y, mu, base, muBase, b * width, (b + 1) * width) / p;
      const slope = tau === 0 ? 1 : tau / ((e + tau) * (e + tau));
      const d = (dLambda[i * bands + b]! * slope) / p;
      dE[i * bands + b] = d;
      pull += d * e;
    }
    for (let b = 0; b < bands; b++) {
      const d = dE[i * bands + b]!;
      for (let k = b * width; k < (b + 1) * width; k++)
        dY[base + k] = 2 * y[base + k]! * (d * mu[muBase + k]! - pull);
    }
  }
}

/** Units are parts: part p sums rows p, p + parts, … */
export function taumodePartials(
  y: Floats,
  dE: Floats,
  partial: Floats,
  s: TaumodeSizes,
  start: number,
  end: number,
): void {
  const n = s.nHeads * s.headDim;
  const width = s.headDim / s.bands;
  for (let part = start; part < end; part++) {
    partial.fill(0, part * n, (part + 1) * n);
    for (let r = part; r < s.rows; r += s.parts)
      for (let h = 0; h < s.nHeads; h++)
        for (let d = 0; d < s.headDim; d++) {
          const column = h * s.headDim + d;
          const v = y[r * n + column]!;
          partial[part * n + column]! +=
            dE[(r * s.nHeads + h) * s.bands + Math.floor(d / width)]! * v * v;
        }
  }
}

/** Units are entries of dMu. */
export function taumodeReduce(
  partial: Floats,
  dMu: Floats,
  s: TaumodeSizes,
  start: number,
  end: number,
): void {
  const n = s.nHeads * s.headDim;
  for (let i = start; i < end; i++) {
    let sum = 0;
    for (let part = 0; part < s.parts; part++) sum += partial[part * n + i]!;
    dMu[i] = sum;
  }
}
