/**
 * Grid attention in place of the exact lookup of a tau sublayer: one scalar per head and key, placed in [0, 1], and the
 * kernel e^(−|a − b|/T) carried by 64 grid points, in time linear in the window. That kernel is what the model is, in
 * training, scoring and decoding alike: windows go through states of chunks of 64 rows, new rows meet the cache pair
 * by pair, and both give every pair the same weight. Chunks are counted from a window's first row, and where one ends
 * changes how a sum is formed, never what it is.
 * Source: Tauformer §3.2 (m = 1); Differs: the OU grid of tauformer.md §4.3 as a kernel of its own.
 */
import { keySide, type Lookup } from "./attention.ts";
import { invariant } from "./errors.ts";
import { gridAttentionForward } from "./kernels/gridAttention.ts";
import { gridAttentionBackward } from "./kernels/gridAttentionBackward.ts";
import { gridAttentionFew } from "./kernels/gridAttentionFew.ts";
import { gridScalarsBackward, gridScalarsForward } from "./kernels/gridAttentionScalars.ts";

export const gridLookup: Lookup = (b, p, scalars, value) => {
  const g = b.graph;
  const { batch, rows: windowRows, capacity, span } = p.positions;
  const { channels: C, nHeads: H, headDim, bands } = p.sizes;
  invariant(
    p.window === 0 && bands === 1,
    `${p.prefix}: grid attention over ${p.window} positions with ${bands} bands; it sees all, with one`,
  );
  const rows = batch * windowRows;
  const offset = b.param(`${p.prefix}.offset`);
  const heat = b.param(`${p.prefix}.heat`);
  const a = b.temp("placed queries", [rows, H]);
  const keys = b.temp("placed keys", [rows, H]);
  const temperature = b.temp("temperature", [H]);
  gridScalarsForward(g, {
    rawA: scalars.a,
    rawB: scalars.b,
    offset,
    heat,
    a,
    b: keys,
    temperature,
  });
  const { c, slope } = scalars;
  const shape = { batch, rows: windowRows, nHeads: H, headDim };
  const out = b.temp("attended", [rows, C], b.half);
  const total = b.temp("weights", [rows, H]);
  const inputs = { a, temperature, slope, out };
  if (b.mode === "extend")
    gridAttentionFew(g, {
      ...inputs,
      shape: { ...shape, capacity },
      b: keySide(b, p, "scalars", keys),
      c: keySide(b, p, "salience", c),
      v: keySide(b, p, "value", value),
      span,
    });
  else gridAttentionForward(g, { ...inputs, shape, b: keys, c, v: value, total });
  return {
    out,
    backward: (dOut, d) => {
      const dA = b.temp("dPlaced queries", [rows, H]);
      const dB = b.temp("dPlaced keys", [rows, H]);
      const dTemperature = b.temp("dTemperature", [H]);
      const { dC, dSlope, dV } = d;
      const gradients = { dOut, dA, dB, dC, dTemperature, dSlope, dV };
      gridAttentionBackward(g, { ...inputs, shape, b: keys, c, v: value, total, ...gradients });
      gridScalarsBackward(g, {
        a,
        b: keys,
        heat,
        dA,
        dB,
        dTemperature,
        dRawA: d.dA,
        dRawB: d.dB,
        dOffset: b.gradient(`${p.prefix}.offset`),
        dHeat: b.gradient(`${p.prefix}.heat`),
      });
    },
  };
};
