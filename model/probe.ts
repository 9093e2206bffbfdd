/**
 * How fast real training steps are on a device, in seconds of measuring: what `preset auto` chooses by. Figures of
 * earlier runs on the same device are kept beside the model and save the measurement.
 */
import { readFileSync, renameSync, writeFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { CorpusFile } from "./bytes.ts";
import { AUTO_SECONDS, chooseAuto, stepsOf, type AutoChoice } from "./autoPreset.ts";
import { trainBpe } from "./bpe.ts";
import { presetConfig, PRESETS, type ModelConfig, type Preset } from "./config.ts";
import { concatenate } from "./corpus.ts";
import { activationType, type Device } from "./device.ts";
import { createFactEncoder } from "./facts/encoder.ts";
import { FactLexicon } from "./facts/lexicon.ts";
import { FINAL_BYTES } from "./heldout.ts";
import { Sampler } from "./sampler.ts";
import { Trainer } from "./trainer.ts";
import { learnedText } from "./trainingPatches.ts";

const FILE = "speed.json";
/** A cold GPU runs at a fraction of its clock, and its first steps are paced. */
const WARM_MS = { gpu: 500, cpu: 0 } as const;
const MEASURE_MS = { gpu: 500, cpu: 1500 } as const;
/** Steps of short runs are small, and on a CPU a window costs about the same in any batch. */
const PROBE_BATCH_CPU = 1;
/** Enough text for windows of every kind. */
const PROBE_BYTES = 200_000;
/** Before it is known how fast a device is. */
const FIRST: Readonly<Record<Device["kind"], Preset>> = { gpu: "small", cpu: "nano" };

const speedSchema = z.object({
  device: z.string(),
  bytesPerSecond: z.object({
    nano: z.number().positive().optional(),
    small: z.number().positive().optional(),
    base: z.number().positive().optional(),
  }),
});

/** What was measured on this device; nothing where another device or no file was there. */
export function readSpeeds(dir: string, device: Device): Partial<Record<Preset, number>> {
  try {
    const stored = speedSchema.parse(JSON.parse(readFileSync(join(dir, FILE), "utf8")));
    if (stored.device !== device.name) return {};
    return Object.fromEntries(
      Object.entries(stored.bytesPerSecond).filter(([, speed]) => speed !== undefined),
    );
  } catch {
    return {};
  }
}

export function writeSpeeds(
  dir: string,
  device: Device,
  measured: Readonly<Partial<Record<Preset, number>>>,
): void {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, FILE);
  const bytesPerSecond = { ...readSpeeds(dir, device), ...measured };
  writeFileSync(`${path}.new`, JSON.stringify({ device: device.name, bytesPerSecond }));
  renameSync(`${path}.new`, path);
}

/** Bytes per second of training steps of this configuration on this device. */
export async function probe(
  device: Device,
  config: ModelConfig,
  files: readonly CorpusFile[],
): Promise<number> {
  const batch = device.kind === "cpu" ? Math.min(PROBE_BATCH_CPU, config.batch) : config.batch;
  const some: CorpusFile[] = [];
  let bytes = 0;
  for (const f of files) {
    if (bytes >= PROBE_BYTES) break;
    some.push(f);
    bytes += f.bytes.length;
  }
  const tokens = config.patching === "bpe" ? { bpeTokens: trainBpe(some, config.bpeSize) } : {};
  const c: ModelConfig = { ...config, ...tokens, batch, batchStart: 0, engram: "off" };
  const learned = learnedText(c, concatenate(some));
  const trainer = await Trainer.create({ device, config: c, ...learned, seed: 1 });
  try {
    const encoder =
      c.facts === "on"
        ? createFactEncoder({ lexicon: new FactLexicon(), colour: c.colour })
        : undefined;
    const sampler = new Sampler(some, c, encoder, 1);
    let step = 0;
    const run = async (ms: number): Promise<number> => {
      const started = performance.now();
      const first = step;
      do {
        await trainer.step({ step, factor: 1, windows: sampler.step(step) });
        step++;
        if (device.kind === "cpu" || step % 8 === 0) await device.idle();
      } while (performance.now() - started < ms);
      await device.idle();
      return (step - first) / (performance.now() - started);
    };
    await run(WARM_MS[device.kind]);
    return (await run(MEASURE_MS[device.kind])) * 1000 * batch * c.context;
  } finally {
    trainer.dispose();
  }
}

/** A shorter run says little about the device's speed. */
const MEASURED_SECONDS = 5;

/** A run's own rate is the best measurement of what a device does. */
export function keepSpeed(
  dir: string,
  device: Device,
  run: { readonly preset: Preset; readonly bytes: number; readonly seconds: number },
): void {
  if (run.seconds < MEASURED_SECONDS || run.bytes <= 0) return;
  writeSpeeds(dir, device, { [run.preset]: run.bytes / run.seconds });
}

/** Of its time that a run keeps for training, however long other things took. */
const LEAST_SHARE = 0.4;

export function lessTime(seconds: number, spent: number): number {
  return Math.max(seconds * LEAST_SHARE, seconds - spent);
}

/** The steps of a size that somebody chose, where minutes end the run: on a CPU the preset's own would be too few. */
export async function stepsWithin(
  o: Pick<AutoOptions, "device" | "dir" | "files"> & {
    readonly preset: Preset;
    readonly config: ModelConfig;
    readonly seconds: number;
  },
): Promise<Pick<ModelConfig, "batch" | "warmupSteps">> {
  const speed = readSpeeds(o.dir, o.device)[o.preset] ?? (await probe(o.device, o.config, o.files));
  return stepsOf(speed * o.seconds, o.config);
}

export interface AutoOptions {
  readonly device: Device;
  /** Where figures of earlier runs are kept. */
  readonly dir: string;
  readonly files: readonly CorpusFile[];
  readonly heldout: readonly CorpusFile[];
  readonly overrides: Partial<ModelConfig> | undefined;
  /** Of the whole run. */
  readonly minutes: number | undefined;
  readonly bytes: number | undefined;
  /** Seconds of it that are gone, asked again after each measurement. */
  elapsed(): number;
}

export interface ChosenRun {
  readonly choice: AutoChoice;
  readonly config: ModelConfig;
  /** Undefined where bytes were asked for. */
  readonly limitSeconds: number | undefined;
  readonly note: string;
}

/** Measures what has to be known, at most two sizes, and chooses. */
export async function chooseRun(o: AutoOptions): Promise<ChosenRun> {
  const { device, files, overrides, bytes } = o;
  const measured: Partial<Record<Preset, number>> = readSpeeds(o.dir, device);
  const total = (some: readonly CorpusFile[]): number =>
    some.reduce((sum, f) => sum + f.bytes.length, 0);
  const seconds = o.minutes === undefined ? AUTO_SECONDS : o.minutes * 60;
  const choose = (): AutoChoice =>
    chooseAuto({
      workspaceBytes: total(files),
      seconds: lessTime(seconds, o.elapsed()),
      measured,
      scoredBytes: Math.min(total(o.heldout), FINAL_BYTES[device.kind]),
      ...(bytes === undefined ? {} : { bytes }),
    });
  const measure = async (preset: Preset): Promise<void> => {
    measured[preset] = await probe(device, { ...PRESETS[preset], ...overrides }, files);
  };
  if (Object.keys(measured).length === 0) await measure(FIRST[device.kind]);
  let choice = choose();
  if (measured[choice.preset] === undefined) {
    await measure(choice.preset);
    choice = choose();
  }
  const { preset, batch, warmupSteps, weightDecay } = choice;
  const config = presetConfig(preset, { batch, warmupSteps, weightDecay, ...overrides });
  const precision = activationType(device, config) === "f16" ? "half" : "single";
  return {
    choice,
    config,
    limitSeconds: bytes === undefined ? choice.seconds : undefined,
    note: `chosen: ${choice.why.join("; ")}; ${precision} precision`,
  };
}
