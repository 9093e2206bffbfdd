/**
 * How a sublayer's output joins the stream(s): plain, or S streams mixed by doubly stochastic matrices (go-mHC).
 * Each sublayer normalizes its input itself. Source: go-mHC (arXiv 2604.02309) eqs. 2–4 and 7–9.
 */
import type { Builder, Part } from "./builder.ts";
import type { Tensor } from "./graph.ts";
import { linear } from "./linear.ts";
import { addForward } from "./kernels/add.ts";
import { mixingBackward, mixingForward } from "./kernels/mixing.ts";
import { rmsNormBackward, rmsNormForward } from "./kernels/rmsNorm.ts";
import { streamGatesBackward, streamGatesForward } from "./kernels/streamGates.ts";
import { streamReadBackward, streamReadForward } from "./kernels/streamRead.ts";
import { streamWriteBackward, streamWriteForward } from "./kernels/streamWrite.ts";
import { mixingLogitCount } from "./params.ts";

export type Sublayer = (normed: Tensor) => Part;

/** y = x + f(norm(x)); x [rows, C]. */
export function plainResidual(
  b: Builder,
  x: Tensor,
  rows: number,
  channels: number,
  f: Sublayer,
): Part {
  const g = b.graph;
  const normed = b.temp("normed", [rows, channels]);
  rmsNormForward(g, { x, y: normed, channels });
  const inner = f(normed);
  const y = b.temp("residual", [rows, channels]);
  addForward(g, { x, z: inner.out, y });
  return {
    out: y,
    backward: (dY) => {
      const dNormed = inner.backward(dY);
      rmsNormBackward(g, { x, dY: dNormed, dX: dY, channels, accumulate: 1 });
      return dY;
    },
  };
}

/** x [T, S, C] → mix·x + postᵀ·f(norm(pre·x)). */
export function streamResidual(
  b: Builder,
  prefix: string,
  x: Tensor,
  rows: number,
  channels: number,
  f: Sublayer,
): Part {
  const g = b.graph;
  const S = b.config.streams;
  const O = b.config.mixingBlock;
  const K = mixingLogitCount(b.config);
  const C = channels;
  const flat = b.temp("streams normed", [rows, S * C]);
  rmsNormForward(g, { x, y: flat, channels: S * C });
  const phi = linear(b, `${prefix}.phi`, flat, rows);
  const pre = b.temp("pre", [rows, S]);
  const post = b.temp("post", [rows, S]);
  const a = b.temp("mixing logits", [rows, K]);
  const alpha = b.param(`${prefix}.alpha`);
  const bias = b.param(`${prefix}.bias`);
  streamGatesForward(g, { z: phi.out, alpha, bias, pre, post, a });
  const mix = b.temp("mix", [rows, S, S]);
  mixingForward(g, { kind: "goMhc", a, mix, S, O });
  const h = b.temp("read", [rows, C]);
  streamReadForward(g, { x, pre, h });
  const normed = b.temp("normed", [rows, C]);
  rmsNormForward(g, { x: h, y: normed, channels: C });
  const inner = f(normed);
  const y = b.temp("streams", [rows, S, C]);
  streamWriteForward(g, { x, mix, post, f: inner.out, y });
  return {
    out: y,
    backward: (dY) => {
      const dX = b.temp("dStreams", [rows, S, C]);
      const dMix = b.temp("dMix", [rows, S, S]);
      const dPost = b.temp("dPost", [rows, S]);
      const dF = b.temp("dF", [rows, C]);
      streamWriteBackward(g, { x, mix, post, f: inner.out, dY, dX, dMix, dPost, dF });
      const dNormed = inner.backward(dF);
      const dH = b.temp("dRead", [rows, C]);
      rmsNormBackward(g, { x: h, dY: dNormed, dX: dH, channels: C });
      const dPre = b.temp("dPre", [rows, S]);
      streamReadBackward(g, { x, pre, dH, dPre, dX, accumulate: 1 });
      const dA = b.temp("dMixing logits", [rows, K]);
      mixingBackward(g, { kind: "goMhc", a, dMix, dA, S, O });
      const dZ = b.temp("dZ", [rows, 2 * S + K]);
      streamGatesBackward(g, {
        z: phi.out,
        alpha,
        bias,
        dPre,
        dPost,
        dA,
        dZ,
        dAlpha: b.gradient(`${prefix}.alpha`),
        dBias: b.gradient(`${prefix}.bias`),
      });
      const dFlat = b.temp("dStreams normed", [rows, S * C]);
      phi.backward({ dOut: dZ, dX: dFlat, first: 1 });
      rmsNormBackward(g, { x, dY: dFlat, dX, channels: S * C, accumulate: 1 });
      return dX;
    },
  };
}
