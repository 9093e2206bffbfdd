/** The arms that the comparison of parts trains: each by itself, on a model that is small enough. */
import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { EngramIndex } from "../../model/engramIndex.ts";
import { trainBpe } from "../../model/bpe.ts";
import { batchAt } from "../../model/schedule.ts";
import { Trainer } from "../../model/trainer.ts";
import { ARMS } from "../bench/partsArms.ts";
import { tinyConfig, tinyFiles, tinySampler, tinySpectrum } from "../support/tinyModel.ts";

const STEPS = 24;
/** Arms of other sizes are not about what the network computes. */
const arms = ARMS.filter((arm) => arm.set?.trunkChannels === undefined);

describe("arms of the comparison of parts", () => {
  test("have names of their own", () => {
    expect(new Set(ARMS.map((arm) => arm.name)).size).toBe(ARMS.length);
  });

  test.each(arms.map((arm) => [arm.name, arm] as const))("learn: %s", async (_, arm) => {
    const device = await createCpuDevice({ threads: 0 });
    const batch = 2;
    const ramp = arm.rampFrom === undefined ? {} : { batchStart: batch / 2 };
    const tokens = arm.set?.patching === "bpe" ? { bpeTokens: trainBpe(tinyFiles, 280) } : {};
    const config = tinyConfig({
      batch,
      ...ramp,
      trunkChannels: 32,
      energyChannels: 16,
      engramRows: 64,
      warmupSteps: 4,
      ...tokens,
      ...arm.set,
      ...(arm.set?.attention === "published" ? { bands: 1 } : {}),
    });
    const trainer = await Trainer.create({
      device,
      config,
      spectrum: tinySpectrum(),
      seed: 3,
      engram: config.engram === "on" ? EngramIndex.build(tinyFiles, config) : undefined,
    });
    const sampler = tinySampler(config);
    const losses: number[] = [];
    for (let step = 0; step < STEPS; step++) {
      const windows = sampler.step(0, { batch: batchAt(step / STEPS, config), before: 0 });
      await trainer.step({ step, factor: 1, windows });
      losses.push(await trainer.loss());
    }
    expect(losses.every(Number.isFinite)).toBe(true);
    expect(losses.at(-1)).toBeLessThan(0.8 * losses[0]!);
    trainer.dispose();
  });
});
