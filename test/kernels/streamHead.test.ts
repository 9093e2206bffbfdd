import { describe, test } from "vitest";
import { addForward } from "../../model/kernels/add.ts";
import { mixingLogits } from "../../model/kernels/mixing.ts";
import { streamHeadBackward, streamHeadForward } from "../../model/kernels/streamHead.ts";
import { streamWriteBackward, streamWriteForward } from "../../model/kernels/streamWrite.ts";
import { checkOp } from "../support/checkOp.ts";

/** Tokens, streams, block size, channels. */
const shapes = [
  [1, 1, 2, 4],
  [7, 2, 1, 12],
  [5, 4, 2, 132],
  [3, 4, 3, 68],
  [3, 8, 1, 260],
  [2, 4, 2, 1028],
  [517, 4, 2, 16],
] as const;

/** The head and, as dX starts from the gradient of y, the write that follows it. */
function check(
  [T, S, O, C]: readonly [number, number, number, number],
  dtype: "f32" | "f16",
  values?: (i: number) => number,
): Promise<void> {
  const mixing = { kind: "goMhc", S, O } as const;
  const M = 2 * S + mixingLogits(mixing);
  return checkOp({
    inputs: {
      x: { shape: [T, S, C], dtype, mean: 0.2 },
      u:
        values === undefined
          ? { shape: [T, M], std: 0.7 }
          : { shape: [T, M], values: Float64Array.from({ length: T * M }, (_, i) => values(i)) },
      alpha: { shape: [3], std: 0.3, mean: 0.5 },
      bias: { shape: [M], std: 0.5 },
      f: { shape: [T, C], dtype },
    },
    outputs: { normed: [T, C], y: [T, S, C] },
    halves: dtype === "f16" ? ["normed", "dNormed", "y", "dY", "dX", "dF"] : [],
    forward: (g, t) => {
      const weights = g.temp("weights", [T, S, S + 1]);
      const gates = g.temp("gates", [T, S + 1]);
      streamHeadForward(g, { ...head(t, gates), weights, normed: t["normed"]! });
      streamWriteForward(g, { x: t["x"]!, weights, f: t["f"]!, y: t["y"]! });
    },
    backward: (g, t) => {
      const weights = g.temp("weights", [T, S, S + 1]);
      const gates = g.temp("gates", [T, S + 1]);
      const dWeights = g.temp("dWeights", [T, S, S + 1]);
      streamHeadForward(g, { ...head(t, gates), weights, normed: g.temp("normed", [T, C]) });
      streamWriteBackward(g, {
        x: t["x"]!,
        weights,
        f: t["f"]!,
        dY: t["dY"]!,
        dWeights,
        dF: t["dF"]!,
      });
      const zero = g.temp("zero", [T, S, C], dtype);
      addForward(g, { x: t["dY"]!, z: t["dY"]!, y: zero, scale: -1 });
      addForward(g, { x: t["dY"]!, z: zero, y: t["dX"]! });
      streamHeadBackward(g, {
        ...head(t, gates),
        dWeights,
        dNormed: t["dNormed"]!,
        dX: t["dX"]!,
        dU: t["dU"]!,
        dAlpha: t["dAlpha"]!,
        dBias: t["dBias"]!,
      });
    },
    gradAtol: T > 100 ? 1e-3 : 5e-5, // Sums over tokens and logits in f32.
    probes: T > 100 ? 2 : 10,
  });
  type Given = Parameters<typeof streamHeadForward>[1];
  function head(
    t: Readonly<Record<string, Given["x"]>>,
    gates: Given["x"],
  ): Omit<Given, "weights" | "normed"> {
    return { mixing, x: t["x"]!, u: t["u"]!, alpha: t["alpha"]!, bias: t["bias"]!, gates };
  }
}

describe("streamHead", () => {
  for (const shape of shapes) {
    const [T, S, O, C] = shape;
    test(`matches its twin and its differences on ${T} tokens, ${S} streams of ${C}, blocks of ${O}`, () =>
      check(shape, "f32"));
  }

  test("takes streams and branch in half precision", () => check([37, 4, 2, 36], "f16"));
});
