import { describe, test } from "vitest";
import type { Tensor } from "../../model/graph.ts";
import {
  dotAttentionBackward,
  dotAttentionForward,
  type DotAttentionShape,
} from "../../model/kernels/dotAttention.ts";
import { checkOp, type OpCase } from "../support/checkOp.ts";

function attentionCase(shape: DotAttentionShape): OpCase {
  const { batch, rows, nHeads, headDim } = shape;
  const heads = [batch, rows, nHeads, headDim];
  let lse: Tensor;
  return {
    inputs: {
      q: { shape: heads },
      k: { shape: heads },
      v: { shape: heads },
      slope: { shape: [nHeads], std: 0.02, mean: 0.05 },
      span: { shape: [1], dtype: "u32", values: [0] },
    },
    outputs: { out: heads },
    forward: (g, t) => {
      lse = g.temp("lse", [batch, rows, nHeads]);
      dotAttentionForward(g, {
        shape,
        lse,
        q: t["q"]!,
        k: t["k"]!,
        v: t["v"]!,
        slope: t["slope"]!,
        span: t["span"]!,
        out: t["out"]!,
      });
    },
    backward: (g, t) =>
      dotAttentionBackward(g, {
        shape,
        lse,
        q: t["q"]!,
        k: t["k"]!,
        v: t["v"]!,
        slope: t["slope"]!,
        out: t["out"]!,
        dOut: t["dOut"]!,
        dQ: t["dQ"]!,
        dK: t["dK"]!,
        dV: t["dV"]!,
        dSlope: t["dSlope"]!,
      }),
    // exp and log of the GPU are a few ulp off, and the slope's gradient sums over all rows and distances.
    atol: 2e-5,
    rtol: 2e-4,
    gradAtol: 3e-4,
    gradRtol: 1e-3,
    probes: 6,
    step: 1e-6,
  };
}

/** A software rasterizer compiles the backward kernels for tens of seconds per shape, more on a busy machine. */
const COMPILE_MS = 400_000;

const shapes: readonly DotAttentionShape[] = [
  { batch: 1, rows: 1, capacity: 1, nHeads: 1, headDim: 4, window: 0 },
  { batch: 2, rows: 131, capacity: 131, nHeads: 2, headDim: 36, window: 0 },
  { batch: 1, rows: 203, capacity: 203, nHeads: 2, headDim: 64, window: 70 },
];

describe("dotAttention", () => {
  for (const shape of shapes)
    test(
      `matches its twin and its differences at ${JSON.stringify(shape)}`,
      { timeout: COMPILE_MS },
      async () => {
        await checkOp(attentionCase(shape));
      },
    );
});
