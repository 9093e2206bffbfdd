import { describe, test } from "vitest";
import { streamGatesBackward, streamGatesForward } from "../../model/kernels/streamGates.ts";
import { checkOp } from "../support/checkOp.ts";

const shapes = [
  [1, 1, 1],
  [5, 2, 6],
  [37, 4, 28],
  [23, 3, 75],
  [1031, 4, 6],
] as const;

describe("streamGates", () => {
  for (const [T, S, K] of shapes)
    test(`matches its twin and its differences on ${T} tokens, ${S} streams, ${K} logits`, async () => {
      const M = 2 * S + K;
      await checkOp({
        inputs: {
          z: { shape: [T, M] },
          alpha: { shape: [3], std: 0.5, mean: 1 },
          bias: { shape: [M] },
        },
        outputs: { pre: [T, S], post: [T, S], a: [T, K] },
        forward: (g, t) =>
          streamGatesForward(g, {
            z: t["z"]!,
            alpha: t["alpha"]!,
            bias: t["bias"]!,
            pre: t["pre"]!,
            post: t["post"]!,
            a: t["a"]!,
          }),
        backward: (g, t) =>
          streamGatesBackward(g, {
            z: t["z"]!,
            alpha: t["alpha"]!,
            bias: t["bias"]!,
            dPre: t["dPre"]!,
            dPost: t["dPost"]!,
            dA: t["dA"]!,
            dZ: t["dZ"]!,
            dAlpha: t["dAlpha"]!,
            dBias: t["dBias"]!,
          }),
        gradAtol: 1e-3, // dAlpha sums thousands of products in f32.
        probes: T > 100 ? 3 : 12,
      });
    });

  test("saturates without NaN on logits of any size", async () => {
    const sizes = [0, 1e4, -1e4, 3e37, -3e37, 88, -88];
    await checkOp({
      inputs: {
        z: {
          shape: [8, 14],
          values: Float64Array.from({ length: 112 }, (_, i) => sizes[i % sizes.length]!),
          constant: true,
        },
        alpha: { shape: [3], values: [1, 1, 1], constant: true },
        bias: { shape: [14], constant: true },
      },
      outputs: { pre: [8, 4], post: [8, 4], a: [8, 6] },
      forward: (g, t) =>
        streamGatesForward(g, {
          z: t["z"]!,
          alpha: t["alpha"]!,
          bias: t["bias"]!,
          pre: t["pre"]!,
          post: t["post"]!,
          a: t["a"]!,
        }),
    });
  });
});
