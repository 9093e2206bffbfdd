/**
 * How a sublayer's output joins the stream(s): plain, or S streams mixed by doubly stochastic matrices (go-mHC).
 * Each sublayer normalizes its input itself. Source: go-mHC (arXiv 2604.02309) eqs. 2–4 and 7–9.
 */
import type { Builder, Part } from "./builder.ts";
import type { Tensor } from "./graph.ts";
import { linear } from "./linear.ts";
import { addForward } from "./kernels/add.ts";
import { rmsNormBackward, rmsNormForward } from "./kernels/rmsNorm.ts";
import { streamHeadBackward, streamHeadForward } from "./kernels/streamHead.ts";
import { streamWriteBackward, streamWriteForward } from "./kernels/streamWrite.ts";

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
  const normed = b.temp("normed", [rows, channels], b.half);
  rmsNormForward(g, { x, y: normed, channels });
  const inner = f(normed);
  const y = b.temp("residual", [rows, channels], x.dtype);
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

/** x [T, S, C] → mix·x + postᵀ·f(norm(pre·x)). Streams are held as x is, the branch as activations are. */
export function streamResidual(
  b: Builder,
  prefix: string,
  x: Tensor,
  rows: number,
  channels: number,
  f: Sublayer,
): Part {
  const g = b.graph;
  const { streams: S, mixingBlock: O } = b.config;
  const mixing = { kind: "goMhc", S, O } as const;
  const phi = linear(b, `${prefix}.phi`, x, rows);
  const weights = b.temp("stream weights", [rows, S, S + 1]);
  const gates = b.temp("read gates", [rows, S + 1]);
  const normed = b.temp("normed", [rows, channels], b.half);
  const head = {
    mixing,
    x,
    u: phi.out,
    alpha: b.param(`${prefix}.alpha`),
    bias: b.param(`${prefix}.bias`),
    gates,
  };
  streamHeadForward(g, { ...head, weights, normed });
  const inner = f(normed);
  const y = b.temp("streams", [rows, S, channels], x.dtype);
  streamWriteForward(g, { x, weights, f: inner.out, y });
  return {
    out: y,
    backward: (dY) => {
      const dWeights = b.temp("dStream weights", [rows, S, S + 1]);
      const dF = b.temp("dF", [rows, channels], b.half);
      streamWriteBackward(g, { x, weights, f: inner.out, dY, dWeights, dF });
      const dNormed = inner.backward(dF);
      const dU = b.temp("dPhi", phi.out.shape);
      streamHeadBackward(g, {
        ...head,
        dWeights,
        dNormed,
        dX: dY,
        dU,
        dAlpha: b.gradient(`${prefix}.alpha`),
        dBias: b.gradient(`${prefix}.bias`),
      });
      phi.backward({ dOut: dU, dX: dY, first: 0 });
      return dY;
    },
  };
}
