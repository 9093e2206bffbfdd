/** The recorded training step as a whole: against float64, against differences, against itself. */
import { beforeAll, describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { maxPatches, type ModelConfig } from "../../model/config.ts";
import type { Device } from "../../model/device.ts";
import { patchWindow } from "../../model/patches.ts";
import { Trainer } from "../../model/trainer.ts";
import { testGpu } from "../support/gpu.ts";
import { tinyConfig, tinySampler, tinySpectrum } from "../support/tinyModel.ts";

/** float32 against float64 over ten updates: rounding grows with Muon's normalization of small gradients. */
const CURVE_TOLERANCE = 0.02;

/** The same in halves, whose rounding is 2^-11 of every activation. */
const HALF_TOLERANCE = 0.06;

let gpu: Device | undefined;
beforeAll(async () => {
  gpu = await testGpu();
});

async function curve(
  device: Device,
  config: ModelConfig,
  steps: number,
  patches?: number,
): Promise<number[]> {
  const spectrum = tinySpectrum();
  const trainer = await Trainer.create({ device, config, spectrum, patches, seed: 3 });
  const sampler = tinySampler(config);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    await trainer.step({ step, factor: 1, windows: sampler.step(step) });
    losses.push(await trainer.loss());
  }
  expect((await trainer.optimizer.lossScaling()).overflows).toBe(0);
  trainer.dispose();
  return losses;
}

/** 65 positions in the trunk. */
const GRID: Partial<ModelConfig> = {
  attention: "grid",
  trunkChannels: 32,
  context: 128,
  patching: "stride",
  stride: 2,
};
const variants: readonly [string, Partial<ModelConfig>][] = [
  ["topological attention, go-mHC, rule patches", {}],
  [
    "dot-product attention, plain residual, fixed stride",
    { attention: "dot", residual: "plain", patching: "stride" },
  ],
  [
    "published taumode, flat bytes",
    { attention: "published", bands: 1, energyChannels: 8, patching: "flat" },
  ],
  ["more bands in the trunk than locally", { bands: 4, localBands: 2 }],
  ["grid attention, a chunk and one row", GRID],
];

describe("training step", () => {
  test("learns the same with no more rows in the trunk than its windows fill", async () => {
    const config = tinyConfig();
    const sampler = tinySampler(config);
    const windows = Array.from({ length: 4 }, (_, step) => sampler.step(step)).flat();
    const bound = maxPatches(config, config.context);
    const most = Math.max(...windows.map((w) => patchWindow(config, w.symbols, bound).count));
    expect(most).toBeLessThan(bound - 4);
    const device = await createCpuDevice({ threads: 0, precision: "f64" });
    const all = await curve(device, config, 4);
    const filled = await curve(device, config, 4, most);
    filled.forEach((loss, i) => expect(loss).toBeCloseTo(all[i]!, 9));
    const fewer = await curve(device, config, 4, most - 6);
    expect(fewer).not.toEqual(all);
    for (const loss of fewer) expect(loss).toBeLessThan(12);
  });

  for (const [name, overrides] of variants)
    test(`follows the float64 loss curve for ten steps: ${name}`, async () => {
      const config = tinyConfig(overrides);
      const reference = await curve(
        await createCpuDevice({ threads: 0, precision: "f64" }),
        config,
        10,
      );
      expect(reference[0]).toBeCloseTo(Math.log2(272), 1);
      expect(reference[9]).toBeLessThan(reference[0]! - 0.5);
      // The controls run on the CPU only: compiling a network takes a software GPU a minute.
      const withGpu = gpu !== undefined && Object.keys(overrides).length === 0;
      const devices: Device[] = [await createCpuDevice({ threads: 0 }), ...(withGpu ? [gpu!] : [])];
      for (const device of devices) {
        const got = await curve(device, config, 10);
        got.forEach((loss, i) =>
          expect(Math.abs(loss - reference[i]!), `${device.name}, step ${i}`).toBeLessThan(
            CURVE_TOLERANCE,
          ),
        );
      }
    });

  test("follows it in halves too, with a scaled loss and no step skipped", async () => {
    if (gpu === undefined) return;
    const config = tinyConfig({ precision: "f16" });
    const reference = await curve(
      await createCpuDevice({ threads: 0, precision: "f64" }),
      config,
      10,
    );
    const got = await curve(gpu, config, 10);
    got.forEach((loss, i) =>
      expect(Math.abs(loss - reference[i]!), `step ${i}: ${loss}`).toBeLessThan(HALF_TOLERANCE),
    );
  });

  for (const [name, overrides] of [...variants, ["dropped branches", { dropout: 0.2 }] as const])
    test(`has the gradient that central differences give: ${name}`, async () => {
      const config = tinyConfig({ ...overrides, context: 64, batch: 1 });
      const device = await createCpuDevice({ threads: 0, precision: "f64" });
      const trainer = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3 });
      const sampler = tinySampler(config);
      const windows = sampler.step(0);
      // Move off the start, where zero-initialized outputs hide most gradients.
      for (let step = 0; step < 6; step++) await trainer.step({ step, factor: 1, windows });
      const values = new Map<string, Float64Array>();
      for (const [n, t] of trainer.params) values.set(n, Float64Array.from(await device.read(t)));
      const lossAt = async (): Promise<number> => {
        await trainer.step({ step: 6, factor: 0, windows });
        return trainer.loss();
      };
      const reset = (): void => {
        for (const [n, t] of trainer.params) device.write(t, values.get(n)!);
      };
      await lossAt();
      const gradients = new Map<string, Float64Array>();
      for (const [n, t] of trainer.gradients)
        gradients.set(n, Float64Array.from(await device.read(t)));
      const h = 1e-5;
      for (const [n, gradient] of gradients) {
        // The entry with the largest gradient says most, and one other guards against a lucky one.
        let largest = 0;
        gradient.forEach((x, i) => {
          if (Math.abs(x) > Math.abs(gradient[largest]!)) largest = i;
        });
        for (const i of new Set([largest, Math.floor(gradient.length / 2)])) {
          const at = async (delta: number): Promise<number> => {
            reset();
            const moved = Float64Array.from(values.get(n)!);
            moved[i]! += delta;
            device.write(trainer.params.get(n)!, moved);
            return lossAt();
          };
          // The loss is in bits, gradients are of nats.
          const numeric = (((await at(h)) - (await at(-h))) / (2 * h)) * Math.LN2;
          expect(
            Math.abs(numeric - gradient[i]!),
            `${n}[${i}]: ${gradient[i]} against ${numeric}`,
          ).toBeLessThan(1e-6 + 1e-4 * Math.abs(numeric));
        }
      }
    });

  for (const overrides of [{} as Partial<ModelConfig>, GRID])
    test(`reaches every parameter: none keeps a zero gradient: ${overrides.attention ?? "tau"}`, async () => {
      const config = tinyConfig(overrides);
      const device = await createCpuDevice({ threads: 0 });
      const trainer = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3 });
      const sampler = tinySampler(config);
      for (let step = 0; step < 4; step++)
        await trainer.step({ step, factor: 1, windows: sampler.step(step) });
      for (const [name, t] of trainer.gradients) {
        const g = await device.read(t);
        // With equal streams the first mixing cannot matter (go-mhc.md §2.3); its reads and writes can.
        expect(
          g.some((x) => x !== 0),
          `gradient of ${name}`,
        ).toBe(true);
      }
    });

  test("overfits one batch", async () => {
    const config = tinyConfig({ batch: 1, fimRate: 0, localChannels: 32, trunkChannels: 48 });
    const device = await createCpuDevice({ threads: 0 });
    const trainer = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3 });
    const windows = tinySampler(config).step(0);
    for (let step = 0; step < 150; step++) await trainer.step({ step, factor: 1, windows });
    expect(await trainer.loss()).toBeLessThan(0.1);
  });

  test("gives bitwise equal weights when run twice on one device", async () => {
    for (const device of [
      await createCpuDevice({ threads: 0 }),
      ...(gpu === undefined ? [] : [gpu]),
    ]) {
      const weights: Float32Array[] = [];
      for (let run = 0; run < 2; run++) {
        const config = tinyConfig();
        const trainer = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3 });
        const sampler = tinySampler(config);
        for (let step = 0; step < 3; step++)
          await trainer.step({ step, factor: 1, windows: sampler.step(step) });
        weights.push((await trainer.averaged()).get("decoder.0.feedForward.up")!.data);
        trainer.dispose();
      }
      expect(weights[0]).toEqual(weights[1]);
    }
  });

  test("of a smaller batch moves the same parameters as a run of that batch", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const ramp = tinyConfig({ batch: 4, batchStart: 1 });
    const weights = async (config: ModelConfig, batches: readonly number[]) => {
      const trainer = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3 });
      const sampler = tinySampler(config);
      let before = 0;
      for (const [step, batch] of batches.entries()) {
        await trainer.step({ step, factor: 1, windows: sampler.step(step, { batch, before }) });
        before += batch * config.context;
      }
      return trainer.averaged();
    };
    for (const batch of [1, 2, 4]) {
      const alone = await weights(tinyConfig({ batch }), [batch, batch]);
      const ramped = await weights(ramp, [batch, batch]);
      for (const [name, { data }] of alone) expect(ramped.get(name)!.data, name).toEqual(data);
    }
  });

  test("gives the uninterrupted run's weights after a resume", async () => {
    const config = tinyConfig();
    const device = await createCpuDevice({ threads: 0 });
    const make = (): Promise<Trainer> =>
      Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3 });
    const sampler = tinySampler(config);
    const whole = await make();
    for (let step = 0; step < 6; step++)
      await whole.step({ step, factor: 1, windows: sampler.step(step) });
    const first = await make();
    for (let step = 0; step < 3; step++)
      await first.step({ step, factor: 1, windows: sampler.step(step) });
    const second = await make();
    second.restore(await first.averaged(), await first.state());
    for (let step = 3; step < 6; step++)
      await second.step({ step, factor: 1, windows: sampler.step(step) });
    expect(await second.averaged()).toEqual(await whole.averaged());
  });
});
