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
import {
  attentionScalarsBackward,
  attentionScalarsForward,
  preparedSize,
  type ScalarParams,
} from "./kernels/attentionScalars.ts";
import { copyRows } from "./kernels/copyRows.ts";
import { keyShiftBackward, keyShiftForward } from "./kernels/keyShift.ts";
import { tauAttentionBackward, tauAttentionForward } from "./kernels/tauAttention.ts";
import { linear, type Linear } from "./linear.ts";

/** Key salience stays within ± this, so that no key's weight underflows beside another's (tauformer.md §4.2). */
export const SALIENCE_CAP = 8;
/** Energies become λ = E / (E + τ). */
export const TAU = 1;

export interface AttentionPart {
  readonly prefix: string;
  readonly sizes: AttentionSizes;
  readonly positions: Positions;
  /** Positions a query sees; 0 = all. */
  readonly window: number;
}

/** The maps behind some heads' scalars, of queries and of keys. */
interface Maps {
  readonly query: Linear;
  readonly key: Linear;
}

interface ScalarGradients {
  readonly dA: Tensor;
  readonly dB: Tensor;
  readonly dC: Tensor;
  readonly dSlope: Tensor;
}

/** Recorded scalars of all heads: tied ones, then free ones. */
export interface Scalars {
  /** [rows, H, m], of queries and of keys. */
  readonly a: Tensor;
  readonly b: Tensor;
  /** [rows, H] */
  readonly c: Tensor;
  /** [H] */
  readonly slope: Tensor;
  /** Adds to dX; writes dXk. */
  backward(o: ScalarGradients & { dX: Tensor; dXk: Tensor }): void;
}

/** How queries find keys by their scalars: records it and returns what they read, [rows, C]. */
export type Lookup = (
  b: Builder,
  p: AttentionPart,
  scalars: Scalars,
  value: Tensor,
) => {
  readonly out: Tensor;
  /** Writes all of `d`. */
  backward(dOut: Tensor, d: ScalarGradients & { readonly dV: Tensor }): void;
};

/** Tied maps give band energies: equal content has an equal energy by construction. Free ones give signed spectral
 *  coordinates: one linear scalar per band, the eigenvectors absorbed in the map. */
function recordScalars(b: Builder, p: AttentionPart, x: Tensor, xk: Tensor, rows: number): Scalars {
  const g = b.graph;
  const { nTied, nFree, nHeads: H, bands: m } = p.sizes;
  const { energyChannels: E } = b.config;
  const maps = (query: string, key: string): Maps => ({
    query: linear(b, `${p.prefix}.${query}`, x, rows, { dtype: b.half }),
    key: linear(b, `${p.prefix}.${key}`, xk, rows, { dtype: b.half }),
  });
  const tied = nTied > 0 ? maps("tied", "tied") : undefined;
  const free = nFree > 0 ? maps("query", "key") : undefined;
  const salience = linear(b, `${p.prefix}.salience`, xk, rows);
  const params = (of: (name: string) => Tensor): ScalarParams => ({
    ...(nTied > 0 && {
      spectrum: of(`${p.prefix}.spectrum`),
      tiedGain: of(`${p.prefix}.tiedGain`),
    }),
    ...(nFree > 0 && { freeGain: of(`${p.prefix}.freeGain`) }),
    slope: of(`${p.prefix}.slope`),
  });
  const sizes = {
    rows,
    nTied,
    nFree,
    bands: m,
    energyChannels: E,
    tau: TAU,
    tiedScale: TIED_GAIN_SCALE,
    cap: SALIENCE_CAP,
  };
  const common = {
    ...sizes,
    params: params((name) => b.param(name)),
    inputs: {
      tiedQ: tied?.query.out,
      tiedK: tied?.key.out,
      freeQ: free?.query.out,
      freeK: free?.key.out,
      salience: salience.out,
    },
    prepared: b.temp("prepared", [preparedSize(sizes)]),
  };
  const out = {
    a: b.temp("query scalars", [rows, H, m]),
    b: b.temp("key scalars", [rows, H, m]),
    c: b.temp("salience", [rows, H]),
    slope: b.temp("slope", [H]),
  };
  attentionScalarsForward(g, { ...common, ...out });
  return {
    ...out,
    backward: ({ dX, dXk, ...gradients }) => {
      const like = (t: Linear | undefined): Tensor | undefined =>
        t === undefined ? undefined : b.temp("dScalars", t.out.shape, t.out.dtype);
      const dInputs = {
        tiedQ: like(tied?.query),
        tiedK: like(tied?.key),
        freeQ: like(free?.query),
        freeK: like(free?.key),
        salience: b.temp("dSalience", [rows, H]),
      };
      const dParams = params((name) =>
        name.endsWith(".spectrum") && b.config.spectrum === "fixed"
          ? b.temp("dSpectrum", [nTied, E])
          : b.gradient(name),
      );
      attentionScalarsBackward(g, { ...common, ...gradients, dInputs, dParams });
      salience.backward({ dOut: dInputs.salience, dX: dXk, first: 1 });
      tied?.query.backward({ dOut: dInputs.tiedQ!, dX, first: 0 });
      tied?.key.backward({ dOut: dInputs.tiedK!, dX: dXk, first: 0, again: 1 });
      free?.query.backward({ dOut: dInputs.freeQ!, dX, first: 0 });
      free?.key.backward({ dOut: dInputs.freeK!, dX: dXk, first: 0 });
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

/** Exact tau attention over the window. */
const tauLookup: Lookup = (b, p, scalars, value) => {
  const { batch, rows: windowRows, capacity, span } = p.positions;
  const { channels: C, nHeads: H, headDim: D, bands: m } = p.sizes;
  const rows = batch * windowRows;
  const { window } = p;
  const exact = b.config.precision === "f32" ? 1 : 0;
  const shape = {
    batch,
    rows: windowRows,
    capacity,
    nHeads: H,
    bands: m,
    headDim: D,
    window,
    exact,
  } as const;
  const out = b.temp("attended", [rows, C], b.half);
  const lse = b.temp("lse", [rows, H]);
  const { slope } = scalars;
  tauAttentionForward(b.graph, {
    shape,
    a: scalars.a,
    b: keySide(b, p, "scalars", scalars.b),
    c: keySide(b, p, "salience", scalars.c),
    slope,
    v: keySide(b, p, "value", value),
    span,
    out,
    lse,
  });
  return {
    out,
    backward: (dOut, d) => {
      const { a, b: keys, c } = scalars;
      tauAttentionBackward(b.graph, {
        shape,
        a,
        b: keys,
        c,
        slope,
        v: value,
        out,
        lse,
        dOut,
        ...d,
      });
    },
  };
};

/** x [batch·rows, C], already normalized. */
export function tauAttentionPart(
  b: Builder,
  p: AttentionPart,
  x: Tensor,
  lookup: Lookup = tauLookup,
): Part {
  const g = b.graph;
  const { batch, rows: windowRows, capacity, span } = p.positions;
  const { channels: C, nHeads: H, bands: m } = p.sizes;
  const rows = batch * windowRows;
  const source = keySide(b, p, "input", x);
  const xk = b.temp("shifted", [rows, C], b.half);
  const shift = {
    batch,
    rows: windowRows,
    capacity,
    channels: C,
    mix: b.param(`${p.prefix}.keyShift`),
  };
  keyShiftForward(g, { ...shift, x: source, span, y: xk });
  const scalars = recordScalars(b, p, x, xk, rows);
  const value = linear(b, `${p.prefix}.value`, x, rows, { dtype: b.half });
  const found = lookup(b, p, scalars, value.out);
  const project = linear(b, `${p.prefix}.out`, found.out, rows, { dtype: b.half });
  return {
    out: project.out,
    backward: (dY) => {
      const dOut = b.temp("dAttended", [rows, C], b.half);
      project.backward({ dOut: dY, dX: dOut, first: 1 });
      const gradients = {
        dA: b.temp("dA", [rows, H, m]),
        dB: b.temp("dB", [rows, H, m]),
        dC: b.temp("dC", [rows, H]),
        dSlope: b.temp("dSlope", [H]),
      };
      const dV = b.temp("dV", [rows, C], b.half);
      found.backward(dOut, { ...gradients, dV });
      const dX = b.temp("dX", [rows, C], b.half);
      const dXk = b.temp("dShifted", [rows, C], b.half);
      value.backward({ dOut: dV, dX, first: 1 });
      scalars.backward({ ...gradients, dX, dXk });
      keyShiftBackward(g, {
        ...shift,
        x,
        dY: dXk,
        dX,
        dMix: b.gradient(`${p.prefix}.keyShift`),
        accumulate: 1,
      });
      return dX;
    },
  };
}
