import { describe, test } from "vitest";
import { weightedTotal } from "../../model/kernels/columnSum.ts";
import { crossEntropy, SKIP } from "../../model/kernels/crossEntropy.ts";
import { Random } from "../../model/random.ts";
import { checkOp, type InputSpec } from "../support/checkOp.ts";

const softcap = 15;

function makeTargets(rows: number, V: number): InputSpec {
  const random = new Random(rows);
  const values = Uint32Array.from({ length: rows }, (_, r) =>
    r % 5 === 3 ? SKIP : random.below(V),
  );
  return { shape: [rows], dtype: "u32", values };
}

describe("crossEntropy", () => {
  for (const [rows, V, std] of [
    [1, 272, 1],
    [7, 5, 10],
    [33, 272, 8],
    [1031, 272, 3],
  ] as const)
    test(`has the gradient of the weighted mean in nats on ${rows} rows of ${V}`, async () => {
      await checkOp({
        inputs: {
          logits: { shape: [rows, V], std },
          targets: makeTargets(rows, V),
          bitsToNats: { shape: [1], values: [Math.LN2], constant: true },
        },
        outputs: { mean: [1] },
        forward: (g, t) => {
          const loss = g.temp("loss", [rows]);
          crossEntropy(g, {
            logits: t["logits"]!,
            targets: t["targets"]!,
            weight: t["bitsToNats"]!,
            loss,
            dLogits: g.temp("dLogits", [rows, V]),
            softcap,
          });
          weightedTotal(g, { x: loss, weight: t["bitsToNats"]!, out: t["mean"]! });
        },
        // The gradient that arrives at the sum plays the weight.
        backward: (g, t) =>
          crossEntropy(g, {
            logits: t["logits"]!,
            targets: t["targets"]!,
            weight: t["dMean"]!,
            loss: g.temp("loss", [rows]),
            dLogits: t["dLogits"]!,
            softcap,
          }),
        gradAtol: 1e-6,
        probes: rows > 100 ? 3 : 24,
      });
    });

  for (const [logits, V, halves] of [
    ["f16", 272, ["dLogits"]],
    ["f32", 272, ["dLogits"]],
    ["f16", 272, []],
    ["f16", 7, ["dLogits"]],
    ["f16", 1036, ["dLogits"]],
  ] as const)
    test(`takes ${logits} logits of ${V} and holds ${halves.join() || "nothing"} in halves`, async () => {
      await checkOp({
        inputs: {
          logits: { shape: [33, V], std: 8, dtype: logits },
          targets: makeTargets(33, V),
          bitsToNats: { shape: [1], values: [Math.LN2], constant: true },
        },
        outputs: { mean: [1] },
        halves,
        forward: (g, t) => {
          const loss = g.temp("loss", [33]);
          crossEntropy(g, {
            logits: t["logits"]!,
            targets: t["targets"]!,
            weight: t["bitsToNats"]!,
            loss,
            dLogits: g.temp("dLogits", [33, V]),
            softcap,
          });
          weightedTotal(g, { x: loss, weight: t["bitsToNats"]!, out: t["mean"]! });
        },
        backward: (g, t) =>
          crossEntropy(g, {
            logits: t["logits"]!,
            targets: t["targets"]!,
            weight: t["dMean"]!,
            loss: g.temp("loss", [33]),
            dLogits: t["dLogits"]!,
            softcap,
          }),
        gradAtol: 1e-6,
        probes: 8,
      });
    });

  test("matches its twin row by row and gives zero where a row is skipped", async () => {
    await checkOp({
      inputs: {
        logits: { shape: [70, 272], std: 6 },
        targets: makeTargets(70, 272),
        weight: { shape: [1], values: [0.3], constant: true },
      },
      outputs: { loss: [70], gradient: [70, 272] },
      forward: (g, t) =>
        crossEntropy(g, {
          logits: t["logits"]!,
          targets: t["targets"]!,
          weight: t["weight"]!,
          loss: t["loss"]!,
          dLogits: t["gradient"]!,
          softcap,
        }),
    });
  });

  test("stays finite on logits of any size", async () => {
    const sizes = [0, 1e4, -1e4, 3e37, -3e37, 88, -88];
    const values = Float64Array.from({ length: 8 * 272 }, (_, i) => sizes[i % sizes.length]!);
    await checkOp({
      inputs: {
        logits: { shape: [8, 272], values, constant: true },
        targets: makeTargets(8, 272),
        weight: { shape: [1], values: [1], constant: true },
      },
      outputs: { loss: [8], gradient: [8, 272] },
      forward: (g, t) =>
        crossEntropy(g, {
          logits: t["logits"]!,
          targets: t["targets"]!,
          weight: t["weight"]!,
          loss: t["loss"]!,
          dLogits: t["gradient"]!,
          softcap,
        }),
    });
  });
});
