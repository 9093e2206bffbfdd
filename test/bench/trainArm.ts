/** One training of a benchmark on equal bytes, and what the network alone makes of held-out files. */
import { batchFor } from "../../model/autoPreset.ts";
import { PRESETS, presetConfig, type ModelConfig } from "../../model/config.ts";
import type { Device } from "../../model/device.ts";
import { Sampler } from "../../model/sampler.ts";
import { batchAt, learningRateFactor, stepsFor } from "../../model/schedule.ts";
import { Scorer } from "../../model/scorer.ts";
import { initialParams, Trainer } from "../../model/trainer.ts";
import { learnedText } from "../../model/trainingPatches.ts";
import type { BenchRepository } from "./benchRepository.ts";
import { greedyFigures, type GreedyFigures, type ScoredFile } from "./greedyFigures.ts";
import type { Arm } from "./partsArms.ts";

/** Passes over a corpus, and the most bytes. */
const EPOCHS = 4;
/** Steps between looks at the clock; the queue is emptied there. */
const LOOK_STEPS = 40;

export interface Task extends Pick<Arm, "set" | "pin" | "rampFrom" | "lexicon"> {
  readonly repository: string;
  readonly seed: number;
  readonly bytes: number;
}

export interface Trained {
  readonly config: ModelConfig;
  readonly trainer: Trainer;
  /** Without those that are pinned to 0 from the start on. */
  readonly params: number;
  readonly steps: number;
  readonly seconds: number;
}

export interface RunFigures extends GreedyFigures {
  readonly params: number;
  readonly batch: number;
  readonly steps: number;
  readonly loss: number;
  /** Of compiling, of training, of scoring. */
  readonly seconds: readonly [number, number, number];
}

export const trainingBytes = (repository: BenchRepository, most: number): number =>
  Math.min(most, EPOCHS * repository.bytes);

/** The batch follows from the bytes alone, so that all arms take the same steps. */
export function taskConfig(task: Task, preset = "small"): ModelConfig {
  const base = PRESETS[preset as keyof typeof PRESETS];
  const batch = batchFor(task.bytes, base);
  const batchStart = Math.max(1, Math.round(batch * (task.rampFrom ?? 0)));
  const ramp = task.rampFrom === undefined ? {} : { batchStart };
  return presetConfig(preset, { batch, ...ramp, ...task.set });
}

function pinned(task: Task, trainer: Trainer, config: ModelConfig): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  if (task.pin === undefined) return values;
  const start = initialParams(trainer.specs, task.seed);
  for (const spec of trainer.specs) {
    const value = task.pin.values(spec, config, start.get(spec.name)!.data);
    if (value !== undefined) values.set(spec.name, value);
  }
  return values;
}

/** Undefined where `until` (epoch ms) came first. */
export async function trainArm(
  device: Device,
  repository: BenchRepository,
  task: Task,
  o: { readonly preset: string; readonly until: number },
): Promise<Trained | undefined> {
  const config = repository.withTokens(taskConfig(task, o.preset));
  const { seed } = task;
  const trainer = await Trainer.create({
    device,
    config,
    ...learnedText(config, repository.text),
    seed,
    engram: repository.engram(config),
  });
  const encoder =
    config.facts === "on" ? repository.encoder(task.lexicon ?? "facts", config.colour) : undefined;
  const sampler = new Sampler(repository.files, config, encoder, seed);
  const pins = pinned(task, trainer, config);
  const pin = (): void => {
    for (const [name, values] of pins) device.write(trainer.params.get(name)!, values);
  };
  const pinAverage = (): void => {
    for (const [name, values] of pins) device.write(trainer.optimizer.ema.get(name)!, values);
  };
  pin();
  pinAverage();
  const steps = stepsFor(task.bytes, config);
  await device.idle();
  const started = performance.now();
  for (let step = 0, before = 0; before < task.bytes; step++) {
    const done = before / task.bytes;
    const batch = batchAt(done, config);
    if (task.pin?.when === "always") pin();
    await trainer.step({
      step,
      factor: learningRateFactor({ step, done }, config),
      windows: sampler.step(step, { batch, before }),
    });
    before += batch * config.context;
    if (step % LOOK_STEPS !== 0) continue;
    await device.idle();
    if (Date.now() > o.until) {
      trainer.dispose();
      return undefined;
    }
  }
  if (task.pin?.when === "always") pinAverage();
  await device.idle();
  const seconds = (performance.now() - started) / 1e3;
  let params = trainer.paramCount;
  if (task.pin?.when === "start")
    for (const value of pins.values()) for (const x of value) if (x === 0) params--;
  return { config, trainer, params, steps, seconds };
}

/** The network's answers for each held-out file from its first byte, as `narrowgauge eval --memory off` has them. */
export async function scoreHeldout(
  device: Device,
  repository: BenchRepository,
  task: Task,
  { config, trainer }: Trained,
): Promise<ScoredFile[]> {
  const scorer = await Scorer.create(
    device,
    config,
    trainer.optimizer.ema,
    repository.engram(config),
  );
  const encoder =
    config.facts === "on" ? repository.encoder(task.lexicon ?? "facts", config.colour) : undefined;
  const scored: ScoredFile[] = [];
  for (const { path, bytes } of repository.heldout) {
    const bits = new Float32Array(bytes.length);
    const best = new Uint8Array(bytes.length);
    await scorer.score({ path, bytes, encoder }, (at, p, offset) => {
      bits[at] = -Math.log2(p[offset + bytes[at]!]!);
      let most = 0;
      for (let b = 1; b < 256; b++) if (p[offset + b]! > p[offset + most]!) most = b;
      best[at] = most;
    });
    scored.push({ path, bytes, bits, best });
  }
  scorer.dispose();
  return scored;
}

export async function runTask(
  device: Device,
  repository: BenchRepository,
  task: Task,
  o: { readonly preset: string; readonly until: number },
): Promise<RunFigures | undefined> {
  const started = performance.now();
  const trained = await trainArm(device, repository, task, o);
  if (trained === undefined) return undefined;
  const { trainer, config, params, steps, seconds } = trained;
  const loss = await trainer.loss();
  const scoring = performance.now();
  const figures = greedyFigures(await scoreHeldout(device, repository, task, trained));
  const ended = performance.now();
  trainer.dispose();
  return {
    ...figures,
    params,
    batch: config.batch,
    steps,
    loss,
    seconds: [(scoring - started) / 1e3 - seconds, seconds, (ended - scoring) / 1e3],
  };
}
