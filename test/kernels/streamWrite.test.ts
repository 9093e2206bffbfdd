import { describe, test } from "vitest";
import { streamWriteBackward, streamWriteForward } from "../../model/kernels/streamWrite.ts";
import { checkOp } from "../support/checkOp.ts";

const shapes = [
  [1, 1, 4],
  [3, 2, 12],
  [9, 4, 132],
  [5, 8, 20],
  [1031, 4, 16],
] as const;

describe("streamWrite", () => {
  for (const [T, S, C] of shapes)
    test(`matches its twin and its differences on ${T} tokens, ${S} streams of ${C}`, async () => {
      await checkOp({
        inputs: {
          x: { shape: [T, S, C] },
          mix: { shape: [T, S, S] },
          post: { shape: [T, S] },
          f: { shape: [T, C] },
        },
        outputs: { y: [T, S, C] },
        forward: (g, t) =>
          streamWriteForward(g, {
            x: t["x"]!,
            mix: t["mix"]!,
            post: t["post"]!,
            f: t["f"]!,
            y: t["y"]!,
          }),
        backward: (g, t) =>
          streamWriteBackward(g, {
            x: t["x"]!,
            mix: t["mix"]!,
            post: t["post"]!,
            f: t["f"]!,
            dY: t["dY"]!,
            dX: t["dX"]!,
            dMix: t["dMix"]!,
            dPost: t["dPost"]!,
            dF: t["dF"]!,
          }),
        probes: T > 100 ? 2 : 8,
      });
    });
});
