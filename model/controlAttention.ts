/**
 * The selectable controls: the published taumode (one bounded Rayleigh energy per head under a fixed Laplacian,
 * RoPE before it, temperature 1) and dot-product attention of equal size (RoPE, normalized queries and keys, key
 * shift). Source: Tauformer §3.1–3.2; Differs: no clamp of ±5 on the head vectors (it breaks scale freedom only
 * in the tails, tauformer.md §2).
 */
import { keySide, type AttentionPart } from "./attention.ts";
import type { Builder, Part } from "./builder.ts";
import type { Tensor } from "./graph.ts";
import { dotAttentionBackward, dotAttentionForward } from "./kernels/dotAttention.ts";
import { keyShiftBackward, keyShiftForward } from "./kernels/keyShift.ts";
import { matmul } from "./kernels/matmul.ts";
import { rmsNormBackward, rmsNormForward } from "./kernels/rmsNorm.ts";
import { ropeBackward, ropeForward } from "./kernels/rope.ts";
import { tauAttentionBackward, tauAttentionForward } from "./kernels/tauAttention.ts";
import { taumodeBackward, taumodeForward } from "./kernels/taumode.ts";
import { linear } from "./linear.ts";

/** τ of the bounded energy, and the one band, of the published form. */
const TAU = 1;
const BANDS = 1;

export function controlAttentionPart(b: Builder, p: AttentionPart, x: Tensor): Part {
  return b.config.attention === "dot" ? dotPart(b, p, x) : publishedPart(b, p, x);
}

interface Rotated {
  readonly out: Tensor;
  backward(dOut: Tensor): Tensor;
}

/** RoPE and unit mean square per head: [rows, H, D] → same. */
function rotated(b: Builder, p: AttentionPart, x: Tensor): Rotated {
  const g = b.graph;
  const { batch, rows, span } = p.positions;
  const { nHeads, headDim } = p.sizes;
  const shape = [batch * rows, nHeads, headDim];
  const turned = b.temp("rotated", shape);
  const common = { batch, rows, nHeads, headDim, span };
  ropeForward(g, { ...common, x, y: turned });
  const out = b.temp("normed heads", shape);
  rmsNormForward(g, { x: turned, y: out, channels: headDim });
  return {
    out,
    backward: (dOut) => {
      const dTurned = b.temp("dRotated", shape);
      rmsNormBackward(g, { x: turned, dY: dOut, dX: dTurned, channels: headDim });
      const dX = b.temp("dHeads", shape);
      ropeBackward(g, { ...common, dY: dTurned, dX });
      return dX;
    },
  };
}

function publishedPart(b: Builder, p: AttentionPart, x: Tensor): Part {
  const g = b.graph;
  const { batch, rows: windowRows, capacity, span } = p.positions;
  const { channels: C, nHeads: H, headDim: D } = p.sizes;
  const rows = batch * windowRows;
  const basis = b.param(`${p.prefix}.basis`);
  const mu = b.param(`${p.prefix}.spectrum`);
  const side = (weight: string) => {
    const map = linear(b, `${p.prefix}.${weight}`, x, rows);
    const heads = rotated(b, p, map.out);
    // Spectral coordinates: the eigenvectors of the fixed Laplacian, applied per head.
    const y = b.temp("spectral", [rows, H, D]);
    matmul(g, { a: heads.out, b: basis, out: y, m: rows * H, k: D, n: D });
    const lambda = b.temp("lambda", [rows, H, BANDS]);
    const shape = { rows, nHeads: H, headDim: D, bands: BANDS, tau: TAU };
    taumodeForward(g, { ...shape, y, mu, lambda });
    return {
      lambda,
      backward: (dLambda: Tensor, dX: Tensor, first: 0 | 1): void => {
        const dY = b.temp("dSpectral", [rows, H, D]);
        // The spectrum is fixed: its gradient is not kept.
        taumodeBackward(g, { ...shape, y, mu, dLambda, dY, dMu: b.temp("dSpectrum", [H, D]) });
        const dHeads = b.temp("dNormed heads", [rows, H, D]);
        matmul(g, { a: dY, b: basis, out: dHeads, m: rows * H, k: D, n: D, transposeB: 1 });
        map.backward({ dOut: heads.backward(dHeads), dX, first });
      },
    };
  };
  const query = side("query");
  const key = side("key");
  const value = linear(b, `${p.prefix}.value`, x, rows);
  const shape = {
    batch,
    rows: windowRows,
    capacity,
    nHeads: H,
    bands: BANDS,
    headDim: D,
    window: p.window,
  };
  const out = b.temp("attended", [rows, C]);
  const lse = b.temp("lse", [rows, H]);
  const slope = b.zeros(H);
  const salience = b.zeros(batch * capacity * H);
  tauAttentionForward(g, {
    shape,
    a: query.lambda,
    b: keySide(b, p, "scalars", key.lambda),
    c: salience,
    slope,
    v: keySide(b, p, "value", value.out),
    span,
    out,
    lse,
  });
  const project = linear(b, `${p.prefix}.out`, out, rows);
  return {
    out: project.out,
    backward: (dOutput) => {
      const dOut = b.temp("dAttended", [rows, C]);
      project.backward({ dOut: dOutput, dX: dOut, first: 1 });
      const dA = b.temp("dA", [rows, H, BANDS]);
      const dB = b.temp("dB", [rows, H, BANDS]);
      const dV = b.temp("dV", [rows, C]);
      tauAttentionBackward(g, {
        shape,
        a: query.lambda,
        b: key.lambda,
        c: salience,
        slope,
        v: value.out,
        out,
        lse,
        dOut,
        dA,
        dB,
        dC: b.temp("dC", [rows, H]),
        dSlope: b.temp("dSlope", [H]),
        dV,
      });
      const dX = b.temp("dX", [rows, C]);
      value.backward({ dOut: dV, dX, first: 1 });
      query.backward(dA, dX, 0);
      key.backward(dB, dX, 0);
      return dX;
    },
  };
}

function dotPart(b: Builder, p: AttentionPart, x: Tensor): Part {
  const g = b.graph;
  const { batch, rows: windowRows, capacity, span } = p.positions;
  const { channels: C, nHeads: H, headDim: D } = p.sizes;
  const rows = batch * windowRows;
  const shift = {
    batch,
    rows: windowRows,
    capacity,
    channels: C,
    mix: b.param(`${p.prefix}.keyShift`),
    span,
  };
  const xk = b.temp("shifted", [rows, C]);
  keyShiftForward(g, { ...shift, x: keySide(b, p, "input", x), y: xk });
  const query = linear(b, `${p.prefix}.query`, x, rows);
  const key = linear(b, `${p.prefix}.key`, xk, rows);
  const q = rotated(b, p, query.out);
  const k = rotated(b, p, key.out);
  const value = linear(b, `${p.prefix}.value`, x, rows);
  const shape = { batch, rows: windowRows, capacity, nHeads: H, headDim: D, window: p.window };
  const out = b.temp("attended", [rows, C]);
  const lse = b.temp("lse", [rows, H]);
  const slope = b.zeros(H);
  dotAttentionForward(g, {
    shape,
    q: q.out,
    k: keySide(b, p, "key", k.out),
    slope,
    v: keySide(b, p, "value", value.out),
    span,
    out,
    lse,
  });
  const project = linear(b, `${p.prefix}.out`, out, rows);
  return {
    out: project.out,
    backward: (dOutput) => {
      const dOut = b.temp("dAttended", [rows, C]);
      project.backward({ dOut: dOutput, dX: dOut, first: 1 });
      const dQ = b.temp("dQ", [rows, H, D]);
      const dK = b.temp("dK", [rows, H, D]);
      const dV = b.temp("dV", [rows, C]);
      dotAttentionBackward(g, {
        shape,
        q: q.out,
        k: k.out,
        slope,
        v: value.out,
        out,
        lse,
        dOut,
        dQ,
        dK,
        dV,
        dSlope: b.temp("dSlope", [H]),
      });
      const dX = b.temp("dX", [rows, C]);
      const dXk = b.temp("dShifted", [rows, C]);
      value.backward({ dOut: dV, dX, first: 1 });
      query.backward({ dOut: q.backward(dQ), dX, first: 0 });
      key.backward({ dOut: k.backward(dK), dX: dXk, first: 1 });
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
