/** Whole runs with parts of the recipe that are off by default, on a model of the tiny size. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AutoChoice } from "../../model/autoPreset.ts";
import { trainBpe } from "../../model/bpe.ts";
import type { CorpusFile } from "../../model/bytes.ts";
import { readConfig, readManifest, readModelFile } from "../../model/checkpoint.ts";
import { PRESETS } from "../../model/config.ts";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Model } from "../../model/model.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { writeSpeeds } from "../../model/probe.ts";
import { decodeSafetensors } from "../../model/safetensors.ts";
import { train, type TrainOptions } from "../../model/train.ts";
import { tinyConfig, tinyFiles, tinyLexicon } from "../support/tinyModel.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "narrowgauge-recipe-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const text = new TextEncoder();
const dependencies: readonly CorpusFile[] = [
  {
    path: "zeta/index.js",
    bytes: text.encode("module.exports = { zeta: (z) => z * z };\n".repeat(4)),
  },
];

async function run(
  name: string,
  o: { [K in keyof TrainOptions]?: TrainOptions[K] | undefined } & {
    set?: Parameters<typeof tinyConfig>[0];
  },
) {
  const { set, ...more } = o;
  // Undefined takes an option away.
  const rest = more as Partial<TrainOptions>;
  const out = join(folder, name);
  const device = await createCpuDevice({ threads: 0 });
  const result = await train({
    files: tinyFiles.slice(0, 2),
    heldout: tinyFiles.slice(2),
    out,
    preset: "nano",
    seed: 1,
    device: "cpu",
    on: { device, reason: "a test" },
    overrides: tinyConfig({ batch: 4, ...set }),
    bytes: 64 * 40,
    ...rest,
  });
  const manifest = readManifest(out);
  const weights = decodeSafetensors(readModelFile(out, manifest, "weights.safetensors")!, out);
  return { result, manifest, weights };
}

describe("a run with a rising batch", () => {
  test("takes more steps for the same bytes, and says how many there will be", async () => {
    const plain = await run("plain", {});
    const ramp = await run("ramp", { set: { batchStart: 1, batchRampUntil: 0.5 } });
    expect(plain.manifest).toMatchObject({ step: 10, steps: 10, bytesSeen: 64 * 40 });
    // 10 single windows, then 20 in pairs where a quarter to a half is done, then fours.
    expect(ramp.manifest.step).toBe(ramp.manifest.steps);
    expect(ramp.manifest.step).toBe(10 + 5 + 5);
    expect(ramp.manifest.bytesSeen).toBe(64 * 40);
  });

  test("goes on after an interruption to the weights of an uninterrupted run", async () => {
    const set = { batchStart: 1, batchRampUntil: 0.5 };
    const whole = await run("ramp", { set });
    const abort = new AbortController();
    const stop = setTimeout(() => abort.abort(), 0);
    const part = await run("cut", { set, signal: abort.signal });
    clearTimeout(stop);
    expect(part.result.stopped).toBe("aborted");
    expect(part.manifest.step).toBeLessThan(whole.manifest.step);
    const resumed = await run("cut", { set, resume: true });
    expect(resumed.manifest).toMatchObject({ step: whole.manifest.step, bytesSeen: 64 * 40 });
    expect(resumed.weights).toEqual(whole.weights);
  });
});

describe("dependencies", () => {
  test("come first, teach the network, and stay out of the memory", async () => {
    const plain = await run("plain", {});
    const first = await run("dependencies", { dependencies, set: { dependencyShare: 0.5 } });
    expect(first.weights).not.toEqual(plain.weights);
    expect(first.manifest.saw.files).toBe(2);
    expect(first.result.notes.join()).toContain("the first 50 % of the run were 1 files");
    const none = await run("none", { dependencies, set: { dependencyShare: 0 } });
    expect(none.weights).toEqual(plain.weights);
    const memory = readModelFile(join(folder, "dependencies"), first.manifest, "memory.bin")!;
    expect([...SuffixMemory.deserialize(memory).files()].sort()).toEqual(
      tinyFiles.map((f) => f.path).sort(),
    );
  });
});

describe("patches by tokens", () => {
  test("take a vocabulary that is kept beside the model, also over a resume", async () => {
    const set = { patching: "bpe", bpeSize: 280 } as const;
    const { manifest } = await run("bpe", { set });
    expect(manifest.files["bpe.json"]).toBeDefined();
    expect(manifest.config.bpeTokens).toBeUndefined();
    const config = readConfig(join(folder, "bpe"), manifest);
    expect(config.bpeTokens).toEqual(trainBpe(tinyFiles.slice(0, 2), 280));
    const device = await createCpuDevice({ threads: 0 });
    const model = await Model.load(join(folder, "bpe"), {
      device: "cpu",
      on: { device, reason: "a test" },
    });
    const score = await model.score({ ...tinyFiles[2]!, memory: "off", network: "on" });
    expect(score.bits.every((x) => Number.isFinite(x) && x > 0)).toBe(true);
    await model.dispose();
  });
});

describe("colours of several channels", () => {
  test.each(["both", "resolvent"] as const)(
    "are kept with the model, for scores and completions: %s",
    async (colour) => {
      const lexicon = tinyLexicon(colour);
      // The run makes the colours itself.
      lexicon.useColours("hash");
      const { result, manifest } = await run(colour, { set: { colour }, lexicon });
      expect(result.stopped).toBe("done");
      expect(manifest.config).toMatchObject({ colour });
      const device = await createCpuDevice({ threads: 0 });
      const load = (): Promise<Model> =>
        Model.load(join(folder, colour), { device: "cpu", on: { device, reason: "a test" } });
      const model = await load();
      expect(model.lexicon.colourKind).toBe(colour);
      const file = tinyFiles[0]!;
      const score = await model.score({ ...file, memory: "off", network: "on" });
      expect(score.bits.every((x) => Number.isFinite(x) && x > 0)).toBe(true);
      const completion = await model.complete({
        path: file.path,
        before: file.bytes.subarray(0, 60),
        after: new Uint8Array(0),
        maxBytes: 8,
        singleLine: 0,
      });
      expect(completion.bytes.length).toBeGreaterThan(0);
      await model.dispose();
    },
  );
});

describe("a size that was chosen, bounded by minutes on a CPU", () => {
  const { batch: _batch, warmupSteps: _warmup, ...set } = tinyConfig();
  const slow = async (name: string): Promise<{ speedsIn: string }> => {
    const speedsIn = join(folder, name);
    // 500 bytes per second for three seconds are a few steps of one window.
    writeSpeeds(speedsIn, await createCpuDevice({ threads: 0 }), { nano: 500 });
    return { speedsIn };
  };

  test("takes small steps where the preset's own would be too few, and says so", async () => {
    const o = { ...(await slow("speeds")), minutes: 0.05, bytes: undefined };
    const { manifest, result } = await run("minutes", { ...o, overrides: set });
    expect(manifest.config).toMatchObject({ batch: 1, warmupSteps: 2 });
    expect(result.notes.join()).toContain("steps of 64 bytes instead of");
  });

  test("keeps the steps that were asked for, and those of a run bounded by bytes", async () => {
    const { speedsIn } = await slow("speeds");
    const asked = { speedsIn, minutes: 0.05, bytes: undefined };
    const byName = await run("byName", { ...asked, overrides: { ...set, batch: 3 } });
    expect(byName.manifest.config.batch).toBe(3);
    const byBytes = await run("byBytes", { speedsIn, overrides: set, bytes: 640 });
    expect(byBytes.manifest.config.batch).toBe(PRESETS.nano.batch);
  });
});

describe("preset auto", () => {
  test("says what it chose before training, keeps to its time, and writes it down", async () => {
    const choices: AutoChoice[] = [];
    const { batch: _chosen, ...set } = tinyConfig();
    const { result, manifest } = await run("auto", {
      preset: "auto",
      overrides: set,
      minutes: 0.1,
      bytes: undefined,
      onChoice: (choice) => choices.push(choice),
    });
    expect(choices).toHaveLength(1);
    const [choice] = choices;
    expect(choice!.preset).toBe("nano");
    expect(manifest.config.batch).toBe(choice!.batch);
    expect(manifest.targetSeconds).toBeLessThanOrEqual(6);
    expect(result.seconds).toBeLessThan(7);
    expect(result.bytes).toBeLessThanOrEqual(choice!.bytes + choice!.batch * 64);
    expect(result.notes.join()).toContain("chosen: nano at");
  });
});
