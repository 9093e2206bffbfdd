import { describe, test } from "vitest";
import { Graph, type Tensor } from "../../model/graph.ts";
import { addForward } from "../../model/kernels/add.ts";
import { matmul } from "../../model/kernels/matmul.ts";
import { MIXINGS } from "../../model/cpu/mixing.ts";
import { mixingLogits } from "../../model/kernels/mixing.ts";
import { streamGradient, streamGradientOp, termsOf } from "../../model/kernels/streamGradient.ts";
import {
  headSumsShape,
  streamHeadBackward,
  streamHeadForward,
} from "../../model/kernels/streamHead.ts";
import { streamWriteBackward, streamWriteForward } from "../../model/kernels/streamWrite.ts";
import { onHeldMatrices } from "../support/heldMatrices.ts";
import { checkOp, type OpCase, type Tensors } from "../support/checkOp.ts";

/** Tokens, streams, block size, channels. */
const shapes = [
  [1, 1, 2, 4],
  [5, 4, 2, 132],
  [3, 8, 1, 260],
  [2, 4, 3, 1028],
  [517, 4, 2, 16],
] as const;

/** A sublayer's whole residual: phi, the head, the write, and their gradients. In halves u is given, not x·phi: matrix
 *  units would round phi. */
function chain(
  [T, S, O, C]: readonly [number, number, number, number],
  dtype: "f32" | "f16",
  kind: (typeof MIXINGS)[number] = "goMhc",
): OpCase {
  const mixing = { kind, S, O };
  const M = 2 * S + mixingLogits(mixing);
  const product = { m: T, k: S * C, n: M };
  const forward = (
    g: Graph,
    t: Tensors,
    normed: Tensor,
  ): Record<"u" | "gates" | "weights", Tensor> => {
    const u = t["u"] ?? g.temp("u", [T, M]);
    if (t["u"] === undefined) matmul(g, { a: t["x"]!, b: t["phi"]!, out: u, ...product });
    const weights = g.temp("weights", [T, S, S + 1]);
    const gates = g.temp("gates", [T, S + 1]);
    streamHeadForward(g, { ...head(t, u, gates), weights, normed });
    return { u, gates, weights };
  };
  const head = (t: Tensors, u: Tensor, gates: Tensor) =>
    ({ mixing, x: t["x"]!, u, alpha: t["alpha"]!, bias: t["bias"]!, gates }) as const;
  return {
    inputs: {
      x: { shape: [T, S, C], dtype, mean: 0.2 },
      alpha: { shape: [3], std: 0.3, mean: 0.5 },
      bias: { shape: [M], std: 0.5 },
      f: { shape: [T, C], dtype },
      ...(dtype === "f16"
        ? {
            u: { shape: [T, M], std: 0.7 },
            phi: { shape: [S * C, M], std: 0, constant: true },
          }
        : { phi: { shape: [S * C, M], std: 0.7 / Math.sqrt(S * C) } }),
    },
    outputs: { normed: [T, C], y: [T, S, C] },
    halves: dtype === "f16" ? ["normed", "dNormed", "y", "dY", "dX", "dF"] : [],
    forward: (g, t) => {
      const { weights } = forward(g, t, t["normed"]!);
      streamWriteForward(g, { x: t["x"]!, weights, f: t["f"]!, y: t["y"]! });
    },
    backward: (g, t) => {
      const { u, gates, weights } = forward(g, t, g.temp("normed", [T, C]));
      const dWeights = g.temp("dWeights", [T, S, S + 1]);
      streamWriteBackward(g, {
        x: t["x"]!,
        weights,
        f: t["f"]!,
        dY: t["dY"]!,
        dWeights,
        dF: t["dF"]!,
      });
      const dU = t["dU"] ?? g.temp("dU", [T, M]);
      const terms = g.temp("terms", [T, termsOf(S)]);
      const sums = g.temp("sums", headSumsShape(mixing, T, C));
      streamHeadBackward(g, {
        ...head(t, u, gates),
        dWeights,
        dNormed: t["dNormed"]!,
        dU,
        terms,
        sums,
      });
      // dX holds dY at first.
      const zero = g.temp("zero", [T, S, C], dtype);
      addForward(g, { x: t["dY"]!, z: t["dY"]!, y: zero, scale: -1 });
      addForward(g, { x: t["dY"]!, z: zero, y: t["dX"]! });
      const phi = t["phi"]!;
      streamGradient(g, {
        ...{ x: t["x"]!, dNormed: t["dNormed"]!, terms, dU, phi, dX: t["dX"]!, sums },
        dAlpha: t["dAlpha"]!,
        dBias: t["dBias"]!,
      });
      const dPhi = t["dPhi"];
      if (dPhi !== undefined)
        matmul(g, { a: t["x"]!, b: dU, out: dPhi, m: S * C, k: T, n: M, transposeA: 1 });
    },
    gradAtol: T > 100 ? 1e-3 : 2e-4, // Sums over channels and tokens in f32.
    probes: T > 100 ? 2 : 10,
  };
}

describe("streamHead", () => {
  for (const shape of shapes) {
    const [T, S, O, C] = shape;
    test(`matches its twin and its differences on ${T} tokens, ${S} streams of ${C}, blocks of ${O}`, () =>
      checkOp(chain(shape, "f32")));
  }

  for (const kind of MIXINGS.filter((k) => k !== "goMhc"))
    test(`matches its twin and its differences with ${kind} mixing`, () =>
      checkOp(chain([5, 4, 1, 36], "f32", kind)));

  test("takes streams and branch in half precision", () => checkOp(chain([37, 4, 2, 36], "f16")));
});

/** Sums of the heads, more than a thread asks for at a time. */
const groups = 300;

/** Tokens, streams, channels, and columns of phi; with the kernel of matrix units, emulated where there are none. */
const gradientShapes = [
  [150, 4, 68, 36, false],
  [37, 2, 64, 13, true],
] as const;

describe("streamGradient", () => {
  for (const [T, S, C, M, matrices] of gradientShapes)
    test(`takes streams and branch in half precision, ${S} of ${C}${matrices ? ", on matrix units" : ""}`, async () => {
      const op = matrices ? onHeldMatrices(streamGradientOp) : streamGradientOp;
      await checkOp({
        inputs: {
          x: { shape: [T, S, C], dtype: "f16", constant: true },
          gradient: { shape: [T, S, C], dtype: "f16", constant: true },
          dNormed: { shape: [T, C], dtype: "f16", constant: true },
          terms: { shape: [T, termsOf(S)], constant: true },
          dU: { shape: [T, M], constant: true },
          phi: { shape: [S * C, M], constant: true },
          sums: { shape: [groups, M + 3], constant: true },
        },
        outputs: { made: [T, S, C], dBias: [M], dAlpha: [3] },
        halves: ["made"],
        forward: (g, t) => {
          const zero = g.temp("zero", [T, S, C], "f16");
          addForward(g, { x: t["gradient"]!, z: t["gradient"]!, y: zero, scale: -1 });
          addForward(g, { x: t["gradient"]!, z: zero, y: t["made"]! });
          const recorded = new Graph();
          streamGradient(recorded, {
            x: t["x"]!,
            dNormed: t["dNormed"]!,
            terms: t["terms"]!,
            dU: t["dU"]!,
            phi: t["phi"]!,
            dX: t["made"]!,
            sums: t["sums"]!,
            dBias: t["dBias"]!,
            dAlpha: t["dAlpha"]!,
          });
          for (const node of recorded.nodes) g.add(op, node.tensors, node.params);
        },
        atol: 1e-4, // Sums of some fifty products.
      });
    });
});
