/**
 * Training from files to a model directory: memory, network, mixer, held-out score. Checkpoints at bounded
 * intervals; a resumed run goes on where the last one stood, and sees what it would have seen.
 */
import type { AutoChoice } from "./autoPreset.ts";
import type { CorpusFile } from "./bytes.ts";
import { trainBpe } from "./bpe.ts";
import type { CandidateWeights } from "./candidates/candidateWeights.ts";
import { readConfig, readModelFile, type Manifest } from "./checkpoint.ts";
import { CheckpointPace } from "./checkpointPace.ts";
import { presetConfig, type ModelConfig } from "./config.ts";
import { concatenate } from "./corpus.ts";
import type { Device } from "./device.ts";
import { CorpusError } from "./errors.ts";
import { createFactEncoder, type FactEncoder } from "./facts/encoder.ts";
import { FactLexicon } from "./facts/lexicon.ts";
import { EngramIndex } from "./engramIndex.ts";
import { silentLogger, type Logger } from "./logger.ts";
import type { AnyMixer } from "./fitMixer.ts";
import { evaluateHeldout, FINAL_BYTES, sampleOf } from "./heldout.ts";
import { RankedMixer } from "./memory/rankedMixer.ts";
import { SuffixMemory } from "./memory/suffixMemory.ts";
import { loadEngram, Predictor } from "./model.ts";
import { openDevice } from "./openDevice.ts";
import { chooseRun, keepSpeed, lessTime, stepsWithin } from "./probe.ts";
import { Sampler } from "./sampler.ts";
import { batchAt, learningRateFactor, stepsFor } from "./schedule.ts";
import { Trainer } from "./trainer.ts";
import { learnedText } from "./trainingPatches.ts";
import {
  appendMetrics,
  carriedFiles,
  hasCheckpoint,
  openCheckpoint,
  saveCheckpoint,
  type OpenedCheckpoint,
} from "./trainingCheckpoint.ts";
import { TrainingClock } from "./trainingClock.ts";
import { TrainingMemory } from "./trainingMemory.ts";
import { HeldoutCurve, Look, LossWatch } from "./trainingWatch.ts";
import type { TrainOptions, TrainProgress, TrainResult } from "./trainOptions.ts";

export type { TrainOptions, TrainProgress, TrainResult } from "./trainOptions.ts";

/** Looks at the loss and reports at most this often. */
const REPORT_SECONDS = 0.5;
/** Held-out bytes behind each point of the curve. */
const CURVE_BYTES = { gpu: 12_000, cpu: 3_000 } as const;
/** Share of the time that the curve may take: a CPU, where a point takes seconds, would have two or three of them. */
const CURVE_SHARE = { gpu: 0.04, cpu: 0.08 } as const;
const PAUSE_POLL_MS = 50;
/** Below this a network has nothing to generalize from. */
const TINY_CORPUS_BYTES = 4096;

export async function train(o: TrainOptions): Promise<TrainResult> {
  const run = new TrainingRun(o);
  return run.run();
}

class TrainingRun {
  readonly #o: TrainOptions;
  #config: ModelConfig;
  readonly #logger: Logger;
  #lexicon = new FactLexicon();
  #engram: EngramIndex | undefined;
  /** Being built while the network trains; undefined before the run. */
  #memory: TrainingMemory | undefined;
  /** Beginnings of held-out files, which the final score is of. */
  #sample: readonly CorpusFile[] = [];
  readonly #notes: string[] = [];
  readonly #predictors: Predictor[] = [];
  #manifest: Manifest | undefined;
  #restored: OpenedCheckpoint | undefined;
  #mixer: AnyMixer = new RankedMixer();
  #candidates: CandidateWeights | undefined;
  readonly #clock: TrainingClock;
  #heldoutBpb: number | undefined;
  #loss = Number.NaN;

  constructor(o: TrainOptions) {
    this.#o = o;
    this.#logger = o.logger ?? silentLogger;
    if (o.files.length === 0)
      throw new CorpusError(
        "NG_EMPTY_CORPUS",
        "there is nothing to train on",
        "choose a folder with text files",
      );
    if (o.resume === true) this.#restored = openCheckpoint(o.out);
    this.#manifest = this.#restored?.manifest;
    // Preset auto is chosen when the device is open; until then any size will do to check the overrides.
    const preset = o.preset === "auto" ? "nano" : o.preset;
    this.#config =
      this.#manifest === undefined
        ? presetConfig(preset, o.overrides)
        : readConfig(o.out, this.#manifest);
    this.#clock = new TrainingClock(o, this.#manifest);
  }

  #report(phase: TrainProgress["phase"], device: string): void {
    this.#o.onProgress?.({
      ...this.#clock.progress(),
      phase,
      loss: this.#loss,
      ...(this.#heldoutBpb === undefined ? {} : { heldoutBpb: this.#heldoutBpb }),
      device,
    });
  }

  async run(): Promise<TrainResult> {
    const { files, seed } = this.#o;
    const clock = this.#clock;
    clock.start();
    const { device, reason } =
      this.#o.on ?? (await openDevice(this.#o.device, { logger: this.#logger }));
    this.#logger.info(`training on ${device.name}: ${reason}`);
    let trainer: Trainer | undefined;
    try {
      this.#report("indexing", device.name);
      // On a CPU the memory's thread would take the cores whose speed `preset auto` measures.
      if (device.kind === "gpu") this.#fillMemory(device);
      else await this.#takeFacts();
      const auto = this.#o.preset === "auto" && this.#manifest === undefined;
      const chosen = auto ? await this.#choose(device) : undefined;
      if (!auto && device.kind === "cpu") await this.#takeSmallerSteps(device);
      if (device.kind === "cpu") this.#fillMemory(device);
      if (this.#config.patching === "bpe" && this.#config.bpeTokens === undefined)
        this.#config = { ...this.#config, bpeTokens: trainBpe(files, this.#config.bpeSize) };
      this.#fillEngram();
      const compiling = performance.now();
      // Facts are gathered, where they still are, while the driver compiles.
      const [created, facts] = await Promise.allSettled([
        Trainer.create({
          device,
          config: this.#config,
          ...learnedText(this.#config, concatenate(files)),
          seed,
          engram: this.#engram,
        }),
        this.#takeFacts(),
      ]);
      if (created.status === "fulfilled") trainer = created.value;
      else throw created.reason;
      if (facts.status === "rejected") throw facts.reason;
      const encoder =
        this.#config.facts === "on"
          ? createFactEncoder({ lexicon: this.#lexicon, colour: this.#config.colour })
          : undefined;
      const sampler = new Sampler(files, this.#config, encoder, seed);
      const dependencies = this.#dependencies(encoder);
      const perStep = this.#config.batch * this.#config.context;
      const target = chosen?.bytes ?? this.#o.bytes ?? sampler.totalSymbols * this.#config.epochs;
      clock.target =
        this.#manifest?.targetBytes ??
        (this.#manifest?.steps ?? Math.max(1, Math.round(target / perStep))) * perStep;
      clock.steps = stepsFor(clock.target, this.#config);
      const held = files.reduce((sum, file) => sum + file.bytes.length, 0);
      if (held < TINY_CORPUS_BYTES)
        this.#notes.push(
          `there are ${held} bytes to learn from: the memory does the work, the network has little to learn from`,
        );
      if (this.#restored !== undefined)
        trainer.restore(this.#restored.averaged, this.#restored.state);
      this.#restored = undefined;
      if (chosen !== undefined && clock.limitSeconds !== undefined)
        clock.limitSeconds = lessTime(clock.limitSeconds, (performance.now() - compiling) / 1000);
      // Compiling and indexing are no training time: rates and the clock start here.
      clock.start();
      const stopped = await this.#loop(device, trainer, { sampler, dependencies });
      this.#memory?.networkEndsIn(0);
      return await this.#finish(device, reason, trainer, stopped);
    } finally {
      this.#memory?.stop();
      for (const p of this.#predictors) await p.dispose();
      trainer?.dispose();
      if (this.#o.on === undefined) await device.dispose();
    }
  }

  async #takeFacts(): Promise<void> {
    this.#lexicon = (await this.#o.lexicon) ?? new FactLexicon();
    this.#lexicon.useColours(this.#config.colour ?? "hash");
  }

  async #choose(device: Device): Promise<AutoChoice> {
    const { files, minutes, bytes, overrides, heldout } = this.#o;
    const chosen = await chooseRun({
      device,
      dir: this.#o.speedsIn ?? this.#o.out,
      files,
      heldout,
      overrides,
      minutes,
      bytes,
      elapsed: () => this.#clock.seconds,
    });
    this.#config = chosen.config;
    this.#clock.boundByBytes = true;
    this.#clock.limitSeconds = chosen.limitSeconds;
    this.#notes.push(chosen.note);
    this.#logger.info(chosen.note);
    this.#o.onChoice?.(chosen.choice);
    return chosen.choice;
  }

  /** Where minutes bound the run of a chosen size: what was asked for by name or by bytes stays. */
  async #takeSmallerSteps(device: Device): Promise<void> {
    const { files, minutes, bytes, overrides, preset, out, speedsIn } = this.#o;
    const isFree = overrides?.batch === undefined && overrides?.warmupSteps === undefined;
    if (this.#manifest !== undefined || minutes === undefined || bytes !== undefined || !isFree)
      return;
    if (preset === "auto") return;
    const seconds = minutes * 60;
    const dir = speedsIn ?? out;
    const config = this.#config;
    const steps = await stepsWithin({ device, dir, files, preset, config, seconds });
    if (steps.batch >= config.batch) return;
    this.#config = { ...config, ...steps };
    this.#notes.push(
      `steps of ${steps.batch * config.context} bytes instead of ${config.batch * config.context}: of those there would be too few in ${minutes} min`,
    );
  }

  /** The files of dependencies, for the first part of the run. */
  #dependencies(encoder: FactEncoder | undefined): Sampler | undefined {
    const files = this.#o.dependencies ?? [];
    if (files.length === 0) return undefined;
    const bytes = files.reduce((sum, f) => sum + f.bytes.length, 0);
    const share = this.#config.dependencyShare;
    this.#notes.push(
      `the first ${Math.round(share * 100)} % of the run were ${files.length} files of dependencies (${bytes} bytes)`,
    );
    return new Sampler(files, this.#config, encoder, this.#o.seed);
  }

  /** Of the averaged weights alone: the curve is the network's, and in the end what the memory says is recorded. */
  #predictor(device: Device, trainer: Trainer): Predictor {
    const predictor = new Predictor({
      config: this.#config,
      device,
      params: trainer.optimizer.ema,
      memory: new SuffixMemory(),
      lexicon: this.#lexicon,
      mixer: this.#mixer,
      engram: this.#engram,
    });
    this.#predictors.push(predictor);
    return predictor;
  }

  /** Starts from the checkpoint's memory where there is one. */
  #fillMemory(device: Device): void {
    const { out, files, heldout, seed, minutes, signal } = this.#o;
    this.#sample = sampleOf(heldout, FINAL_BYTES[device.kind]);
    this.#memory = new TrainingMemory({
      files,
      heldout,
      sample: this.#sample,
      seed,
      minutes,
      stored:
        this.#manifest === undefined ? undefined : readModelFile(out, this.#manifest, "memory.bin"),
      signal,
      logger: this.#logger,
    });
  }

  /** Chosen once: a resumed run goes on with the rows it has trained. */
  #fillEngram(): void {
    if (this.#config.engram !== "on") return;
    const started = performance.now();
    this.#engram =
      this.#manifest === undefined
        ? EngramIndex.build(this.#o.files, this.#config)
        : loadEngram(this.#o.out, this.#manifest);
    this.#logger.info(
      `n-gram memory: ${this.#engram!.owned.join(", ")} contexts have rows, ${((performance.now() - started) / 1000).toFixed(1)} s`,
    );
  }

  async #loop(
    device: Device,
    trainer: Trainer,
    from: { readonly sampler: Sampler; readonly dependencies: Sampler | undefined },
  ): Promise<"done" | "aborted"> {
    const curve = new HeldoutCurve(
      this.#predictor(device, trainer),
      sampleOf(this.#o.heldout, CURVE_BYTES[device.kind]),
      CURVE_SHARE[device.kind],
    );
    if (device.kind === "cpu") await curve.compiled;
    const clock = this.#clock;
    const first = clock.step;
    const watch = new LossWatch(trainer, first);
    let lastReport = 0;
    const pace = new CheckpointPace();
    let look: Look | undefined;
    while (clock.done() < 1) {
      if (this.#o.signal?.aborted === true) {
        await this.#save(device, trainer, 0);
        return "aborted";
      }
      await this.#pause(device);
      if (this.#memory?.error !== undefined) throw this.#memory.error;
      const done = clock.done();
      const factor = learningRateFactor({ step: clock.step, done }, this.#config);
      const batch = batchAt(done, this.#config);
      const sampler =
        done < this.#config.dependencyShare ? (from.dependencies ?? from.sampler) : from.sampler;
      const windows = sampler.step(clock.step, { batch, before: clock.bytes, reuse: 1 });
      await trainer.step({ step: clock.step, factor, windows });
      clock.step++;
      clock.bytes += batch * this.#config.context;
      if (clock.step === first + 1) clock.warmedUp();
      this.#memory?.networkEndsIn(clock.secondsLeft);
      if (look === undefined && performance.now() - lastReport > REPORT_SECONDS * 1000) {
        const { step, bytes, seconds } = clock;
        look = new Look(watch, { step, bytes, seconds, factor });
        // A GPU goes on meanwhile: by the time it had its next steps it would have stood still.
        if (device.kind === "cpu") await look.end;
      }
      const seen = look?.seen();
      if (seen !== undefined) {
        look = undefined;
        this.#loss = seen.loss;
        lastReport = performance.now();
        if (curve.due) this.#heldoutBpb = await curve.measure();
        this.#report("training", device.name);
        appendMetrics(this.#o.out, { ...seen, heldoutBpb: this.#heldoutBpb });
      }
      // A checkpoint holds the memory, and the network does not wait for it.
      if (this.#memory!.isBuilt && pace.isDue(clock.secondsLeft)) {
        await look?.end;
        look?.seen();
        await pace.saving(() => this.#save(device, trainer, 0));
      }
    }
    await look?.end;
    look?.seen();
    this.#loss = await trainer.loss();
    return "done";
  }

  async #pause(device: Device): Promise<void> {
    if (this.#o.control?.paused !== true) {
      // Let messages in (pause, completions) between steps.
      await new Promise<void>((resolve) => setImmediate(resolve));
      return;
    }
    await device.idle();
    const from = performance.now();
    while (this.#o.control.paused && this.#o.signal?.aborted !== true)
      await new Promise<void>((resolve) => setTimeout(resolve, PAUSE_POLL_MS));
    this.#clock.paused(performance.now() - from);
  }

  async #save(
    device: Device,
    trainer: Trainer,
    finished: 0 | 1,
    heldout: Manifest["heldout"] = { bpb: null, network: this.#heldoutBpb ?? null, memory: null },
  ): Promise<void> {
    this.#report("saving", device.name);
    const first = !hasCheckpoint(this.#o.out);
    this.#manifest = await saveCheckpoint({
      options: this.#o,
      config: this.#config,
      clock: this.#clock,
      trainer,
      device: device.name,
      finished,
      heldout,
      mixer: this.#mixer,
      candidates: this.#candidates,
      carried:
        first || finished === 1 || this.#manifest === undefined
          ? carriedFiles({
              config: this.#config,
              memory: (await this.#memory!.built)[finished === 1 ? "whole" : "bytes"],
              engram: this.#engram,
              lexicon: this.#lexicon,
              symbols: await this.#o.symbols,
            })
          : undefined,
    });
  }

  async #finish(
    device: Device,
    reason: string,
    trainer: Trainer,
    stopped: "done" | "aborted",
  ): Promise<TrainResult> {
    const { seconds, bytes } = this.#clock;
    if (stopped === "done" && this.#o.preset === "auto")
      keepSpeed(this.#o.speedsIn ?? this.#o.out, device, {
        preset: this.#config.preset,
        ...this.#clock.own(seconds),
      });
    let scores: Manifest["heldout"] = { bpb: null, network: null, memory: null };
    if (stopped === "done") {
      this.#report("evaluating", device.name);
      scores = await this.#evaluate(device, trainer);
      await this.#save(device, trainer, 1, scores);
    }
    return {
      params: trainer.paramCount,
      bytes,
      seconds,
      bytes_per_s: seconds > 0 ? bytes / seconds : 0,
      device: device.name,
      deviceReason: reason,
      heldout_bpb: scores.bpb,
      heldout_bpb_network: scores.network,
      heldout_bpb_memory: scores.memory,
      stopped,
      notes: this.#notes,
    };
  }

  /** Scores the held-out files and fits the mixer on them; the reported mixture is cross-fitted, so no file is
   *  measured with weights it was fitted on. */
  async #evaluate(device: Device, trainer: Trainer): Promise<Manifest["heldout"]> {
    if (this.#sample.length === 0) {
      this.#notes.push("no file was held out, so there is no held-out score");
      return { bpb: null, network: null, memory: null };
    }
    const { mixer, candidates, ...scores } = await evaluateHeldout(
      this.#predictor(device, trainer),
      {
        files: this.#sample,
        recalled: this.#memory!.built.then((built) => built.records),
        lexicon: this.#lexicon,
        logger: this.#logger,
      },
    );
    this.#mixer = mixer;
    this.#candidates = candidates;
    return scores;
  }
}
