/** What the tests of all mixing kinds share: matrices on a device, how far their sums are off, drawn parameters. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph } from "../../model/graph.ts";
import {
  mixingBackward,
  mixingForward,
  mixingLogits,
  type MixingKind,
} from "../../model/kernels/mixing.ts";
import { Random } from "../../model/random.ts";
import { checkOp } from "./checkOp.ts";
import { testGpu } from "./gpu.ts";

/** mix [T, S, S] of a [T, K], made by a device. */
async function mixOn(device: Device, kind: MixingKind, values: Float64Array) {
  const { S } = kind;
  const K = mixingLogits(kind);
  const T = values.length / K;
  const a = device.tensor("a", [T, K]);
  const mix = device.tensor("mix", [T, S, S]);
  device.write(a, values);
  const g = new Graph();
  mixingForward(g, { ...kind, a, mix });
  const program = await device.compile(g, "mixing");
  await program.run();
  const made = Float64Array.from(await device.read(mix));
  program.dispose();
  device.free(a);
  device.free(mix);
  return made;
}

/** Largest distance of a row and of a column sum from 1, and the smallest entry, of matrices [T, S, S]. */
export function worstSums(
  mix: Float64Array,
  S: number,
): { rows: number; columns: number; least: number } {
  let rows = 0;
  let columns = 0;
  for (let at = 0; at < mix.length; at += S * S)
    for (let i = 0; i < S; i++) {
      let row = 0;
      let column = 0;
      for (let j = 0; j < S; j++) {
        row += mix[at + i * S + j]!;
        column += mix[at + j * S + i]!;
      }
      rows = Math.max(rows, Math.abs(row - 1));
      columns = Math.max(columns, Math.abs(column - 1));
    }
  return { rows, columns, least: Math.min(...mix) };
}

/** Logits of sizes from nothing to `largest`. */
const parameters = (count: number, largest: number): fc.Arbitrary<Float64Array> =>
  fc
    .record({
      size: fc.constantFrom(0, 1e-3, 0.05, 1, largest),
      units: fc.array(fc.float({ min: -1, max: 1, noNaN: true }), {
        minLength: count,
        maxLength: count,
      }),
    })
    .map(({ size, units }) => Float64Array.from(units, (u) => Math.fround(size * u)));

export interface MixingChecks {
  readonly kind: MixingKind["kind"];
  /** S, O, tokens. */
  readonly shapes: readonly (readonly [number, number, number])[];
  /** Standard deviation of the logits of the comparison with differences. */
  readonly std: number;
  /** Logits up to ± this are looked at. */
  readonly largest: number;
  /** Distance of row and column sums from 1 in f32; columns are not looked at where it is missing. */
  readonly rows: number;
  readonly columns?: number;
  /** Entries in f32 against float64, and gradients of logits up to `largest`. */
  readonly atol: number;
  readonly farAtol?: number;
}

/** Declares the tests that every kind has to pass. */
export function describeMixing(o: MixingChecks): void {
  const named = o.shapes.map(([S, O, T]) => ({
    kind: { kind: o.kind, S, O },
    T,
    name: o.kind === "goMhc" ? `${S} streams with blocks of ${O}` : `${S} streams`,
  }));
  describe(`${o.kind} mixing`, () => {
    for (const { kind, T, name } of named)
      test(`matches its twin and its differences for ${name}`, () =>
        checkOp({
          inputs: { a: { shape: [T, mixingLogits(kind)], std: o.std } },
          outputs: { mix: [T, kind.S, kind.S] },
          forward: (g, t) => mixingForward(g, { ...kind, a: t["a"]!, mix: t["mix"]! }),
          backward: (g, t) =>
            mixingBackward(g, { ...kind, a: t["a"]!, dMix: t["dMix"]!, dA: t["dA"]! }),
          atol: o.atol,
          gradAtol: 1e-5,
          probes: 12,
        }));

    const { kind: wide } = named.find(({ kind }) => kind.S === 4)!;
    test(`stays within rounding of float64 for logits up to ${o.largest}`, async () => {
      const T = 500;
      const K = mixingLogits(wide);
      const random = new Random(3);
      const values = Float64Array.from({ length: K * T }, () =>
        Math.fround(o.largest * (2 * random.uniform() - 1)),
      );
      await checkOp({
        inputs: {
          a: { shape: [T, K], values, constant: true },
          dMix: { shape: [T, 4, 4], constant: true },
        },
        outputs: { mix: [T, 4, 4], gradient: [T, K] },
        forward: (g, t) => {
          mixingForward(g, { ...wide, a: t["a"]!, mix: t["mix"]! });
          mixingBackward(g, { ...wide, a: t["a"]!, dMix: t["dMix"]!, dA: t["gradient"]! });
        },
        atol: o.farAtol ?? o.atol,
      });
    });

    for (const { kind, name } of named)
      test(`sums to one on every device for ${name}`, async () => {
        const K = mixingLogits(kind);
        const devices: Device[] = [await createCpuDevice({ threads: 0 })];
        const gpu = await testGpu();
        if (gpu !== undefined) devices.push(gpu);
        for (const device of devices)
          await fc.assert(
            fc.asyncProperty(parameters(K * 16, o.largest), async (a) => {
              const { rows, columns, least } = worstSums(await mixOn(device, kind, a), kind.S);
              expect(rows).toBeLessThanOrEqual(o.rows);
              if (o.columns !== undefined) expect(columns).toBeLessThanOrEqual(o.columns);
              expect(least).toBeGreaterThanOrEqual(0);
            }),
            { numRuns: 15, seed: 11 },
          );
      });
  });
}
