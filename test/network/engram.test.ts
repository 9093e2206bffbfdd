/** The n-gram memory inside the whole network: gradients, decoding, causality. */
import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { headerSymbols } from "../../model/bytes.ts";
import type { ModelConfig } from "../../model/config.ts";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Decoder } from "../../model/decoder.ts";
import type { Device } from "../../model/device.ts";
import { EngramIndex } from "../../model/engramIndex.ts";
import { N_FACT_CHANNELS } from "../../model/facts/channels.ts";
import { Scorer } from "../../model/scorer.ts";
import { Trainer } from "../../model/trainer.ts";
import { tinyConfig, tinyFiles, tinySampler, tinySpectrum } from "../support/tinyModel.ts";

const engramConfig = (overrides: Partial<ModelConfig> = {}): ModelConfig =>
  tinyConfig({
    engram: "on",
    engramRows: 64,
    engramChannels: 8,
    engramLongest: 5,
    engramFiles: 2,
    engramDepths: "input+trunk+decoder",
    ...overrides,
  });

async function trainer(device: Device, config: ModelConfig, steps: number): Promise<Trainer> {
  const engram = EngramIndex.build(tinyFiles, config);
  expect(engram.owned.some((n) => n > 0)).toBe(true);
  const t = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3, engram });
  const sampler = tinySampler(config);
  for (let step = 0; step < steps; step++)
    await t.step({ step, factor: 1, windows: sampler.step(step) });
  return t;
}

describe("n-gram memory in the network", () => {
  for (const depths of ["trunk+decoder", "input+trunk+decoder", "decoder"])
    test(`has the gradient that central differences give: ${depths}`, async () => {
      // Without dropout every step sees the same rows.
      const config = engramConfig({ batch: 1, engramDropout: 0, engramDepths: depths });
      const device = await createCpuDevice({ threads: 0, precision: "f64" });
      const t = await trainer(device, config, 8);
      const windows = tinySampler(config).step(0);
      const values = new Map<string, Float64Array>();
      for (const [n, p] of t.params) values.set(n, Float64Array.from(await device.read(p)));
      const reset = (): void => {
        for (const [n, p] of t.params) device.write(p, values.get(n)!);
      };
      const lossAt = async (): Promise<number> => {
        await t.step({ step: 8, factor: 0, windows });
        return t.loss();
      };
      const numeric = async (n: string, i: number): Promise<number> => {
        const at = async (delta: number): Promise<number> => {
          reset();
          const moved = Float64Array.from(values.get(n)!);
          moved[i]! += delta;
          device.write(t.params.get(n)!, moved);
          return lossAt();
        };
        const h = 1e-5;
        return (((await at(h)) - (await at(-h))) / (2 * h)) * Math.LN2;
      };
      const close = (what: string, got: number, want: number): void =>
        expect(Math.abs(got - want), `${what}: ${got} against ${want}`).toBeLessThan(
          1e-6 + 1e-4 * Math.abs(want),
        );
      reset();
      await lossAt();
      for (const [n, p] of t.gradients) {
        if (!n.startsWith("engram") && n !== "embed" && n !== "pool") continue;
        const gradient = Float64Array.from(await device.read(p));
        let largest = 0;
        gradient.forEach((x, i) => {
          if (Math.abs(x) > Math.abs(gradient[largest]!)) largest = i;
        });
        expect(gradient[largest], n).not.toBe(0);
        for (const i of [largest, Math.floor(gradient.length / 2)])
          close(`${n}[${i}]`, gradient[i]!, await numeric(n, i));
      }
      // Rows have no gradient of their own size; the first moment of a fresh update holds it.
      const m = t.optimizer.state.get("engram.rows.m")!;
      reset();
      device.write(m, new Float64Array(m.size));
      await lossAt();
      const moment = Float64Array.from(await device.read(m));
      const touched = [...moment.keys()].filter((i) => moment[i] !== 0);
      expect(touched.length).toBeGreaterThan(50);
      const largest = touched.reduce((a, b) =>
        Math.abs(moment[b]!) > Math.abs(moment[a]!) ? b : a,
      );
      for (const i of [largest, touched[0]!, touched[touched.length >> 1]!, touched.at(-1)!])
        close(`engram.rows[${i}]`, moment[i]! / 0.1, await numeric("engram.rows", i));
      const untouched = moment.findIndex((x) => x === 0);
      expect(await numeric("engram.rows", untouched)).toBe(0);
    });

  test("is nothing at first, and helps to overfit one batch", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const losses: number[][] = [];
    for (const engram of ["off", "on"] as const) {
      const config = engramConfig({ engram, engramDropout: 0, batch: 1, fimRate: 0 });
      const t = await trainer(device, config, 0);
      const windows = tinySampler(config).step(0);
      const curve: number[] = [];
      for (let step = 0; step < 40; step++) {
        await t.step({ step, factor: 1, windows });
        curve.push(await t.loss());
      }
      losses.push(curve);
    }
    expect(losses[1]![0]).toBeCloseTo(losses[0]![0]!, 4);
    expect(losses[1]!.at(-1)!).toBeLessThan(losses[0]!.at(-1)!);
  });

  test("decodes what scoring gives, in whatever pieces, and never from later bytes", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const config = engramConfig({ context: 128 });
    const engram = EngramIndex.build(tinyFiles, config);
    const t = await trainer(device, config, 100);
    const scorer = await Scorer.create(device, config, t.params, engram);
    const distributions = async (path: string, bytes: Uint8Array): Promise<Float32Array> => {
      const out = new Float32Array(bytes.length * 256);
      await scorer.score({ path, bytes }, (at, p, offset) =>
        out.set(p.subarray(offset, offset + 256), at * 256),
      );
      return out;
    };
    const file = tinyFiles[0]!;
    const header = headerSymbols(file.path);
    const bytes = file.bytes.subarray(0, 128 - header.length - 1);
    const whole = await distributions(file.path, bytes);
    // The memory matters here: without rows the distributions are others.
    const rows = await device.read(t.params.get("engram.rows")!);
    expect(rows.some((x) => Math.abs(x) > 1e-3)).toBe(true);
    const decoder = await Decoder.create(device, config, t.params, engram);
    const symbols = [...header, ...bytes];
    const facts = new Uint16Array(symbols.length * N_FACT_CHANNELS);
    for (const [length, wanted] of [
      [header.length + 3, 1],
      [header.length + 4, 1],
      [header.length + 20, 16],
      [header.length + 12, 3],
      [symbols.length, decoder.draftRows],
      [header.length + 30, 1],
    ] as const) {
      const d = await decoder.extend(symbols.slice(0, length), facts, wanted);
      for (let r = length - wanted; r < length; r++) {
        const at = r + 1 - header.length;
        if (at < 0 || at >= bytes.length) continue;
        for (let byte = 0; byte < 256; byte++)
          expect(
            Math.abs(d.p[(r - d.from) * 256 + byte]! - whole[at * 256 + byte]!),
            `length ${length}, byte ${byte} after ${r}`,
          ).toBeLessThan(2e-5);
      }
    }
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: file.bytes.length - 1 }),
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        async (cut, tail) => {
          const original = await distributions("x.ts", file.bytes);
          const other = await distributions(
            "x.ts",
            new Uint8Array([...file.bytes.subarray(0, cut), ...tail]),
          );
          expect(other.subarray(0, (cut + 1) * 256)).toEqual(original.subarray(0, (cut + 1) * 256));
        },
      ),
      { numRuns: 8 },
    );
  });

  test("gives the uninterrupted run's weights after a resume", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const config = engramConfig();
    const sampler = tinySampler(config);
    const whole = await trainer(device, config, 6);
    const first = await trainer(device, config, 3);
    const second = await trainer(device, config, 0);
    second.restore(await first.averaged(), await first.state());
    for (let step = 3; step < 6; step++)
      await second.step({ step, factor: 1, windows: sampler.step(step) });
    expect(await second.averaged()).toEqual(await whole.averaged());
    expect(await second.state()).toEqual(await whole.state());
  });
});
