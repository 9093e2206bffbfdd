/** The heads for bytes further ahead: their targets, their gradient, and that only training knows of them. */
import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { VOCAB } from "../../model/bytes.ts";
import type { ModelConfig } from "../../model/config.ts";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { aheadTargets as twin, countAhead } from "../../model/cpu/aheadTargets.ts";
import { Decoder } from "../../model/decoder.ts";
import type { Device } from "../../model/device.ts";
import { N_FACT_CHANNELS } from "../../model/facts/channels.ts";
import { Random } from "../../model/random.ts";
import { Scorer } from "../../model/scorer.ts";
import { Trainer } from "../../model/trainer.ts";
import { SKIP } from "../../model/windows.ts";
import { tinyConfig, tinyFiles, tinySampler, tinySpectrum } from "../support/tinyModel.ts";

/** Of one window; returns how many are not SKIP. */
function aheadTargets(targets: ArrayLike<number>, heads: number, out: Uint32Array): number {
  const rows = targets.length;
  twin({ targets, out, rows, heads }, 0, rows);
  return countAhead(targets, { rows, heads });
}

describe("targets of bytes further ahead", () => {
  test("are the symbols behind the next one, as far as all up to there are scored", () => {
    const [a, b, c, d, e, _] = [1, 2, 3, 4, 5, SKIP];
    const out = new Uint32Array(12);
    expect(aheadTargets([a, b, c, _, d, e] as number[], 2, out)).toBe(4);
    expect([...out]).toEqual([b, c, c, _, _, _, _, _, e, _, _, _]);
  });

  test("end with their window", () => {
    const [a, b, c, d, _] = [1, 2, 3, 4, SKIP];
    const out = new Uint32Array(8);
    twin({ targets: [a, b, c, d], out, rows: 2, heads: 2 }, 0, 4);
    expect([...out]).toEqual([b, _, _, _, d, _, _, _]);
    expect(countAhead([a, b, c, d], { rows: 2, heads: 2 })).toBe(2);
  });

  test("never cross what is not scored, for any targets", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.nat(271), fc.constant(SKIP)), { maxLength: 40 }),
        fc.integer({ min: 1, max: 7 }),
        (targets, heads) => {
          const out = new Uint32Array(targets.length * heads);
          let count = 0;
          aheadTargets(targets, heads, out);
          for (let t = 0; t < targets.length; t++)
            for (let j = 0; j < heads; j++) {
              const upTo = targets.slice(t, t + j + 2);
              const isScored = upTo.length === j + 2 && !upTo.includes(SKIP);
              expect(out[t * heads + j]).toBe(isScored ? upTo.at(-1) : SKIP);
              if (isScored) count++;
            }
          expect(aheadTargets(targets, heads, out)).toBe(count);
        },
      ),
    );
  });
});

describe("heads for bytes further ahead", () => {
  const make = (device: Device, config: ModelConfig): Promise<Trainer> =>
    Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 3 });
  const gradientOf = async (device: Device, trainer: Trainer, name: string) =>
    Float64Array.from(await device.read(trainer.gradients.get(name)!));

  test("have the gradient that the next byte's head has for the same targets", async () => {
    const device = await createCpuDevice({ threads: 0, precision: "f64" });
    const heads = 3;
    const config = tinyConfig({ aheadWeight: 0.7, aheadBytes: heads + 1, batch: 1 });
    const C = config.localChannels;
    const windows = tinySampler(config).step(0);
    const random = new Random(5);
    const maps = Array.from({ length: heads }, () =>
      Float64Array.from({ length: C * VOCAB }, () => 0.3 * random.normal()),
    );
    const trainer = await make(device, config);
    // Maps that end a layer start at nothing.
    for (let step = 0; step < 4; step++) await trainer.step({ step, factor: 1, windows });
    const all = new Float64Array(C * heads * VOCAB);
    maps.forEach((map, j) => {
      for (let c = 0; c < C; c++)
        all.set(map.subarray(c * VOCAB, (c + 1) * VOCAB), (c * heads + j) * VOCAB);
    });
    device.write(trainer.params.get("ahead")!, all);
    // With nothing in the next byte's map, all that comes back from the state is of the others.
    device.write(trainer.params.get("unembed")!, new Float64Array(C * VOCAB));
    await trainer.step({ step: 4, factor: 0, windows });

    const { targets } = windows[0]!;
    const ahead = new Uint32Array(targets!.length * heads);
    const count = aheadTargets(targets!, heads, ahead);
    const plain = tinyConfig({ batch: 1 });
    const inner = ["decoder.0.feedForward.up", "trunk.1.attention.value", "pool", "embed"];
    const wanted = new Map(inner.map((name) => [name, new Float64Array(0)]));
    const own = await gradientOf(device, trainer, "ahead");
    for (let j = 0; j < heads; j++) {
      const one = await make(device, plain);
      for (const [name, t] of one.params)
        if (name !== "unembed") device.write(t, await device.read(trainer.params.get(name)!));
      device.write(one.params.get("unembed")!, maps[j]!);
      const shifted = Array.from(targets!, (_, t) => ahead[t * heads + j]!);
      const share =
        (config.aheadWeight * shifted.filter((target) => target !== SKIP).length) / count;
      await one.step({ step: 0, factor: 0, windows: [{ ...windows[0]!, targets: shifted }] });
      const map = await gradientOf(device, one, "unembed");
      for (let c = 0; c < C; c++)
        for (let v = 0; v < VOCAB; v++)
          expect(own[(c * heads + j) * VOCAB + v]).toBeCloseTo(share * map[c * VOCAB + v]!, 11);
      for (const name of inner) {
        const part = await gradientOf(device, one, name);
        const sum = wanted.get(name)!;
        wanted.set(
          name,
          part.map((x, i) => (sum[i] ?? 0) + share * x),
        );
      }
    }
    for (const name of inner) {
      const got = await gradientOf(device, trainer, name);
      expect(got.some((x) => Math.abs(x) > 1e-6)).toBe(true);
      got.forEach((x, i) => expect(x).toBeCloseTo(wanted.get(name)![i]!, 10));
    }
  });

  test("learn while the reported loss stays that of the next byte", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const config = tinyConfig({ aheadWeight: 0.3, aheadBytes: 4, batch: 1 });
    const trainer = await make(device, config);
    const windows = tinySampler(config).step(0);
    await trainer.step({ step: 0, factor: 1, windows });
    const first = await trainer.loss();
    expect(first).toBeCloseTo(Math.log2(VOCAB), 1);
    const size = (g: ArrayLike<number>): number =>
      Math.sqrt(Array.from(g).reduce((sum, x) => sum + x * x, 0));
    const before = size(await gradientOf(device, trainer, "ahead"));
    for (let step = 1; step < 100; step++) await trainer.step({ step, factor: 1, windows });
    expect(await trainer.loss()).toBeLessThan(0.5 * first);
    expect(size(await gradientOf(device, trainer, "ahead"))).toBeLessThan(0.7 * before);
  });

  test("are not there in scoring and decoding: they run without their weights", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const config = tinyConfig({ aheadWeight: 0.3, aheadBytes: 2, batch: 1 });
    const trainer = await make(device, config);
    const sampler = tinySampler(config);
    for (let step = 0; step < 5; step++)
      await trainer.step({ step, factor: 1, windows: sampler.step(step) });
    const without = new Map([...trainer.params].filter(([name]) => name !== "ahead"));
    const scorer = await Scorer.create(device, config, without);
    let seen = 0;
    await scorer.score({ path: "a.ts", bytes: tinyFiles[0]!.bytes }, () => seen++);
    expect(seen).toBe(tinyFiles[0]!.bytes.length);
    const decoder = await Decoder.create(device, config, without);
    const d = await decoder.extend([256, 97, 257, 99], new Uint16Array(4 * N_FACT_CHANNELS));
    expect(d.p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 4);
  });
});
