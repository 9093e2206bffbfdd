/**
 * Consolidation: a trained model learns what changed since, in a few steps at a low rate. Changed files are chosen by
 * surprise (bits per byte under the model as it is), half of every step is other files, and the result takes the model's
 * place only if the held-out files that did not change are predicted no worse. The version before is kept.
 * Source: rehearsal against forgetting (Robins 1995); replay by surprise after prioritized replay (arXiv 1511.05952 §3).
 */
import { gunzipSync } from "node:zlib";
import type { CorpusFile } from "./bytes.ts";
import { readConfig, readManifest, readModelFile, saveModel, type Manifest } from "./checkpoint.ts";
import { concatenate } from "./corpus.ts";
import type { Device, DeviceChoice } from "./device.ts";
import { CheckpointError, CorpusError } from "./errors.ts";
import { createFactEncoder } from "./facts/encoder.ts";
import { FactLexicon } from "./facts/lexicon.ts";
import { FINAL_BYTES, meanBits, sampleOf } from "./heldout.ts";
import { silentLogger, type Logger } from "./logger.ts";
import { mixerFromJSON, RankedMixer } from "./memory/rankedMixer.ts";
import { SuffixMemory } from "./memory/suffixMemory.ts";
import { loadEngram, Predictor } from "./model.ts";
import { openDevice } from "./openDevice.ts";
import { keepVersion } from "./promote.ts";
import { decodeSafetensors, encodeSafetensors } from "./safetensors.ts";
import { Sampler } from "./sampler.ts";
import { corpusSpectrum } from "./spectrum.ts";
import { Trainer } from "./trainer.ts";
import { readWeights } from "./weights.ts";

export interface ConsolidateOptions {
  /** The model's folder. */
  readonly dir: string;
  /** The workspace as it is now. */
  readonly files: readonly CorpusFile[];
  /** Paths that changed since the model learned. */
  readonly changed: ReadonlySet<string>;
  readonly device: DeviceChoice;
  readonly seed: number;
  /** Of the training rates; default a tenth. */
  readonly rate?: number;
  readonly control?: { paused: boolean };
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  readonly on?: { device: Device; reason: string };
}

export interface Consolidation {
  readonly outcome: "accepted" | "refused" | "nothing" | "aborted";
  /** Files that were replayed, the most surprising first, with their bits per byte before. */
  readonly replayed: readonly { readonly path: string; readonly bpb: number }[];
  readonly steps: number;
  /** Held-out bits per byte of the network, before and after; null where nothing was measured. */
  readonly before: number | null;
  readonly after: number | null;
}

const REPLAY_BYTES = 200_000;
const PASSES = 2;
const STEPS = { least: 4, most: 60 } as const;
/** Of the training rates. */
const RATE = 0.1;
/** Few steps must reach the averages, which are what is used. */
const EMA_DECAY = 0.9;
/** Other files that say what the model finds ordinary. */
const ORDINARY_BYTES = 12_000;
const PAUSE_MS = 50;

const NOTHING = { replayed: [], steps: 0, before: null, after: null } as const;

export async function consolidate(o: ConsolidateOptions): Promise<Consolidation> {
  const manifest = readManifest(o.dir);
  const optimizer = readModelFile(o.dir, manifest, "optimizer.safetensors");
  if (optimizer === undefined || !manifest.finished)
    throw new CheckpointError(
      "NG_NOT_RESUMABLE",
      `the model in ${o.dir} cannot go on learning: it ${optimizer === undefined ? "holds no optimizer state" : "is not finished"}`,
      "train a model first",
    );
  const heldoutPaths = new Set(manifest.saw.heldout);
  const heldout = o.files.filter((f) => heldoutPaths.has(f.path) && !o.changed.has(f.path));
  const learned = o.files.filter((f) => !heldoutPaths.has(f.path));
  const changed = learned.filter((f) => o.changed.has(f.path));
  const older = learned.filter((f) => !o.changed.has(f.path));
  if (changed.length === 0 || older.length === 0) return { outcome: "nothing", ...NOTHING };
  if (heldout.length === 0)
    throw new CorpusError(
      "NG_NO_HELDOUT",
      "every held-out file changed, so nothing can say whether the model became worse",
      "train anew",
    );
  const { device } = o.on ?? (await openDevice(o.device));
  const run = new ConsolidationRun(o, { device, manifest, heldout, older });
  try {
    return await run.run(changed, decodeSafetensors(optimizer, `${o.dir}: optimizer`));
  } finally {
    await run.dispose();
    if (o.on === undefined) await device.dispose();
  }
}

interface RunParts {
  readonly device: Device;
  readonly manifest: Manifest;
  readonly heldout: readonly CorpusFile[];
  readonly older: readonly CorpusFile[];
}

class ConsolidationRun {
  readonly #o: ConsolidateOptions;
  readonly #parts: RunParts;
  readonly #lexicon: FactLexicon;
  #trainer: Trainer | undefined;
  #predictor: Predictor | undefined;

  constructor(o: ConsolidateOptions, parts: RunParts) {
    this.#o = o;
    this.#parts = parts;
    const stored = readModelFile(o.dir, parts.manifest, "lexicon.json.gz");
    this.#lexicon =
      stored === undefined
        ? new FactLexicon()
        : FactLexicon.deserialize(JSON.parse(gunzipSync(stored).toString("utf8")) as unknown);
  }

  async dispose(): Promise<void> {
    await this.#predictor?.dispose();
    this.#trainer?.dispose();
  }

  async run(
    changed: readonly CorpusFile[],
    state: ReturnType<typeof decodeSafetensors>,
  ): Promise<Consolidation> {
    const { dir, seed } = this.#o;
    const { device, manifest, older } = this.#parts;
    const config = { ...readConfig(dir, manifest), emaDecay: EMA_DECAY, batchStart: 0 };
    const engram = loadEngram(dir, manifest);
    const spectrum = corpusSpectrum(concatenate(older));
    const trainer = await Trainer.create({ device, config, spectrum, seed, engram });
    this.#trainer = trainer;
    trainer.restore(readWeights(dir, manifest), state);
    this.#predictor = new Predictor({
      config,
      device,
      params: trainer.optimizer.ema,
      memory: new SuffixMemory(),
      lexicon: this.#lexicon,
      mixer: manifest.mixer == null ? new RankedMixer() : mixerFromJSON(manifest.mixer),
      engram,
    });
    const before = await this.#heldoutBits();
    const replayed = await this.#surprising(changed);
    if (replayed.length === 0) return { outcome: "nothing", ...NOTHING, before };
    const encoder =
      config.facts === "on" ? createFactEncoder({ lexicon: this.#lexicon }) : undefined;
    const fresh = new Sampler(
      replayed.map(({ file }) => file),
      config,
      encoder,
      seed,
    );
    const other = new Sampler(older, config, encoder, seed + 1);
    const half = Math.max(1, config.batch >> 1);
    const wanted = (PASSES * fresh.totalSymbols) / (half * config.context);
    const steps = Math.min(STEPS.most, Math.max(STEPS.least, Math.ceil(wanted)));
    for (let i = 0; i < steps; i++) {
      await this.#pause();
      if (this.#o.signal?.aborted === true)
        return { outcome: "aborted", ...NOTHING, steps: i, before };
      const step = manifest.step + i;
      const windows = fresh.step(step, { batch: half });
      if (config.batch > half) windows.push(...other.step(step, { batch: config.batch - half }));
      await trainer.step({ step, factor: (this.#o.rate ?? RATE) * (1 - i / steps), windows });
    }
    const after = await this.#heldoutBits();
    const accepted = after <= before;
    if (accepted)
      await this.#save(trainer, { steps, after, bytes: steps * config.batch * config.context });
    (this.#o.logger ?? silentLogger).info(
      `consolidation ${accepted ? "accepted" : "refused"}: held-out ${before.toFixed(4)} → ${after.toFixed(4)} bits per byte after ${steps} steps on ${replayed.length} changed files`,
    );
    return {
      outcome: accepted ? "accepted" : "refused",
      replayed: replayed.map(({ file, bpb }) => ({ path: file.path, bpb })),
      steps,
      before,
      after,
    };
  }

  async #bits(f: CorpusFile): Promise<Float32Array> {
    return (await this.#predictor!.score({ ...f, memory: "off", network: "on" })).bits;
  }

  async #heldoutBits(): Promise<number> {
    const bits: Float32Array[] = [];
    for (const f of sampleOf(this.#parts.heldout, FINAL_BYTES[this.#parts.device.kind]))
      bits.push(await this.#bits(f));
    return meanBits(bits) ?? Number.NaN;
  }

  /** Changed files that cost more bits than files the model knows, the most surprising first. */
  async #surprising(
    changed: readonly CorpusFile[],
  ): Promise<{ readonly file: CorpusFile; readonly bpb: number }[]> {
    const known: Float32Array[] = [];
    for (const f of sampleOf(this.#parts.older, ORDINARY_BYTES)) known.push(await this.#bits(f));
    const ordinary = meanBits(known) ?? 0;
    const scored: { file: CorpusFile; bpb: number }[] = [];
    let room = REPLAY_BYTES;
    for (const f of changed) {
      if (room <= 0 || this.#o.signal?.aborted === true) break;
      room -= f.bytes.length;
      const bpb = meanBits([await this.#bits(f)]);
      if (bpb !== null && bpb > ordinary) scored.push({ file: f, bpb });
    }
    return scored.sort((a, b) => b.bpb - a.bpb);
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#o.control?.paused === true && this.#o.signal?.aborted !== true)
      await new Promise<void>((resolve) => setTimeout(resolve, PAUSE_MS));
  }

  async #save(
    trainer: Trainer,
    done: { readonly steps: number; readonly bytes: number; readonly after: number },
  ): Promise<void> {
    const { dir, files, changed } = this.#o;
    const { manifest } = this.#parts;
    const stored = readModelFile(dir, manifest, "memory.bin");
    const memory = stored === undefined ? undefined : SuffixMemory.deserialize(stored);
    for (const f of files) if (changed.has(f.path)) memory?.setFile(f.path, f.bytes);
    keepVersion(dir);
    const { format: _f, version: _v, createdAt: _c, files: _files, ...fields } = manifest;
    saveModel(
      dir,
      {
        ...fields,
        step: manifest.step + done.steps,
        steps: manifest.steps + done.steps,
        bytesSeen: manifest.bytesSeen + done.bytes,
        heldout: { ...manifest.heldout, network: done.after },
      },
      {
        "weights.safetensors": encodeSafetensors(await trainer.averaged()),
        "optimizer.safetensors": encodeSafetensors(await trainer.state()),
        ...(memory === undefined ? {} : { "memory.bin": memory.serialize() }),
      },
    );
  }
}
