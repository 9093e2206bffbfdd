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
  scalarWidths,
  type ScalarParams,
} from "./kernels/attentionScalars.ts";
import { copyRows } from "./kernels/copyRows.ts";
import { joinMaps } from "./kernels/joinMaps.ts";
import { keyShiftBackward, keyShiftForward } from "./kernels/keyShift.ts";
import { matmul } from "./kernels/matmul.ts";
import { matmulColumns, type Columns } from "./kernels/sumColumns.ts";
import { tauAttentionBackward, tauAttentionForward } from "./kernels/tauAttention.ts";
import { linear } from "./linear.ts";

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

/** Recorded maps of all that queries and keys are compared by, laid out as attentionScalars reads them. */
interface ScalarMaps {
  readonly queries: Tensor;
  readonly keys: Tensor;
  /** Takes gradients of `queries` and `keys`; adds to dX; writes dXk. */
  backward(d: { queries: Tensor; keys: Tensor; dX: Tensor; dXk: Tensor }): void;
}

/** Maps that share an input are one product: five narrow ones would each be bound by launching and by reading x. */
function scalarMaps(b: Builder, p: AttentionPart, x: Tensor, xk: Tensor, rows: number): ScalarMaps {
  const g = b.graph;
  const { channels: C, nTied, nFree } = p.sizes;
  const widths = scalarWidths({ ...p.sizes, energyChannels: b.config.energyChannels });
  const of = (name: string): string => `${p.prefix}.${name}`;
  const weights = {
    queries: b.temp("query maps", [C, widths.queries], b.half),
    keys: b.temp("key maps", [C, widths.keys], b.half),
  };
  joinMaps(g, {
    ...(nTied > 0 && { tied: b.param(of("tied")) }),
    ...(nFree > 0 && { query: b.param(of("query")), key: b.param(of("key")) }),
    salience: b.param(of("salience")),
    ...weights,
  });
  const product = (side: "queries" | "keys", a: Tensor): Tensor => {
    const out = b.temp(`raw ${side}`, [rows, widths[side]], b.half);
    matmul(g, { a, b: weights[side], out, m: rows, k: C, n: widths[side] });
    return out;
  };
  const out = { queries: product("queries", x), keys: product("keys", xk) };
  const columns = (name: string, accumulate: 0 | 1): Columns => ({
    out: b.gradient(of(name)),
    accumulate,
  });
  return {
    ...out,
    backward: (d) => {
      const back = (
        side: "queries" | "keys",
        o: { a: Tensor; dX: Tensor; accumulate: 0 | 1; outs: readonly Columns[] },
      ): void => {
        const n = widths[side];
        const { a, dX, accumulate, outs } = o;
        matmul(g, {
          ...{ a: d[side], b: weights[side], out: dX, m: rows, k: n, n: C, transposeB: 1 },
          accumulate,
        });
        matmulColumns(g, { a, b: d[side], outs, m: C, k: rows, n });
      };
      back("queries", {
        ...{ a: x, dX: d.dX, accumulate: 1 },
        outs: [
          ...(nTied > 0 ? [columns("tied", 0)] : []),
          ...(nFree > 0 ? [columns("query", 0)] : []),
        ],
      });
      back("keys", {
        ...{ a: xk, dX: d.dXk, accumulate: 0 },
        outs: [
          ...(nTied > 0 ? [columns("tied", 1)] : []),
          ...(nFree > 0 ? [columns("key", 0)] : []),
          columns("salience", 0),
        ],
      });
    },
  };
}

/** Tied maps give band energies: equal content has an equal energy by construction. Free ones give signed spectral
 *  coordinates: one linear scalar per band, the eigenvectors absorbed in the map. */
function recordScalars(b: Builder, p: AttentionPart, x: Tensor, xk: Tensor, rows: number): Scalars {
  const g = b.graph;
  const { nTied, nFree, nHeads: H, bands: m } = p.sizes;
  const { energyChannels: E } = b.config;
  const maps = scalarMaps(b, p, x, xk, rows);
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
    inputs: { queries: maps.queries, keys: maps.keys },
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
      const dInputs = {
        queries: b.temp("dQueries", maps.queries.shape, b.half),
        keys: b.temp("dKeys", maps.keys.shape, b.half),
      };
      const dParams = params((name) =>
        name.endsWith(".spectrum") && b.config.spectrum === "fixed"
          ? b.temp("dSpectrum", [nTied, E])
          : b.gradient(name),
      );
      attentionScalarsBackward(g, { ...common, ...gradients, dInputs, dParams });
      maps.backward({ ...dInputs, dX, dXk });
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
