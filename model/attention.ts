/**
 * Topological attention as a sublayer: keys are m scalars per head, scores are one-dimensional energy distances
 * −Σ gain·|λq − λk| + salience − slope·distance. Some heads tie query and key maps and compare band energies of
 * spectral coordinates; the others compare signed coordinates. Keys read a learned mix of the last three inputs.
 * Source: Tauformer §3.1–3.2; Differs: several scalars per head, learned gains and spectrum, salience, slope and
 * key shift instead of RoPE (findings §2). The published and dot-product forms are selectable controls.
 */
import { TIED_GAIN_SCALE, type AttentionSizes } from "./params.ts";
import type { Builder, Part, Positions } from "./builder.ts";
import type { Tensor } from "./graph.ts";
import { addForward, addInto } from "./kernels/add.ts";
import { joinColumns, splitColumns } from "./kernels/columns.ts";
import { copyRows } from "./kernels/copyRows.ts";
import { keyShiftBackward, keyShiftForward } from "./kernels/keyShift.ts";
import { scaleHeadsBackward, scaleHeadsForward } from "./kernels/scaleHeads.ts";
import { softcapBackward, softcapForward } from "./kernels/softcap.ts";
import { tauAttentionBackward, tauAttentionForward } from "./kernels/tauAttention.ts";
import { taumodeBackward, taumodeForward } from "./kernels/taumode.ts";
import { linear } from "./linear.ts";

/** Key salience stays within ± this, so that no key's weight underflows beside another's (tauformer.md §4.2). */
const SALIENCE_CAP = 8;
/** Energies become λ = E / (E + τ). */
const TAU = 1;

export interface AttentionPart {
  readonly prefix: string;
  readonly sizes: AttentionSizes;
  readonly positions: Positions;
  /** Positions a query sees; 0 = all. */
  readonly window: number;
}

/** The scalars of some heads: what queries and keys give, and the way back. */
interface Scalars {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly heads: number;
  backward(o: { dA: Tensor; dB: Tensor; dX: Tensor; dXk: Tensor }): void;
}

/** Both sides of a learned gain: softplus(raw)·scale on queries and on keys, one gradient. */
function gained(
  b: Builder,
  gain: string,
  o: { query: Tensor; key: Tensor; rows: number; heads: number; scale: number },
): { a: Tensor; b: Tensor; backward(dA: Tensor, dB: Tensor): { dQuery: Tensor; dKey: Tensor } } {
  const g = b.graph;
  const m = b.config.bands;
  const shape = [o.rows, o.heads, m];
  const raw = b.param(gain);
  const a = b.temp("query scalars", shape);
  const k = b.temp("key scalars", shape);
  scaleHeadsForward(g, { x: o.query, raw, y: a, scale: o.scale });
  scaleHeadsForward(g, { x: o.key, raw, y: k, scale: o.scale });
  return {
    a,
    b: k,
    backward: (dA, dB) => {
      const dQuery = b.temp("dQuery", shape);
      const dKey = b.temp("dKey", shape);
      const dRaw1 = b.temp("dGain", [o.heads, m]);
      const dRaw2 = b.temp("dGain", [o.heads, m]);
      scaleHeadsBackward(g, { x: o.query, raw, dY: dA, dX: dQuery, dRaw: dRaw1, scale: o.scale });
      scaleHeadsBackward(g, { x: o.key, raw, dY: dB, dX: dKey, dRaw: dRaw2, scale: o.scale });
      addForward(g, { x: dRaw1, z: dRaw2, y: b.gradient(gain) });
      return { dQuery, dKey };
    },
  };
}

/** Band energies of tied maps: equal content has an equal energy by construction. */
function tiedScalars(b: Builder, p: AttentionPart, x: Tensor, xk: Tensor, rows: number): Scalars {
  const g = b.graph;
  const { nTied } = p.sizes;
  const E = b.config.energyChannels;
  const m = b.config.bands;
  const query = linear(b, `${p.prefix}.tied`, x, rows);
  const key = linear(b, `${p.prefix}.tied`, xk, rows);
  const ones = b.ones(nTied * E);
  const raw = b.param(`${p.prefix}.spectrum`);
  const mu = b.temp("spectrum", [nTied, E]);
  scaleHeadsForward(g, { x: ones, raw, y: mu, scale: 1 });
  const shape = { rows, nHeads: nTied, headDim: E, bands: m, tau: TAU };
  const lambdaQ = b.temp("lambdaQ", [rows, nTied, m]);
  const lambdaK = b.temp("lambdaK", [rows, nTied, m]);
  taumodeForward(g, { ...shape, y: query.out, mu, lambda: lambdaQ });
  taumodeForward(g, { ...shape, y: key.out, mu, lambda: lambdaK });
  const gain = gained(b, `${p.prefix}.tiedGain`, {
    query: lambdaQ,
    key: lambdaK,
    rows,
    heads: nTied,
    scale: TIED_GAIN_SCALE,
  });
  return {
    a: gain.a,
    b: gain.b,
    heads: nTied,
    backward: ({ dA, dB, dX, dXk }) => {
      const { dQuery, dKey } = gain.backward(dA, dB);
      const dYq = b.temp("dTied", [rows, nTied * E]);
      const dYk = b.temp("dTied", [rows, nTied * E]);
      const dMu = b.temp("dSpectrum", [nTied, E]);
      const dMuK = b.temp("dSpectrum", [nTied, E]);
      taumodeBackward(g, { ...shape, y: query.out, mu, dLambda: dQuery, dY: dYq, dMu });
      taumodeBackward(g, { ...shape, y: key.out, mu, dLambda: dKey, dY: dYk, dMu: dMuK });
      if (b.config.spectrum === "learned") {
        addInto(g, { x: dMuK, y: dMu });
        scaleHeadsBackward(g, {
          x: ones,
          raw,
          dY: dMu,
          dX: b.temp("dOnes", [nTied, E]),
          dRaw: b.gradient(`${p.prefix}.spectrum`),
          scale: 1,
        });
      }
      query.backward({ dOut: dYq, dX, first: 0 });
      key.backward({ dOut: dYk, dX: dXk, first: 0, again: 1 });
    },
  };
}

/** Signed spectral coordinates: one linear scalar per band, the eigenvectors absorbed in the map. */
function freeScalars(b: Builder, p: AttentionPart, x: Tensor, xk: Tensor, rows: number): Scalars {
  const query = linear(b, `${p.prefix}.query`, x, rows);
  const key = linear(b, `${p.prefix}.key`, xk, rows);
  const heads = p.sizes.nFree;
  const gain = gained(b, `${p.prefix}.freeGain`, {
    query: query.out,
    key: key.out,
    rows,
    heads,
    scale: 1,
  });
  return {
    a: gain.a,
    b: gain.b,
    heads,
    backward: ({ dA, dB, dX, dXk }) => {
      const { dQuery, dKey } = gain.backward(dA, dB);
      query.backward({ dOut: dQuery, dX, first: 0 });
      key.backward({ dOut: dKey, dX: dXk, first: 0 });
    },
  };
}

/** Both kinds of heads side by side: tied ones first. */
function allScalars(b: Builder, p: AttentionPart, x: Tensor, xk: Tensor, rows: number): Scalars {
  const kinds: Scalars[] = [];
  if (p.sizes.nTied > 0) kinds.push(tiedScalars(b, p, x, xk, rows));
  if (p.sizes.nFree > 0) kinds.push(freeScalars(b, p, x, xk, rows));
  const [first, second] = kinds;
  if (second === undefined) return first!;
  const m = b.config.bands;
  const H = p.sizes.nHeads;
  const join = (x1: Tensor, x2: Tensor): Tensor => {
    const y = b.temp("scalars", [rows, H, m]);
    joinColumns(b.graph, { x1, x2, y, rows });
    return y;
  };
  const split = (y: Tensor): [Tensor, Tensor] => {
    const x1 = b.temp("dScalars", [rows, first!.heads, m]);
    const x2 = b.temp("dScalars", [rows, second.heads, m]);
    splitColumns(b.graph, { x1, x2, y, rows });
    return [x1, x2];
  };
  return {
    a: join(first!.a, second.a),
    b: join(first!.b, second.b),
    heads: H,
    backward: ({ dA, dB, dX, dXk }) => {
      const [dA1, dA2] = split(dA);
      const [dB1, dB2] = split(dB);
      first!.backward({ dA: dA1, dB: dB1, dX, dXk });
      second.backward({ dA: dA2, dB: dB2, dX, dXk });
    },
  };
}

/** What keys are looked up in: the new rows themselves, or a cache they are first written to. */
export function keySide(b: Builder, p: AttentionPart, name: string, fresh: Tensor): Tensor {
  if (b.mode === "window") return fresh;
  const { rows, capacity, span } = p.positions;
  const cache = b.cache(`${p.prefix}.${name}`, [capacity, fresh.size / rows]);
  copyRows(b.graph, { src: fresh, dst: cache, span, rows, capacity });
  return cache;
}

/** x [batch·rows, C], already normalized. */
export function tauAttentionPart(b: Builder, p: AttentionPart, x: Tensor): Part {
  const g = b.graph;
  const { batch, rows: windowRows, capacity, span } = p.positions;
  const { channels: C, nHeads: H, headDim: D } = p.sizes;
  const m = b.config.bands;
  const rows = batch * windowRows;
  const source = keySide(b, p, "input", x);
  const xk = b.temp("shifted", [rows, C]);
  const shift = {
    batch,
    rows: windowRows,
    capacity,
    channels: C,
    mix: b.param(`${p.prefix}.keyShift`),
    span,
  };
  keyShiftForward(g, { ...shift, x: source, y: xk });
  const scalars = allScalars(b, p, x, xk, rows);
  const salience = linear(b, `${p.prefix}.salience`, xk, rows);
  const c = b.temp("salience", [rows, H]);
  softcapForward(g, { x: salience.out, y: c, cap: SALIENCE_CAP });
  const slopeOnes = b.ones(H);
  const slopeRaw = b.param(`${p.prefix}.slope`);
  const slope = b.temp("slope", [H, 1]);
  scaleHeadsForward(g, { x: slopeOnes, raw: slopeRaw, y: slope, scale: 1 });
  const value = linear(b, `${p.prefix}.value`, x, rows);
  const shape = {
    batch,
    rows: windowRows,
    capacity,
    nHeads: H,
    bands: m,
    headDim: D,
    window: p.window,
  };
  const out = b.temp("attended", [rows, C]);
  const lse = b.temp("lse", [rows, H]);
  tauAttentionForward(g, {
    shape,
    a: scalars.a,
    b: keySide(b, p, "scalars", scalars.b),
    c: keySide(b, p, "salience", c),
    slope,
    v: keySide(b, p, "value", value.out),
    span,
    out,
    lse,
  });
  const project = linear(b, `${p.prefix}.out`, out, rows);
  return {
    out: project.out,
    backward: (dY) => {
      const dOut = b.temp("dAttended", [rows, C]);
      project.backward({ dOut: dY, dX: dOut, first: 1 });
      const dA = b.temp("dA", [rows, H, m]);
      const dB = b.temp("dB", [rows, H, m]);
      const dC = b.temp("dC", [rows, H]);
      const dV = b.temp("dV", [rows, C]);
      const dSlope = b.temp("dSlope", [H, 1]);
      tauAttentionBackward(g, {
        shape,
        a: scalars.a,
        b: scalars.b,
        c,
        slope,
        v: value.out,
        out,
        lse,
        dOut,
        dA,
        dB,
        dC,
        dSlope,
        dV,
      });
      scaleHeadsBackward(g, {
        x: slopeOnes,
        raw: slopeRaw,
        dY: dSlope,
        dX: b.temp("dOnes", [H, 1]),
        dRaw: b.gradient(`${p.prefix}.slope`),
        scale: 1,
      });
      const dX = b.temp("dX", [rows, C]);
      const dXk = b.temp("dShifted", [rows, C]);
      value.backward({ dOut: dV, dX, first: 1 });
      const dSalience = b.temp("dSalience", [rows, H]);
      softcapBackward(g, { x: salience.out, dY: dC, dX: dSalience, cap: SALIENCE_CAP });
      salience.backward({ dOut: dSalience, dX: dXk, first: 1 });
      scalars.backward({ dA, dB, dX, dXk });
      const dShift = b.temp("dShift", [rows, C]);
      keyShiftBackward(g, {
        ...shift,
        x,
        dY: dXk,
        dX: dShift,
        dMix: b.gradient(`${p.prefix}.keyShift`),
      });
      addInto(g, { x: dShift, y: dX });
      return dX;
    },
  };
}
