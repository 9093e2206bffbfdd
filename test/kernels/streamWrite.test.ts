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

function check(T: number, S: number, C: number, dtype: "f32" | "f16"): Promise<void> {
  return checkOp({
    inputs: {
      // Its gradient is streamHead's.
      x: { shape: [T, S, C], dtype, constant: true },
      weights: { shape: [T, S, S + 1] },
      f: { shape: [T, C], dtype },
    },
    outputs: { y: [T, S, C] },
    halves: dtype === "f16" ? ["y", "dY", "dF"] : [],
    forward: (g, t) =>
      streamWriteForward(g, { x: t["x"]!, weights: t["weights"]!, f: t["f"]!, y: t["y"]! }),
    backward: (g, t) =>
      streamWriteBackward(g, {
        x: t["x"]!,
        weights: t["weights"]!,
        f: t["f"]!,
        dY: t["dY"]!,
        dWeights: t["dWeights"]!,
        dF: t["dF"]!,
      }),
    probes: T > 100 ? 2 : 8,
  });
}

describe("streamWrite", () => {
  for (const [T, S, C] of shapes)
    test(`matches its twin and its differences on ${T} tokens, ${S} streams of ${C}`, () =>
      check(T, S, C, "f32"));

  test("takes streams and branch in half precision", () => check(37, 4, 36, "f16"));
});
