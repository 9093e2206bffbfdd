import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph } from "../../model/graph.ts";
import { mixingBackward, mixingForward, mixingLogits } from "../../model/kernels/mixing.ts";
import { Random } from "../../model/random.ts";
import { checkOp } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

/** S, O, tokens. */
const shapes = [
  [1, 2, 3],
  [2, 1, 5],
  [2, 3, 33],
  [3, 2, 9],
  [4, 1, 65],
  [4, 2, 70],
  [4, 3, 7],
] as const;

// Row and column sums in f32 after one Newton step.
const SUM_TOLERANCE = 1e-6;
// Entries and gradients against float64, |a| up to 10.
const VALUE_ATOL = 2e-6;

async function mixOn(
  device: Device,
  o: { S: number; O: number; a: Float64Array },
): Promise<Float64Array> {
  const kind = { kind: "goMhc", S: o.S, O: o.O } as const;
  const K = mixingLogits(kind);
  const T = o.a.length / K;
  const a = device.tensor("a", [T, K]);
  const mix = device.tensor("mix", [T, o.S, o.S]);
  device.write(a, o.a);
  const g = new Graph();
  mixingForward(g, { ...kind, a, mix });
  const program = await device.compile(g, "mixing");
  await program.run();
  const values = Float64Array.from(await device.read(mix));
  program.dispose();
  device.free(a);
  device.free(mix);
  return values;
}

/** Largest distance of a row or column sum from 1, and the smallest entry. */
function worstSums(mix: Float64Array, S: number): { off: number; least: number } {
  let off = 0;
  for (let at = 0; at < mix.length; at += S * S)
    for (let i = 0; i < S; i++) {
      let row = 0;
      let column = 0;
      for (let j = 0; j < S; j++) {
        row += mix[at + i * S + j]!;
        column += mix[at + j * S + i]!;
      }
      off = Math.max(off, Math.abs(row - 1), Math.abs(column - 1));
    }
  return { off, least: Math.min(...mix) };
}

const parameters = (count: number): fc.Arbitrary<Float64Array> =>
  fc
    .record({
      size: fc.constantFrom(0, 1e-3, 0.05, 1, 10),
      units: fc.array(fc.float({ min: -1, max: 1, noNaN: true }), {
        minLength: count,
        maxLength: count,
      }),
    })
    .map(({ size, units }) => Float64Array.from(units, (u) => Math.fround(size * u)));

describe("cayleyMixing", () => {
  for (const [S, O, T] of shapes)
    test(`matches its twin and its differences for ${S} streams with blocks of ${O}`, async () => {
      const kind = { kind: "goMhc", S, O } as const;
      await checkOp({
        inputs: { a: { shape: [T, mixingLogits(kind)], std: 0.4 } },
        outputs: { mix: [T, S, S] },
        forward: (g, t) => mixingForward(g, { ...kind, a: t["a"]!, mix: t["mix"]! }),
        backward: (g, t) =>
          mixingBackward(g, { ...kind, a: t["a"]!, dMix: t["dMix"]!, dA: t["dA"]! }),
        atol: VALUE_ATOL,
        gradAtol: 1e-5,
        probes: 12,
      });
    });

  test("stays within rounding of float64 for parameters up to 10", async () => {
    const random = new Random(3);
    const values = Float64Array.from({ length: 28 * 500 }, () =>
      Math.fround(20 * random.uniform() - 10),
    );
    await checkOp({
      inputs: {
        a: { shape: [500, 28], values, constant: true },
        dMix: { shape: [500, 4, 4], constant: true },
      },
      outputs: { mix: [500, 4, 4], gradient: [500, 28] },
      forward: (g, t) => {
        const kind = { kind: "goMhc", S: 4, O: 2, a: t["a"]! } as const;
        mixingForward(g, { ...kind, mix: t["mix"]! });
        mixingBackward(g, { ...kind, dMix: t["dMix"]!, dA: t["gradient"]! });
      },
      atol: VALUE_ATOL,
    });
  });

  for (const [S, O] of shapes)
    test(`is doubly stochastic on every device for ${S} streams with blocks of ${O}`, async () => {
      const K = mixingLogits({ kind: "goMhc", S, O });
      const devices: Device[] = [await createCpuDevice({ threads: 0 })];
      const gpu = await testGpu();
      if (gpu !== undefined) devices.push(gpu);
      for (const device of devices)
        await fc.assert(
          fc.asyncProperty(parameters(K * 16), async (a) => {
            const { off, least } = worstSums(await mixOn(device, { S, O, a }), S);
            expect(off).toBeLessThanOrEqual(SUM_TOLERANCE);
            expect(least).toBeGreaterThanOrEqual(0);
          }),
          { numRuns: 15, seed: 11 },
        );
    });
});
