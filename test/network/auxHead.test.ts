/** The auxiliary head: its targets, its gradient, and that only training knows of it. */
import { describe, expect, test } from "vitest";
import { AUX_CLASSES } from "../../model/auxHead.ts";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Decoder } from "../../model/decoder.ts";
import { FACT_CHANNELS, N_FACT_CHANNELS, TOKEN_TYPES } from "../../model/facts/channels.ts";
import { nextTokenClasses } from "../../model/facts/nextClass.ts";
import { Scorer } from "../../model/scorer.ts";
import { Trainer } from "../../model/trainer.ts";
import type { Window } from "../../model/windows.ts";
import { tinyConfig, tinyFiles, tinySampler, tinySpectrum } from "../support/tinyModel.ts";

const text = new TextEncoder();

describe("classes of next tokens", () => {
  const names = new Map<number, string>(
    Object.entries(TOKEN_TYPES).map(([name, id]) => [id, name]),
  );
  const show = (path: string, code: string): (string | undefined)[] =>
    [...nextTokenClasses(path, text.encode(code))].map((id) => names.get(id));

  test("name the token that holds the byte behind, or the next one", () => {
    // Each class stands under the byte before the token it names, and under the token's bytes but the last.
    const classes = show("a.ts", "const ab = 12; ");
    expect(classes.slice(0, 4)).toEqual(Array(4).fill("keyword"));
    expect(classes.slice(4, 7)).toEqual(Array(3).fill("variable"));
    expect(classes.slice(7, 9)).toEqual(Array(2).fill("operator"));
    expect(classes.slice(9, 12)).toEqual(Array(3).fill("number"));
    expect(classes[12]).toBe("punctuation");
    expect(classes.slice(13)).toEqual([undefined, undefined]);
  });

  test("fit the head", () => {
    expect(FACT_CHANNELS[0].size).toBe(AUX_CLASSES);
    for (const f of tinyFiles) {
      const classes = nextTokenClasses(f.path, f.bytes);
      expect(classes.length).toBe(f.bytes.length);
      expect(classes.filter((c) => c !== 0).length / classes.length).toBeGreaterThan(0.9);
      for (const c of classes) expect(c).toBeLessThan(AUX_CLASSES);
    }
  });
});

describe("auxiliary head", () => {
  const config = tinyConfig({ auxWeight: 0.5, batch: 1 });

  test("has a gradient of its own that reaches the whole network, in proportion to its weight", async () => {
    const device = await createCpuDevice({ threads: 0, precision: "f64" });
    const make = (auxWeight: number): Promise<Trainer> =>
      Trainer.create({
        device,
        config: { ...config, auxWeight },
        spectrum: tinySpectrum(),
        seed: 3,
      });
    const trainer = await make(0.5);
    const sampler = tinySampler(config);
    const windows = sampler.step(0);
    expect(windows[0]!.classes!.some((c) => c !== 0)).toBe(true);
    for (let step = 0; step < 8; step++) await trainer.step({ step, factor: 1, windows });
    // Byte targets gone, the classes' part alone is left.
    const alone: Window[] = windows.map(({ symbols, facts, classes }) => ({
      symbols,
      facts,
      classes,
    }));
    await trainer.step({ step: 8, factor: 0, windows: alone });
    const gradientOf = async (name: string): Promise<Float64Array> =>
      Float64Array.from(await device.read(trainer.gradients.get(name)!));
    const aux = await gradientOf("aux");
    expect(aux.some((x) => x !== 0)).toBe(true);
    for (const x of await gradientOf("unembed")) expect(Math.abs(x)).toBe(0);
    // The whole network learns from it.
    for (const name of ["decoder.0.feedForward.up", "trunk.1.attention.value", "embed"])
      expect(
        (await gradientOf(name)).some((x) => x !== 0),
        name,
      ).toBe(true);
    // Gradients are linear in the weight: twice the share, twice the gradient.
    const double = await make(1);
    for (const [n, t] of trainer.params) device.write(double.params.get(n)!, await device.read(t));
    await double.step({ step: 8, factor: 0, windows: alone });
    const twice = await device.read(double.gradients.get("aux")!);
    aux.forEach((x, i) => expect(twice[i]).toBeCloseTo(2 * x, 12));
  });

  test("learns classes while the reported loss stays that of bytes", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const trainer = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3 });
    const windows = tinySampler(config).step(0);
    await trainer.step({ step: 0, factor: 1, windows });
    expect(await trainer.loss()).toBeCloseTo(Math.log2(272), 1);
    const first = await device.read(trainer.gradients.get("aux")!);
    for (let step = 1; step < 60; step++) await trainer.step({ step, factor: 1, windows });
    const size = (g: ArrayLike<number>): number =>
      Math.sqrt(Array.from(g).reduce((sum, x) => sum + x * x, 0));
    expect(size(await device.read(trainer.gradients.get("aux")!))).toBeLessThan(0.7 * size(first));
  });

  test("is not there in scoring and decoding: they run without its weights", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const trainer = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3 });
    const sampler = tinySampler(config);
    for (let step = 0; step < 20; step++)
      await trainer.step({ step, factor: 1, windows: sampler.step(step) });
    const without = new Map([...trainer.params].filter(([name]) => name !== "aux"));
    const scorer = await Scorer.create(device, config, without);
    let seen = 0;
    await scorer.score({ path: "a.ts", bytes: tinyFiles[0]!.bytes }, () => seen++);
    expect(seen).toBe(tinyFiles[0]!.bytes.length);
    const decoder = await Decoder.create(device, config, without);
    const d = await decoder.extend([256, 97, 257, 99], new Uint16Array(4 * N_FACT_CHANNELS));
    expect(d.p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 4);
  });
});
