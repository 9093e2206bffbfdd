/**
 * Training from files to a model directory: memory, network, mixer, held-out score. Checkpoints at bounded
 * intervals; a resumed run goes on where the last one stood, and sees what it would have seen.
 */
import { existsSync, mkdirSync, appendFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { AutoChoice } from "./autoPreset.ts";
import type { CorpusFile } from "./bytes.ts";
import { trainBpe } from "./bpe.ts";
import type { CandidateWeights } from "./candidates/candidateWeights.ts";
import {
  BPE_FILE,
  readConfig,
  readManifest,
  readModelFile,
  saveModel,
  type Manifest,
  type ManifestFields,
} from "./checkpoint.ts";
import { presetConfig, type ModelConfig } from "./config.ts";
import { concatenate, corpusHash } from "./corpus.ts";
import type { Device } from "./device.ts";
import { CheckpointError, CorpusError } from "./errors.ts";
import { createFactEncoder, type FactEncoder } from "./facts/encoder.ts";
import { FactLexicon } from "./facts/lexicon.ts";
import { EngramIndex } from "./engramIndex.ts";
import { silentLogger, type Logger } from "./logger.ts";
import type { AnyMixer } from "./fitMixer.ts";
import { evaluateHeldout, FINAL_BYTES, meanBits, sampleOf } from "./heldout.ts";
import { RankedMixer } from "./memory/rankedMixer.ts";
import { buildMemory, type BuiltMemory } from "./memory/build.ts";
import { SuffixMemory } from "./memory/suffixMemory.ts";
import { loadEngram, Predictor, type ModelParts } from "./model.ts";
import { openDevice } from "./openDevice.ts";
import { chooseRun, keepSpeed, lessTime } from "./probe.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "./safetensors.ts";
import { Sampler } from "./sampler.ts";
import { batchAt, learningRateFactor, stepsFor } from "./schedule.ts";
import { corpusSpectrum } from "./spectrum.ts";
import { Trainer } from "./trainer.ts";
import type { TrainOptions, TrainProgress, TrainResult } from "./trainOptions.ts";

export type { TrainOptions, TrainProgress, TrainResult } from "./trainOptions.ts";

/** At most this much work is lost when the process dies. */
const CHECKPOINT_SECONDS = 20;
/** Looks at the loss and reports at most this often. */
const REPORT_SECONDS = 0.5;
/** More steps than a loss scale can be halved. */
const SCALINGS = 20;
/** Held-out bytes behind each point of the curve. */
const CURVE_BYTES = { gpu: 12_000, cpu: 3_000 } as const;
/** The memory's weights are learned from this much of the workspace, file by file, each left out in turn. */
const CALIBRATION_BYTES = 400_000;
/** … and from this much even where the network is done before. */
const CALIBRATION_LEAST_BYTES = 100_000;
const CALIBRATION_MS = 20_000;
const CALIBRATION_SHARE = 0.1;
const CURVE_SHARE = 0.08;
const PAUSE_POLL_MS = 50;
/** Below this a network has nothing to generalize from. */
const TINY_CORPUS_BYTES = 4096;

const gzipJson = (value: unknown): Uint8Array => gzipSync(Buffer.from(JSON.stringify(value)));

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
  #memory: Promise<BuiltMemory> | undefined;
  #memoryError: Error | undefined;
  readonly #memoryStop = new AbortController();
  readonly #memoryEnough = new AbortController();
  /** Beginnings of held-out files, which the final score is of. */
  #sample: readonly CorpusFile[] = [];
  readonly #notes: string[] = [];
  readonly #predictors: Predictor[] = [];
  #manifest: Manifest | undefined;
  #restored: { averaged: Map<string, StoredTensor>; state: Map<string, StoredTensor> } | undefined;
  #mixer: AnyMixer = new RankedMixer();
  #candidates: CandidateWeights | undefined;
  #step = 0;
  #steps = 0;
  #target = 0;
  /** Preset auto has both bounds, others one. */
  #boundByBytes: boolean;
  /** Training seconds after which the run ends. */
  #limitSeconds: number | undefined;
  #bytes = 0;
  #bytesBefore = 0;
  #secondsBefore = 0;
  #heldoutBpb: number | undefined;
  #loss = Number.NaN;
  #started = 0;
  #pausedMs = 0;

  constructor(o: TrainOptions) {
    this.#o = o;
    this.#logger = o.logger ?? silentLogger;
    if (o.files.length === 0)
      throw new CorpusError(
        "NG_EMPTY_CORPUS",
        "there is nothing to train on",
        "choose a folder with text files",
      );
    if (o.resume === true) this.#openCheckpoint();
    // Preset auto is chosen when the device is open; until then any size will do to check the overrides.
    const preset = o.preset === "auto" ? "nano" : o.preset;
    this.#config =
      this.#manifest === undefined
        ? presetConfig(preset, o.overrides)
        : readConfig(o.out, this.#manifest);
    const before = this.#manifest;
    const asked = o.minutes === undefined || o.bytes !== undefined ? undefined : o.minutes * 60;
    const stored = before?.targetSeconds;
    this.#boundByBytes =
      before === undefined ? asked === undefined : before.targetBytes !== undefined;
    // What preset auto chose holds after a resume too.
    this.#limitSeconds =
      this.#boundByBytes && stored !== undefined && asked !== undefined
        ? Math.min(stored, asked)
        : (asked ?? stored);
  }

  #openCheckpoint(): void {
    const { out } = this.#o;
    const manifest = readManifest(out);
    const weights = readModelFile(out, manifest, "weights.safetensors");
    const optimizer = readModelFile(out, manifest, "optimizer.safetensors");
    if (weights === undefined || optimizer === undefined)
      throw new CheckpointError(
        "NG_NOT_RESUMABLE",
        `the model in ${out} holds no optimizer state`,
        "train without --resume to start anew",
      );
    this.#manifest = manifest;
    this.#restored = {
      averaged: decodeSafetensors(weights, `${out}: weights`),
      state: decodeSafetensors(optimizer, `${out}: optimizer`),
    };
    this.#step = manifest.step;
    this.#bytes = manifest.bytesSeen;
    this.#bytesBefore = manifest.bytesSeen;
    this.#secondsBefore = manifest.seconds;
  }

  #seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#started - this.#pausedMs) / 1000;
  }

  /** Share of the run that is done: of its bytes, or of its minutes. */
  #done(): number {
    const byClock = this.#limitSeconds === undefined ? 0 : this.#seconds() / this.#limitSeconds;
    const byBytes = this.#boundByBytes ? this.#bytes / this.#target : 0;
    return Math.min(1, Math.max(byClock, byBytes));
  }

  #report(phase: TrainProgress["phase"], device: string): void {
    const seconds = this.#seconds();
    const done = this.#done();
    this.#o.onProgress?.({
      phase,
      step: this.#step,
      steps: this.#steps,
      bytes: this.#bytes,
      totalBytes: this.#target,
      seconds,
      secondsLeft: done > 0.002 ? (seconds * (1 - done)) / done : 0,
      loss: this.#loss,
      ...(this.#heldoutBpb === undefined ? {} : { heldoutBpb: this.#heldoutBpb }),
      bytesPerSecond: seconds > 0 ? this.#bytes / seconds : 0,
      device,
    });
  }

  async run(): Promise<TrainResult> {
    const { files, seed } = this.#o;
    this.#started = performance.now();
    const { device, reason } = this.#o.on ?? (await openDevice(this.#o.device));
    this.#logger.info(`training on ${device.name}: ${reason}`);
    let trainer: Trainer | undefined;
    try {
      this.#report("indexing", device.name);
      // On a CPU the memory's thread would take the cores whose speed `preset auto` measures.
      if (device.kind === "gpu") this.#fillMemory(device);
      else await this.#takeFacts();
      const auto = this.#o.preset === "auto" && this.#manifest === undefined;
      const chosen = auto ? await this.#choose(device) : undefined;
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
          spectrum: corpusSpectrum(concatenate(files)),
          seed,
          engram: this.#engram,
        }),
        this.#takeFacts(),
      ]);
      if (created.status === "fulfilled") trainer = created.value;
      else throw created.reason;
      if (facts.status === "rejected") throw facts.reason;
      const encoder =
        this.#config.facts === "on" ? createFactEncoder({ lexicon: this.#lexicon }) : undefined;
      const sampler = new Sampler(files, this.#config, encoder, seed);
      const dependencies = this.#dependencies(encoder);
      const perStep = this.#config.batch * this.#config.context;
      const target = chosen?.bytes ?? this.#o.bytes ?? sampler.totalSymbols * this.#config.epochs;
      this.#target =
        this.#manifest?.targetBytes ??
        (this.#manifest?.steps ?? Math.max(1, Math.round(target / perStep))) * perStep;
      this.#steps = stepsFor(this.#target, this.#config);
      if (sampler.totalSymbols < TINY_CORPUS_BYTES)
        this.#notes.push(
          `the workspace holds ${sampler.totalSymbols} bytes: the memory does the work, the network has little to learn from`,
        );
      if (this.#restored !== undefined)
        trainer.restore(this.#restored.averaged, this.#restored.state);
      this.#restored = undefined;
      if (chosen !== undefined && this.#limitSeconds !== undefined)
        this.#limitSeconds = lessTime(this.#limitSeconds, (performance.now() - compiling) / 1000);
      // Compiling and indexing are no training time: rates and the clock start here.
      this.#started = performance.now();
      const stopped = await this.#loop(device, trainer, { sampler, dependencies });
      this.#memoryEnough.abort();
      return await this.#finish(device, reason, trainer, stopped);
    } finally {
      this.#memoryStop.abort();
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
      elapsed: () => this.#seconds(),
    });
    this.#config = chosen.config;
    this.#boundByBytes = true;
    this.#limitSeconds = chosen.limitSeconds;
    this.#notes.push(chosen.note);
    this.#logger.info(chosen.note);
    this.#o.onChoice?.(chosen.choice);
    return chosen.choice;
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

  #predictor(parts: ModelParts): Predictor {
    const predictor = new Predictor(parts);
    this.#predictors.push(predictor);
    return predictor;
  }

  /** Starts from the checkpoint's memory where there is one, so that a resumed run need not calibrate again. */
  #fillMemory(device: Device): void {
    const { files, heldout, seed, minutes } = this.#o;
    this.#sample = sampleOf(heldout, FINAL_BYTES[device.kind]);
    const stored =
      this.#manifest === undefined
        ? undefined
        : readModelFile(this.#o.out, this.#manifest, "memory.bin");
    const started = performance.now();
    this.#memory = buildMemory(
      {
        files,
        calibration: {
          maxBytes: CALIBRATION_BYTES,
          leastBytes: CALIBRATION_LEAST_BYTES,
          seed,
          budgetMs:
            minutes === undefined
              ? CALIBRATION_MS
              : Math.min(CALIBRATION_MS, minutes * 60_000 * CALIBRATION_SHARE),
        },
        scored: this.#sample,
        // What was held out to measure is known to the memory in the end.
        absorbed: heldout,
        ...(stored === undefined ? {} : { stored }),
      },
      { stop: this.#memoryStop.signal, enough: this.#memoryEnough.signal },
    );
    this.#o.signal?.addEventListener("abort", () => this.#memoryStop.abort(), { once: true });
    this.#memory.then(
      ({ report }) =>
        this.#logger.info(
          `memory built in ${((performance.now() - started) / 1000).toFixed(1)} s` +
            (report === undefined
              ? ", weights taken from the checkpoint"
              : `, calibrated on ${report.bytes} bytes of ${report.files} files`),
        ),
      (error: Error) => (this.#memoryError = error),
    );
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
    const predictor = this.#predictor({
      config: this.#config,
      device,
      params: trainer.optimizer.ema,
      // The curve is the network's alone.
      memory: new SuffixMemory(),
      lexicon: this.#lexicon,
      mixer: this.#mixer,
      engram: this.#engram,
    });
    const curve = sampleOf(this.#o.heldout, CURVE_BYTES[device.kind]);
    let lastReport = 0;
    let reportedStep = this.#step;
    let reportedOverflows = 0;
    let lastSave = performance.now();
    let lastCurve = 0;
    let curveMs = 0;
    while (this.#done() < 1) {
      if (this.#o.signal?.aborted === true) {
        await this.#save(device, trainer, 0);
        return "aborted";
      }
      await this.#pause(device);
      if (this.#memoryError !== undefined) throw this.#memoryError;
      const done = this.#done();
      const factor = learningRateFactor({ step: this.#step, done }, this.#config);
      const batch = batchAt(done, this.#config);
      const sampler =
        done < this.#config.dependencyShare ? (from.dependencies ?? from.sampler) : from.sampler;
      const windows = sampler.step(this.#step, { batch, before: this.#bytes });
      await trainer.step({ step: this.#step, factor, windows });
      this.#step++;
      this.#bytes += batch * this.#config.context;
      const now = performance.now();
      if (now - lastReport > REPORT_SECONDS * 1000) {
        const [loss, { overflows }] = await Promise.all([
          trainer.loss(),
          trainer.optimizer.lossScaling(),
        ]);
        this.#loss = loss;
        if (!Number.isFinite(this.#loss))
          throw new CheckpointError(
            "NG_DIVERGED",
            `the loss became ${this.#loss} at step ${this.#step}`,
            "resume from the last checkpoint, or lower the learning rate",
          );
        // A loss scale is halved until gradients are finite; where that never happens, no step is taken any more.
        const taken = this.#step - reportedStep;
        if (taken >= SCALINGS && overflows - reportedOverflows >= taken)
          throw new CheckpointError(
            "NG_DIVERGED",
            `the last ${taken} steps had gradients that are no numbers, and were skipped`,
            "resume from the last checkpoint, lower the learning rate, or train with precision=f32",
          );
        reportedStep = this.#step;
        reportedOverflows = overflows;
        lastReport = performance.now();
        // The curve may take a small share of the time, whatever the device.
        if (
          curve.length > 0 &&
          (lastCurve === 0 || curveMs < CURVE_SHARE * (lastReport - lastCurve))
        ) {
          const t = performance.now();
          const bits: Float32Array[] = [];
          for (const f of curve)
            bits.push((await predictor.score({ ...f, memory: "off", network: "on" })).bits);
          this.#heldoutBpb = meanBits(bits) ?? Number.NaN;
          lastCurve = performance.now();
          curveMs = lastCurve - t;
        }
        this.#report("training", device.name);
        this.#metrics(factor);
      }
      if (performance.now() - lastSave > CHECKPOINT_SECONDS * 1000) {
        await this.#save(device, trainer, 0);
        lastSave = performance.now();
      }
    }
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
    this.#pausedMs += performance.now() - from;
  }

  #metrics(factor: number): void {
    try {
      mkdirSync(this.#o.out, { recursive: true });
      appendFileSync(
        join(this.#o.out, "metrics.jsonl"),
        JSON.stringify({
          step: this.#step,
          bytes: this.#bytes,
          seconds: this.#seconds(),
          loss: this.#loss,
          heldoutBpb: this.#heldoutBpb,
          factor,
        }) + "\n",
      );
    } catch {
      // The curve's file is a convenience; a save that fails speaks for itself.
    }
  }

  #fields(
    device: Device,
    trainer: Trainer,
    finished: 0 | 1,
    heldout: Manifest["heldout"],
  ): ManifestFields {
    const { files, seed } = this.#o;
    return {
      config: this.#config,
      params: trainer.paramCount,
      seed,
      step: this.#step,
      steps: this.#steps,
      ...(this.#boundByBytes ? { targetBytes: this.#target } : {}),
      ...(this.#limitSeconds === undefined ? {} : { targetSeconds: this.#limitSeconds }),
      bytesSeen: this.#bytes,
      seconds: this.#seconds(),
      finished: finished === 1,
      device: device.name,
      saw: {
        files: files.length,
        bytes: files.reduce((sum, f) => sum + f.bytes.length, 0),
        heldout: this.#o.heldout.map((f) => f.path),
        corpusHash: corpusHash(files),
      },
      heldout,
      mixer: this.#mixer.toJSON(),
      ...(this.#candidates === undefined ? {} : { candidates: this.#candidates.toJSON() }),
    };
  }

  async #save(
    device: Device,
    trainer: Trainer,
    finished: 0 | 1,
    heldout: Manifest["heldout"] = { bpb: null, network: this.#heldoutBpb ?? null, memory: null },
  ): Promise<void> {
    this.#report("saving", device.name);
    const first = !existsSync(join(this.#o.out, "manifest.json"));
    const carried: Record<string, Uint8Array> =
      first || finished === 1 || this.#manifest === undefined
        ? {
            "memory.bin": (await this.#memory!)[finished === 1 ? "whole" : "bytes"],
            ...(this.#engram === undefined ? {} : { "engram.bin": this.#engram.serialize() }),
            "lexicon.json.gz": gzipJson(this.#lexicon.serialize()),
            ...(this.#config.bpeTokens === undefined
              ? {}
              : { [BPE_FILE]: Buffer.from(JSON.stringify(this.#config.bpeTokens)) }),
            ...(this.#o.symbols === undefined
              ? {}
              : { "symbols.json.gz": gzipJson(await this.#o.symbols) }),
          }
        : {};
    this.#manifest = saveModel(this.#o.out, this.#fields(device, trainer, finished, heldout), {
      ...carried,
      "weights.safetensors": encodeSafetensors(await trainer.averaged()),
      "optimizer.safetensors": encodeSafetensors(await trainer.state()),
    });
  }

  async #finish(
    device: Device,
    reason: string,
    trainer: Trainer,
    stopped: "done" | "aborted",
  ): Promise<TrainResult> {
    const seconds = this.#seconds();
    if (stopped === "done" && this.#o.preset === "auto")
      keepSpeed(this.#o.speedsIn ?? this.#o.out, device, {
        preset: this.#config.preset,
        bytes: this.#bytes - this.#bytesBefore,
        seconds: seconds - this.#secondsBefore,
      });
    let scores: Manifest["heldout"] = { bpb: null, network: null, memory: null };
    if (stopped === "done") {
      this.#report("evaluating", device.name);
      scores = await this.#evaluate(device, trainer);
      await this.#save(device, trainer, 1, scores);
    }
    return {
      params: trainer.paramCount,
      bytes: this.#bytes,
      seconds,
      bytes_per_s: seconds > 0 ? this.#bytes / seconds : 0,
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
    const predictor = this.#predictor({
      config: this.#config,
      device,
      params: trainer.optimizer.ema,
      // What the memory says of these files is recorded.
      memory: new SuffixMemory(),
      lexicon: this.#lexicon,
      mixer: this.#mixer,
      engram: this.#engram,
    });
    const { mixer, candidates, ...scores } = await evaluateHeldout(predictor, {
      files: this.#sample,
      recalled: (await this.#memory!).records,
      lexicon: this.#lexicon,
    });
    this.#mixer = mixer;
    this.#candidates = candidates;
    return scores;
  }
}
