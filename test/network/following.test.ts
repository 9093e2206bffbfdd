/** The mixture of network and memory follows what is scored: each file by itself, or a session from file to file. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { RankedMixer } from "../../model/memory/rankedMixer.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { Predictor } from "../../model/model.ts";
import { Trainer } from "../../model/trainer.ts";
import {
  tinyConfig,
  tinyFiles,
  tinyLexicon,
  tinySampler,
  tinySpectrum,
} from "../support/tinyModel.ts";

const STEPS = 60;

let device: Device;
let trainer: Trainer;
let predictor: Predictor;

beforeAll(async () => {
  device = await createCpuDevice({ threads: 0 });
  const config = tinyConfig();
  trainer = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 5 });
  const sampler = tinySampler(config);
  for (let step = 0; step < STEPS; step++)
    await trainer.step({ step, factor: 1, windows: sampler.step(step) });
  const memory = new SuffixMemory();
  for (const f of tinyFiles) memory.setFile(f.path, f.bytes);
  predictor = new Predictor({
    config,
    device,
    params: trainer.params,
    memory,
    lexicon: tinyLexicon(),
    mixer: new RankedMixer(),
  });
});

afterAll(async () => {
  await predictor.dispose();
  trainer.dispose();
  await device.dispose();
});

const text = (file: number, length: number): Uint8Array =>
  tinyFiles[file]!.bytes.subarray(0, length);

async function bits(bytes: Uint8Array, session?: 1): Promise<number[]> {
  const both = { memory: "on", network: "on" } as const;
  const scored = await predictor.score({
    path: "new.ts",
    bytes,
    ...both,
    ...(session === 1 ? { session } : {}),
  });
  return Array.from(scored.bits);
}

describe("the mixture along a file", () => {
  test("is the same for the same file, whatever was scored before", async () => {
    const first = await bits(text(0, 150));
    await bits(text(1, 150));
    expect(await bits(text(0, 150))).toEqual(first);
  });

  test("knows nothing of the bytes to come", async () => {
    const whole = text(0, 180);
    const scored = await bits(whole);
    for (const cut of [1, 40, 95, 160]) {
      expect(await bits(whole.subarray(0, cut))).toEqual(scored.slice(0, cut));
      const other = whole.slice();
      for (let at = cut; at < other.length; at++) other[at] = 255 - other[at]!;
      expect((await bits(other)).slice(0, cut)).toEqual(scored.slice(0, cut));
    }
  });

  test("hears the network's state", async () => {
    const scored = await bits(text(0, 180));
    class Deaf extends RankedMixer {
      override copy(): RankedMixer {
        return new Deaf();
      }
      override mix(o: Parameters<RankedMixer["mix"]>[0], out: Float64Array): void {
        super.mix({ ...o, state: undefined }, out);
      }
    }
    const memory = new SuffixMemory();
    for (const f of tinyFiles) memory.setFile(f.path, f.bytes);
    const deaf = new Predictor({
      config: tinyConfig(),
      device,
      params: trainer.params,
      memory,
      lexicon: tinyLexicon(),
      mixer: new Deaf(),
    });
    const without = await deaf.score({
      path: "new.ts",
      bytes: text(0, 180),
      memory: "on",
      network: "on",
    });
    await deaf.dispose();
    expect(without.bits[0]).toBe(scored[0]);
    expect(Array.from(without.bits)).not.toEqual(scored);
  });

  test("goes on in a session, and only there", async () => {
    const alone = await bits(text(0, 150));
    expect(await bits(text(0, 150), 1)).toEqual(alone);
    const again = await bits(text(0, 150), 1);
    expect(again).not.toEqual(alone);
    expect(again.reduce((a, b) => a + b)).toBeLessThan(alone.reduce((a, b) => a + b));
    expect(await bits(text(0, 150))).toEqual(alone);
  });
});
