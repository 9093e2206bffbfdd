/** Training a tiny network with every kind of mixing between its streams. */
import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { MIXINGS } from "../../model/cpu/mixing.ts";
import type { Device } from "../../model/device.ts";
import { mixingLogits } from "../../model/kernels/mixing.ts";
import { Random } from "../../model/random.ts";
import { Trainer } from "../../model/trainer.ts";
import { tinyConfig, tinySampler, tinySpectrum } from "../support/tinyModel.ts";

/** float32 against float64 over the updates here, in bits per byte. */
const CURVE_TOLERANCE = 0.02;

const reference = (): Promise<Device> => createCpuDevice({ threads: 0, precision: "f64" });

describe("streams in a network", () => {
  for (const [kind, streams] of MIXINGS.flatMap((k) => [[k, 4] as const, [k, 2] as const])) {
    const config = tinyConfig({ residual: kind, streams });
    const made = (device: Device): Promise<Trainer> =>
      Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3 });

    test(`learn in f32 as in f64 with ${kind} mixing of ${streams}`, async () => {
      const sampler = tinySampler(config);
      const curves: number[][] = [];
      for (const device of [await reference(), await createCpuDevice({ threads: 0 })]) {
        const trainer = await made(device);
        const losses: number[] = [];
        for (let step = 0; step < 8; step++) {
          await trainer.step({ step, factor: 1, windows: sampler.step(step) });
          losses.push(await trainer.loss());
        }
        curves.push(losses);
        trainer.dispose();
      }
      const [exact, rounded] = curves as [number[], number[]];
      expect(exact[0]).toBeCloseTo(Math.log2(272), 1);
      expect(exact[7]).toBeLessThan(exact[0]! - 0.4);
      exact.forEach((loss, i) =>
        expect(Math.abs(rounded[i]! - loss), `step ${i}`).toBeLessThan(CURVE_TOLERANCE),
      );
    });

    test(`have the mixing gradient of differences with ${kind} mixing of ${streams}`, async () => {
      const device = await reference();
      const trainer = await made(device);
      const windows = tinySampler(config).step(0);
      for (let step = 0; step < 6; step++) await trainer.step({ step, factor: 1, windows });
      // The first sublayer's streams are still equal, so that its mixing cannot matter.
      const name = "trunk.1.attentionResidual.bias";
      const values = Float64Array.from(await device.read(trainer.params.get(name)!));
      // Off the start, where next to nothing depends on the mixing.
      const random = new Random(2);
      for (let i = 2 * streams; i < values.length; i++) values[i] = random.normal();
      const lossAt = async (moved: Float64Array): Promise<number> => {
        device.write(trainer.params.get(name)!, moved);
        await trainer.step({ step: 6, factor: 0, windows });
        return trainer.loss();
      };
      await lossAt(values);
      const gradient = Float64Array.from(await device.read(trainer.gradients.get(name)!));
      const K = mixingLogits({ kind, S: streams, O: config.mixingBlock });
      expect(gradient.length).toBe(2 * streams + K);
      let largest = 2 * streams;
      for (let i = largest; i < gradient.length; i++)
        if (Math.abs(gradient[i]!) > Math.abs(gradient[largest]!)) largest = i;
      expect(Math.abs(gradient[largest]!)).toBeGreaterThan(1e-7);
      const h = 1e-3;
      const at = (step: number): Promise<number> =>
        lossAt(values.map((v, i) => (i === largest ? v + step : v)));
      // The loss is in bits, gradients are of nats.
      const numeric = (((await at(h)) - (await at(-h))) / (2 * h)) * Math.LN2;
      expect(
        Math.abs(numeric - gradient[largest]!) / Math.abs(numeric),
        `${gradient[largest]} against ${numeric}`,
      ).toBeLessThan(1e-3);
      trainer.dispose();
    });
  }
});
