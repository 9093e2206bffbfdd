import { describe, test } from "vitest";
import {
  gridAttentionForward,
  type GridAttentionShape,
} from "../../model/kernels/gridAttention.ts";
import { gridAttentionBackward } from "../../model/kernels/gridAttentionBackward.ts";
import type { Tensor } from "../../model/graph.ts";
import { Random } from "../../model/random.ts";
import { checkOp, type OpCase } from "../support/checkOp.ts";

/** The gradients of scores lose what `out` loses as a half, through dOut·out. */
const ROUNDED = { gradAtol: 1e-2, gradRtol: 1e-2 };

/** Scalars in [0, 1), away from grid points, where the kernel has kinks that differences would straddle. */
function scalars(n: number, random: Random, spread = 1): Float64Array {
  return Float64Array.from({ length: n }, () =>
    Math.fround((Math.floor(random.uniform() * 63 * spread) + 0.02 + 0.96 * random.uniform()) / 63),
  );
}

interface Options {
  /** Temperatures of the heads. */
  readonly temperatures: readonly number[];
  /** Part of the range in which scalars lie. */
  readonly spread?: number;
  readonly values?: "f16";
  readonly probes?: number;
}

export function gridCase(shape: GridAttentionShape, o: Options): OpCase {
  const { batch, rows, nHeads, headDim } = shape;
  const random = new Random(7);
  const n = batch * rows * nHeads;
  const dtype = o.values ?? "f32";
  const used = o.temperatures.slice(0, nHeads);
  let total: Tensor;
  return {
    inputs: {
      a: { shape: [batch, rows, nHeads], values: scalars(n, random, o.spread) },
      b: { shape: [batch, rows, nHeads], values: scalars(n, random, o.spread) },
      c: { shape: [batch, rows, nHeads], std: 1 },
      temperature: { shape: [nHeads], values: used },
      slope: {
        shape: [nHeads],
        values: Float64Array.from(
          { length: nHeads },
          (_, h) => 0.002 + 0.05 * h * random.uniform(),
        ),
      },
      v: { shape: [batch, rows, nHeads, headDim], dtype },
    },
    outputs: { out: [batch, rows, nHeads, headDim] },
    halves: dtype === "f16" ? ["out", "dOut", "dV"] : [],
    forward: (g, t) => {
      total = g.temp("total", [batch, rows, nHeads]);
      gridAttentionForward(g, {
        shape,
        a: t["a"]!,
        b: t["b"]!,
        c: t["c"]!,
        temperature: t["temperature"]!,
        slope: t["slope"]!,
        v: t["v"]!,
        out: t["out"]!,
        total,
      });
    },
    backward: (g, t) => {
      gridAttentionBackward(g, {
        shape,
        a: t["a"]!,
        b: t["b"]!,
        c: t["c"]!,
        temperature: t["temperature"]!,
        slope: t["slope"]!,
        v: t["v"]!,
        out: t["out"]!,
        total,
        dOut: t["dOut"]!,
        dA: t["dA"]!,
        dB: t["dB"]!,
        dC: t["dC"]!,
        dTemperature: t["dTemperature"]!,
        dSlope: t["dSlope"]!,
        dV: t["dV"]!,
      });
    },
    // Scores are differences of scalars over T, so gradients by scalars have their rounding times 1/T.
    ...(dtype === "f16" ? ROUNDED : { gradAtol: 1e-5 * Math.max(...used.map((T) => 1 / T)) }),
    probes: o.probes ?? 6,
  };
}

const temperatures = [0.3, 0.05, 1 / 64, 2].map(Math.fround);

describe("gridAttention", () => {
  for (const [batch, rows, nHeads, headDim] of [
    [1, 1, 1, 16],
    [2, 63, 3, 16],
    [1, 64, 2, 64],
    [1, 130, 4, 64],
    [2, 201, 2, 32],
  ] as const)
    test(`matches its twin and its differences on ${batch} windows of ${rows}, ${nHeads} heads of ${headDim}`, async () => {
      await checkOp(gridCase({ batch, rows, nHeads, headDim }, { temperatures }));
    });

  test("carries states over many chunks", async () => {
    await checkOp(
      gridCase({ batch: 1, rows: 1283, nHeads: 2, headDim: 16 }, { temperatures, probes: 0 }),
    );
  });

  test("is smooth where all scalars share few cells", async () => {
    await checkOp(
      gridCase({ batch: 1, rows: 150, nHeads: 4, headDim: 16 }, { temperatures, spread: 0.04 }),
    );
  });

  test("holds values and outputs in halves", async () => {
    await checkOp(
      gridCase(
        { batch: 1, rows: 100, nHeads: 2, headDim: 32 },
        { temperatures: [0.3, 1].map(Math.fround), values: "f16", probes: 2 },
      ),
    );
  });
});
