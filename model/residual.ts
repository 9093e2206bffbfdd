/**
 * How a sublayer's output joins the stream(s): plain, or S streams mixed by doubly stochastic matrices (go-mHC, or
 * one of its alternatives: kernels/mixing.ts).
 * Sublayers read normalized inputs. Source: go-mHC (arXiv 2604.02309) eqs. 2–4 and 7–9.
 */
import type { Builder, Part } from "./builder.ts";
import type { Tensor } from "./graph.ts";
import { addNorm } from "./kernels/addNorm.ts";
import { matmul } from "./kernels/matmul.ts";
import type { MixingKind } from "./kernels/mixing.ts";
import { rmsNormBackward, rmsNormForward } from "./kernels/rmsNorm.ts";
import { streamCollapseBackward, streamCollapseForward } from "./kernels/streamCollapse.ts";
import { streamExpandBackward, streamExpandForward } from "./kernels/streamExpand.ts";
import { streamGradient, termsOf } from "./kernels/streamGradient.ts";
import { headSumsShape, streamHeadBackward, streamHeadForward } from "./kernels/streamHead.ts";
import { streamWriteBackward, streamWriteForward } from "./kernels/streamWrite.ts";

export type Sublayer = (normed: Tensor) => Part;

/** A chain of sublayers, with the norm of what comes out: whatever follows reads that. */
export interface Residuals extends Part {
  readonly normed: Tensor;
}

/** y = x + f(norm(x)) for one sublayer f after the other; x [rows, C]. */
export function plainResiduals(
  b: Builder,
  x: Tensor,
  rows: number,
  channels: number,
  sublayers: readonly Sublayer[],
): Residuals {
  const g = b.graph;
  const made: { readonly x: Tensor; readonly inner: Part }[] = [];
  let at = x;
  let normed = b.temp("normed", [rows, channels], b.half);
  rmsNormForward(g, { x, y: normed, channels });
  for (const f of sublayers) {
    const inner = f(normed);
    made.push({ x: at, inner });
    const y = b.temp("residual", [rows, channels], x.dtype);
    normed = b.temp("normed", [rows, channels], b.half);
    addNorm(g, { x: at, f: inner.out, y, normed });
    at = y;
  }
  return {
    out: at,
    normed,
    backward: (dY) => {
      for (const { x: input, inner } of [...made].reverse()) {
        const dNormed = inner.backward(dY);
        rmsNormBackward(g, { x: input, dY: dNormed, dX: dY, channels, accumulate: 1 });
      }
      return dY;
    },
  };
}

/** S copies of x [rows, C], a streamResidual for each sublayer, their mean. Prefixes name the residuals' parameters. */
export function streamResiduals(
  b: Builder,
  mixing: MixingKind,
  x: Tensor,
  rows: number,
  channels: number,
  sublayers: readonly { readonly prefix: string; readonly f: Sublayer }[],
): Residuals {
  const g = b.graph;
  const shape = [rows, mixing.S, channels];
  const parts: Part[] = [];
  let at = b.temp("streams", shape, b.half);
  streamExpandForward(g, { x, y: at });
  for (const { prefix, f } of sublayers) {
    const part = streamResidual(b, mixing, prefix, at, rows, channels, f);
    parts.push(part);
    at = part.out;
  }
  const out = b.temp("collapsed", [rows, channels], b.half);
  streamCollapseForward(g, { x: at, y: out });
  const normed = b.temp("normed", [rows, channels], b.half);
  rmsNormForward(g, { x: out, y: normed, channels });
  return {
    out,
    normed,
    backward: (dOut) => {
      const dStreams = b.temp("dStreams", shape, b.half);
      streamCollapseBackward(g, { dY: dOut, dX: dStreams });
      const dExpanded = parts.reduceRight((d, part) => part.backward(d), dStreams);
      const dX = b.temp("dExpanded", [rows, channels], b.half);
      streamExpandBackward(g, { dY: dExpanded, dX });
      return dX;
    },
  };
}

/** x [T, S, C] → mix·x + postᵀ·f(norm(pre·x)). Streams are held as x is, the branch as activations are. */
function streamResidual(
  b: Builder,
  mixing: MixingKind,
  prefix: string,
  x: Tensor,
  rows: number,
  channels: number,
  f: Sublayer,
): Part {
  const g = b.graph;
  const S = mixing.S;
  // Its columns are too few for rows of halves.
  const phi = b.param(`${prefix}.phi`);
  const [k, n] = phi.shape as [number, number];
  const u = b.temp("stream logits", [rows, n]);
  matmul(g, { a: x, b: phi, out: u, m: rows, k, n });
  const weights = b.temp("stream weights", [rows, S, S + 1]);
  const gates = b.temp("read gates", [rows, S + 1]);
  const normed = b.temp("normed", [rows, channels], b.half);
  const head = {
    mixing,
    x,
    u,
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
      const dU = b.temp("dStream logits", [rows, n]);
      const terms = b.temp("stream terms", [rows, termsOf(S)]);
      const sums = b.temp("head sums", headSumsShape(mixing, rows, channels));
      streamHeadBackward(g, { ...head, dWeights, dNormed, dU, terms, sums });
      const dPhi = b.gradient(`${prefix}.phi`);
      matmul(g, { a: x, b: dU, out: dPhi, m: k, k: rows, n, transposeA: 1 });
      streamGradient(g, {
        ...{ x, dNormed, terms, dU, phi, dX: dY, sums },
        dAlpha: b.gradient(`${prefix}.alpha`),
        dBias: b.gradient(`${prefix}.bias`),
      });
      return dY;
    },
  };
}
