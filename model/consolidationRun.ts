/**
 * The steps of a consolidation: which changed files surprise the model, their replay beside older ones, and what
 * the network then predicts of held-out files and of the lines that were held back. Any number of replays start from the
 * same model.
 */
import { gunzipSync } from "node:zlib";
import type { CorpusFile } from "./bytes.ts";
import type { ChangedText } from "./changedText.ts";
import { readConfig, readModelFile, type Manifest } from "./checkpoint.ts";
import type { ModelConfig } from "./config.ts";
import { concatenate } from "./corpus.ts";
import type { Device } from "./device.ts";
import { createFactEncoder } from "./facts/encoder.ts";
import { FactLexicon } from "./facts/lexicon.ts";
import { FINAL_BYTES, meanBits, sampleOf } from "./heldout.ts";
import { RankedMixer } from "./memory/rankedMixer.ts";
import { SuffixMemory } from "./memory/suffixMemory.ts";
import { loadEngram, Predictor } from "./model.ts";
import { decodeSafetensors, type StoredTensor } from "./safetensors.ts";
import { Sampler } from "./sampler.ts";
import { Trainer } from "./trainer.ts";
import { learnedText } from "./trainingPatches.ts";
import { readWeights } from "./weights.ts";

/** What half of every step is: changed files, or older ones like the other half. */
export type Replay = "changed" | "older";

export interface ConsolidationProgress {
  readonly phase: "choosing" | "measuring" | "comparing" | "learning" | "checking";
  /** Of the phase. */
  readonly share: number;
  readonly device: string;
}

export interface ConsolidationRunOptions {
  readonly dir: string;
  readonly seed: number;
  readonly rate?: number;
  readonly onProgress?: (p: ConsolidationProgress) => void;
  /** Read between steps and files. */
  readonly control?: { paused: boolean };
  readonly signal?: AbortSignal;
}

interface RunParts {
  readonly device: Device;
  readonly manifest: Manifest;
  readonly heldout: readonly CorpusFile[];
  readonly older: readonly CorpusFile[];
  /** The stored state of the optimizer. */
  readonly optimizer: Uint8Array;
}

/** Bytes of changed files that are looked at, and learned from. */
const REPLAY_BYTES = { gpu: 200_000, cpu: 60_000 } as const;
const PASSES = 2;
const STEPS = { least: 4, most: 60 } as const;
/** Of the training rates. */
const RATE = 0.3;
/** Few steps must reach the averages, which are what is used. */
const EMA_DECAY = 0.9;
/** What the model finds ordinary: so many other files, so much of each, less its beginning, which is always hard. */
const ORDINARY = { files: 8, bytes: 2048, beginning: 512 } as const;
const PAUSE_MS = 50;

/** Steps start from the averages, which are what is used: from the weights behind them, the averages would move towards
 *  those whatever is replayed, and where training had begun to overfit that alone makes held-out files worse. */
function fromAverages(
  state: ReadonlyMap<string, StoredTensor>,
  averaged: ReadonlyMap<string, StoredTensor>,
): Map<string, StoredTensor> {
  return new Map([...state, ...[...averaged].map(([name, t]) => [`raw.${name}`, t] as const)]);
}

export class ConsolidationRun {
  readonly trainer: Trainer;
  readonly #o: ConsolidationRunOptions;
  readonly #parts: RunParts;
  readonly #config: ModelConfig;
  readonly #lexicon: FactLexicon;
  readonly #predictor: Predictor;
  readonly #averaged: ReadonlyMap<string, StoredTensor>;
  readonly #state: ReadonlyMap<string, StoredTensor>;
  #chosen: readonly { readonly text: ChangedText; readonly bpb: number }[] = [];

  private constructor(
    o: ConsolidationRunOptions,
    parts: RunParts,
    made: { config: ModelConfig; trainer: Trainer },
  ) {
    const { dir } = o;
    const { device, manifest } = parts;
    this.#o = o;
    this.#parts = parts;
    this.#config = made.config;
    this.trainer = made.trainer;
    this.#averaged = readWeights(dir, manifest);
    this.#state = fromAverages(
      decodeSafetensors(parts.optimizer, `${dir}: optimizer`),
      this.#averaged,
    );
    const stored = readModelFile(dir, manifest, "lexicon.json.gz");
    this.#lexicon =
      stored === undefined
        ? new FactLexicon()
        : FactLexicon.deserialize(JSON.parse(gunzipSync(stored).toString("utf8")) as unknown);
    this.#predictor = new Predictor({
      config: made.config,
      device,
      params: made.trainer.optimizer.ema,
      // The network alone is measured.
      memory: new SuffixMemory(),
      mixer: new RankedMixer(),
      lexicon: this.#lexicon,
      engram: loadEngram(dir, manifest),
    });
    this.trainer.restore(this.#averaged, this.#state);
  }

  static async create(o: ConsolidationRunOptions, parts: RunParts): Promise<ConsolidationRun> {
    const { device, manifest, older } = parts;
    const config = { ...readConfig(o.dir, manifest), emaDecay: EMA_DECAY, batchStart: 0 };
    const engram = loadEngram(o.dir, manifest);
    const trainer = await Trainer.create({
      device,
      config,
      ...learnedText(config, concatenate(older)),
      seed: o.seed,
      engram,
    });
    return new ConsolidationRun(o, parts, { config, trainer });
  }

  async dispose(): Promise<void> {
    await this.#predictor.dispose();
    this.trainer.dispose();
  }

  /** The files that are replayed, the most surprising first. */
  get replayed(): { readonly path: string; readonly bpb: number }[] {
    return this.#chosen.map(({ text, bpb }) => ({ path: text.file.path, bpb }));
  }

  /**
   * Chooses the files whose new lines cost more bits than files that the model knows. False where there is none, or none
   * of which lines could be held back.
   */
  async choose(texts: readonly ChangedText[]): Promise<boolean> {
    const ordinary = await this.#ordinary();
    const scored: { text: ChangedText; bpb: number }[] = [];
    let room: number = REPLAY_BYTES[this.#parts.device.kind];
    for (const [i, text] of texts.entries()) {
      if (room <= 0) break;
      this.#tell("choosing", i / texts.length);
      room -= text.file.bytes.length;
      const bits = await this.#bits(text.file);
      const bpb = meanBits(text.fresh.map(({ from, to }) => bits.subarray(from, to)));
      if (bpb !== null && bpb > ordinary) scored.push({ text, bpb });
    }
    this.#chosen = scored.sort((a, b) => b.bpb - a.bpb);
    return this.#chosen.some(({ text }) => text.heldBack !== undefined);
  }

  /** Bits per byte of text that the model has learned. */
  async #ordinary(): Promise<number> {
    const { older } = this.#parts;
    const every = Math.ceil(older.length / ORDINARY.files);
    const known: Float32Array[] = [];
    for (let i = 0; i < older.length; i += every) {
      const { path, bytes } = older[i]!;
      const bits = await this.#bits({ path, bytes: bytes.subarray(0, ORDINARY.bytes) });
      known.push(bits.subarray(Math.min(ORDINARY.beginning, bits.length >> 1)));
    }
    return meanBits(known) ?? 0;
  }

  /** Restores the model and takes the steps of one replay. Returns how many. */
  async replay(replay: Replay): Promise<number> {
    const { seed } = this.#o;
    const config = this.#config;
    const encoder =
      config.facts === "on"
        ? createFactEncoder({ lexicon: this.#lexicon, colour: config.colour })
        : undefined;
    const learned = this.#chosen.flatMap(({ text }) => text.learned);
    const changed = new Sampler(learned, config, encoder, seed);
    const older = new Sampler(this.#parts.older, config, encoder, seed + 1);
    const others = new Sampler(this.#parts.older, config, encoder, seed + 2);
    const half = Math.max(1, config.batch >> 1);
    const wanted = (PASSES * changed.totalSymbols) / (half * config.context);
    const steps = Math.min(STEPS.most, Math.max(STEPS.least, Math.ceil(wanted)));
    const rate = this.#o.rate ?? RATE;
    this.trainer.restore(this.#averaged, this.#state);
    for (let i = 0; i < steps; i++) {
      this.#tell(replay === "changed" ? "learning" : "comparing", i / steps);
      await this.#breathe();
      const step = this.#parts.manifest.step + i;
      const first = replay === "changed" ? changed : others;
      const windows = first.step(step, { batch: half });
      if (config.batch > half) windows.push(...older.step(step, { batch: config.batch - half }));
      await this.trainer.step({ step, factor: rate * (1 - i / steps), windows });
    }
    return steps;
  }

  /** Bits of held-out bytes under the averaged weights, the same bytes in the same order each time. */
  async heldoutBits(phase: "measuring" | "checking"): Promise<Float32Array[]> {
    const heldout: Float32Array[] = [];
    for (const f of sampleOf(this.#parts.heldout, FINAL_BYTES[this.#parts.device.kind])) {
      heldout.push(await this.#bits(f));
      this.#tell(phase, 0.5);
    }
    return heldout;
  }

  /** The same of the new lines that were held back. */
  async changedBits(): Promise<Float32Array[]> {
    const changed: Float32Array[] = [];
    let room: number = FINAL_BYTES[this.#parts.device.kind];
    for (const { text } of this.#chosen) {
      if (text.heldBack === undefined || room <= 0) continue;
      const { file, heldBack, measured } = text;
      // Windows reach no further back.
      const start = Math.max(0, heldBack.from - this.#config.context);
      const stretch = { path: file.path, bytes: file.bytes.subarray(start, heldBack.to) };
      room -= stretch.bytes.length;
      const bits = await this.#bits(stretch);
      changed.push(...measured.map(({ from, to }) => bits.subarray(from - start, to - start)));
    }
    return changed;
  }

  async #bits(f: CorpusFile): Promise<Float32Array> {
    await this.#breathe();
    return (await this.#predictor.score({ ...f, memory: "off", network: "on" })).bits;
  }

  /** Lets messages in, and waits while paused. Throws where nobody wants the run any more. */
  async #breathe(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#o.control?.paused === true && this.#o.signal?.aborted !== true)
      await new Promise<void>((resolve) => setTimeout(resolve, PAUSE_MS));
    this.#o.signal?.throwIfAborted();
  }

  #tell(phase: ConsolidationProgress["phase"], share: number): void {
    this.#o.onProgress?.({ phase, share, device: this.#parts.device.name });
  }
}
