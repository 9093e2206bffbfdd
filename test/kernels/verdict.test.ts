import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph } from "../../model/graph.ts";
import {
  firstVerdict,
  judgeGradients,
  scaleWeight,
  VERDICT_SIZE,
} from "../../model/kernels/verdict.ts";
import { Random } from "../../model/random.ts";
import { testGpu } from "../support/gpu.ts";

const devices = async (): Promise<Device[]> => {
  const gpu = await testGpu();
  return [await createCpuDevice({ threads: 0 }), ...(gpu === undefined ? [] : [gpu])];
};

interface Step {
  /** What stands in one gradient entry of this step. */
  readonly entry: number;
  readonly at?: number;
}

/** The verdict after each step, read back as numbers. */
async function verdicts(
  device: Device,
  o: { size: number; scale: number; patience: number; steps: readonly Step[] },
): Promise<number[][]> {
  const grad = device.tensor("grad", [o.size]);
  const verdict = device.tensor("verdict", [VERDICT_SIZE]);
  const random = new Random(3);
  const values = Float32Array.from({ length: o.size }, () => 1e30 * random.normal());
  device.write(verdict, firstVerdict(o.scale));
  const g = new Graph();
  judgeGradients(g, { grad, verdict, patience: o.patience });
  const program = await device.compile(g, "verdict");
  const out: number[][] = [];
  for (const { entry, at = 0 } of o.steps) {
    device.write(grad, values);
    device.write(grad, [entry], at);
    await program.run();
    out.push(Array.from(await device.read(verdict)));
  }
  program.dispose();
  for (const t of [grad, verdict]) device.free(t);
  return out;
}

describe("judgeGradients", () => {
  test("sees a fault wherever it is, and none in finite numbers of any size", async () => {
    for (const device of await devices())
      for (const size of [4, 1028, 150_000])
        for (const at of [0, size >> 1, size - 1]) {
          const entries = [0, NaN, 3.4e38, Infinity, -1e-45, -Infinity, -3.4e38];
          const got = await verdicts(device, {
            size,
            scale: 1,
            patience: 1000,
            steps: entries.map((entry) => ({ entry, at })),
          });
          expect(
            got.map((v) => v[0]),
            `${device.name}, entry ${at} of ${size}`,
          ).toEqual(entries.map((e) => (Number.isFinite(e) ? 1 : 0)));
        }
  });

  test("halves the scale on a fault, never below one, and doubles it back after good steps", async () => {
    const steps = [NaN, Infinity, NaN, NaN, 0, 0, 0, NaN, 0, 0, 0, 0, 0, 0, 0, 0, 0].map(
      (entry) => ({ entry }),
    );
    for (const device of await devices()) {
      const got = await verdicts(device, { size: 8, scale: 8, patience: 2, steps });
      expect(got.map((v) => v[2])).toEqual([4, 2, 1, 1, 1, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8, 8, 8]);
      // What unscales a step's gradients is what that step's loss was scaled by.
      expect(got.map((v) => v[1])).toEqual(
        [8, ...got.slice(0, -1).map((v) => v[2]!)].map((scale) => 1 / scale),
      );
      expect(got.at(-1)![4]).toBe(5);
    }
  });

  test("refuses a scale that would change bits", () => {
    for (const scale of [0, 3, 0.5, NaN]) expect(() => firstVerdict(scale)).toThrow(/power of two/);
  });
});

describe("scaleWeight", () => {
  test("multiplies the weight by the scale of the step to come", async () => {
    for (const device of await devices()) {
      const [weight, out] = ["w", "o"].map((name) => device.tensor(name, [1]));
      const verdict = device.tensor("verdict", [VERDICT_SIZE]);
      device.write(weight!, [0.375]);
      device.write(verdict, firstVerdict(64));
      const g = new Graph();
      scaleWeight(g, { weight: weight!, verdict, out: out! });
      await (await device.compile(g, "scale")).run();
      expect(Array.from(await device.read(out!))).toEqual([24]);
    }
  });
});
