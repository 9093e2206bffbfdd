import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Graph, type Tensor } from "../../model/graph.ts";
import {
  tauAttentionBackward,
  tauAttentionForward,
  type TauAttentionShape,
} from "../../model/kernels/tauAttention.ts";
import { checkOp, type OpCase } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

/** exp and log of the GPU are a few ulp off, and weights multiply sums of up to a window of values. */
const ATOL = 2e-5;
const RTOL = 2e-4;

function attentionCase(shape: TauAttentionShape, spread: { std: number; salience: number }): OpCase {
  const { batch, rows, nHeads, bands, headDim } = shape;
  let lse: Tensor;
  return {
    inputs: {
      a: { shape: [batch, rows, nHeads, bands], std: spread.std },
      b: { shape: [batch, rows, nHeads, bands], std: spread.std },
      c: { shape: [batch, rows, nHeads], std: spread.salience },
      slope: { shape: [nHeads], std: 0.02, mean: 0.05 },
      v: { shape: [batch, rows, nHeads, headDim] },
      span: { shape: [1], dtype: "u32", values: [0] },
    },
    outputs: { out: [batch, rows, nHeads, headDim] },
    forward: (g, t) => {
      lse = g.temp("lse", [batch, rows, nHeads]);
      tauAttentionForward(g, {
        shape, lse,
        a: t["a"]!, b: t["b"]!, c: t["c"]!, slope: t["slope"]!, v: t["v"]!, span: t["span"]!, out: t["out"]!,
      });
    },
    backward: (g, t) =>
      tauAttentionBackward(g, {
        shape, lse,
        a: t["a"]!, b: t["b"]!, c: t["c"]!, slope: t["slope"]!, v: t["v"]!, out: t["out"]!, dOut: t["dOut"]!,
        dA: t["dA"]!, dB: t["dB"]!, dC: t["dC"]!, dSlope: t["dSlope"]!, dV: t["dV"]!,
      }),
    atol: ATOL,
    rtol: RTOL,
    gradAtol: 1e-4,
    gradRtol: 1e-3,
    probes: 6,
    step: 1e-6,
  };
}

const shapes: readonly TauAttentionShape[] = [
  { batch: 1, rows: 1, capacity: 1, nHeads: 1, bands: 1, headDim: 16, window: 0 },
  { batch: 2, rows: 7, capacity: 7, nHeads: 3, bands: 2, headDim: 20, window: 3 },
  { batch: 1, rows: 64, capacity: 64, nHeads: 1, bands: 4, headDim: 64, window: 64 },
  { batch: 2, rows: 131, capacity: 131, nHeads: 2, bands: 4, headDim: 64, window: 0 },
  { batch: 1, rows: 203, capacity: 203, nHeads: 2, bands: 8, headDim: 32, window: 70 },
  { batch: 1, rows: 97, capacity: 97, nHeads: 1, bands: 5, headDim: 48, window: 1 },
];

describe("tauAttention", () => {
  for (const shape of shapes)
    test(`matches its twin and its differences at ${JSON.stringify(shape)}`, async () => {
      await checkOp(attentionCase(shape, { std: 1, salience: 1 }));
    });
});
