/**
 * A trained model ready for use: weights on a device, the workspace's suffix memory, the lexicon of facts and the
 * mixer. Everything it knows is in its directory; nothing is fetched.
 */
import { gunzipSync } from "node:zlib";
import { readConfig, readManifest, readModelFile, type Manifest } from "./checkpoint.ts";
import { Candidates } from "./candidates/candidates.ts";
import { CandidateWeights } from "./candidates/candidateWeights.ts";
import type { NextByte } from "./candidates/nameSearch.ts";
import {
  Completer,
  type CompleteOptions,
  type Completion,
  type NamesOptions,
  type NamesResult,
} from "./completer.ts";
import { checkConfig, type ModelConfig } from "./config.ts";
import { Decoder } from "./decoder.ts";
import { EngramIndex } from "./engramIndex.ts";
import { Exclusive } from "./exclusive.ts";
import type { Device, DeviceChoice } from "./device.ts";
import { CheckpointError } from "./errors.ts";
import { nameBytes } from "./facts/byteKinds.ts";
import { createFactEncoder } from "./facts/encoder.ts";
import { FactLexicon } from "./facts/lexicon.ts";
import type { Tensor } from "./graph.ts";
import { silentLogger, type Logger } from "./logger.ts";
import { FOLLOW_RATE, type AnyMixer } from "./fitMixer.ts";
import { Mixer } from "./memory/mixer.ts";
import { mixerFromJSON, RankedMixer } from "./memory/rankedMixer.ts";
import { SuffixMemory } from "./memory/suffixMemory.ts";
import { openDevice } from "./openDevice.ts";
import { readWeights } from "./weights.ts";
import { Scorer } from "./scorer.ts";

export interface Score {
  /** −log2 p of every byte under the mixture asked for. */
  readonly bits: Float32Array;
  readonly bitsNetwork: Float32Array;
  readonly bitsMemory: Float32Array;
  /** 1 where the most probable byte is the byte. */
  readonly top1: Uint8Array;
  /** Only with `record: 1`: the network's, [bytes, 256], in shared memory for the threads that fit mixers on it. */
  readonly distributions: Float32Array | undefined;
}

export interface ScoreOptions {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly memory: "on" | "off";
  readonly network: "on" | "off";
  /** Whether names in scope change the mixture; off where it is not said, and where one side is off. */
  readonly candidates?: "on" | "off";
  readonly record?: 0 | 1;
  /** 1: the mixture's weights go on as they ended with the last file of the session, instead of as they were fitted. */
  readonly session?: 1;
}

/** Stands for the byte before the first one. */
const LINE_END = 10;

/** The parts a model is made of; `Model.load` reads them, training hands them over. */
export interface ModelParts {
  readonly config: ModelConfig;
  readonly device: Device;
  readonly params: ReadonlyMap<string, Tensor>;
  readonly memory: SuffixMemory;
  readonly lexicon: FactLexicon;
  readonly mixer: AnyMixer;
  /** Where the configuration has an n-gram memory. */
  readonly engram?: EngramIndex | undefined;
  /** What names in scope are worth; undefined before it was fitted. */
  readonly candidates?: CandidateWeights | undefined;
}

/** Scoring and completion over given parts. */
export class Predictor {
  readonly #parts: ModelParts;
  readonly #scoring = new Exclusive();
  readonly #completing = new Exclusive();
  readonly #candidates: Candidates | undefined;
  #scorer: Scorer | undefined;
  /** The mixture of the files that were scored as one session. */
  #session: RankedMixer | undefined;
  #completer: Completer | undefined;

  constructor(parts: ModelParts) {
    this.#parts = parts;
    const { lexicon, candidates: weights } = parts;
    if (weights !== undefined) this.#candidates = new Candidates({ lexicon, weights });
  }

  get hasCandidates(): boolean {
    return this.#candidates !== undefined;
  }

  async #ownScorer(): Promise<Scorer> {
    const { device, config, params, engram } = this.#parts;
    return (this.#scorer ??= await Scorer.create(device, config, params, engram));
  }

  async #completion(): Promise<Completer> {
    const { device, config, params, memory, lexicon, mixer, engram } = this.#parts;
    return (this.#completer ??= new Completer({
      decoder: await Decoder.create(device, config, params, engram),
      memory,
      mixer,
      lexicon,
      facts: config.facts,
      colour: config.colour,
      candidates: this.#candidates,
    }));
  }

  /** Frees what scoring and completion hold, once calls under way are answered; the parts stay their owner's. */
  async dispose(): Promise<void> {
    await Promise.all([this.#scoring.idle(), this.#completing.idle()]);
    this.#scorer?.dispose();
    this.#completer?.dispose();
  }

  /** Compiles what scoring needs, so that the first score does not. */
  async prepareScoring(): Promise<void> {
    await this.#scoring.run(() => this.#ownScorer());
  }

  /** Compiles what completions need, so that the first one does not. */
  async prepare(): Promise<void> {
    await this.#completing.run(() => this.#completion());
  }

  complete(o: CompleteOptions): Promise<Completion> {
    return this.#completing.run(async () => (await this.#completion()).complete(o));
  }

  /** The most probable whole names behind `before`, best first. */
  names(o: NamesOptions): Promise<NamesResult> {
    const search = { ...o, nameBytes: nameBytes(o.path) };
    return this.#completing.run(async () => (await this.#completion()).names(search));
  }

  /** What is expected behind `before` and any first bytes of a name, without names in scope: for fits. It holds until
   *  anything else is asked for. */
  mixture(o: { readonly path: string; readonly before: Uint8Array }): Promise<NextByte> {
    const text = { ...o, nameBytes: nameBytes(o.path) };
    return this.#completing.run(async () => (await this.#completion()).mixtureBehind(text));
  }

  embed(texts: readonly Uint8Array[]): Promise<Float32Array[]> {
    return this.#scoring.run(async () => (await this.#ownScorer()).embed(texts));
  }

  score(o: ScoreOptions): Promise<Score> {
    return this.#scoring.run(() => this.#score(o));
  }

  /** A copy follows this file, or this session; the fitted weights stay. */
  #follower({ session }: ScoreOptions): AnyMixer {
    const { mixer } = this.#parts;
    if (!(mixer instanceof RankedMixer)) return mixer;
    if (session !== 1) return mixer.copy();
    this.#session ??= mixer.copy();
    this.#session.beginFile();
    return this.#session;
  }

  async #score(o: ScoreOptions): Promise<Score> {
    const n = o.bytes.length;
    const score = {
      bits: new Float32Array(n),
      bitsNetwork: new Float32Array(n),
      bitsMemory: new Float32Array(n),
      top1: new Uint8Array(n),
    };
    const { memory, lexicon, config } = this.#parts;
    const mixer = this.#follower(o);
    const distributions =
      o.record === 1 ? new Float32Array(new SharedArrayBuffer(n * 1024)) : undefined;
    // Its own saved version is no memory of a file.
    const cursor = o.memory === "on" ? memory.cursor({ exclude: o.path }) : undefined;
    const names = o.candidates === "on" ? this.#candidates?.reader(o.path) : undefined;
    const fromMemory = new Float64Array(256);
    const mixed = new Float64Array(256);
    const visit = (
      at: number,
      p: Float32Array | undefined,
      offset: number,
      state: Float32Array | undefined,
    ): void => {
      const byte = o.bytes[at]!;
      const network = p?.subarray(offset, offset + 256);
      if (network !== undefined) distributions?.set(network, at * 256);
      const match = cursor?.predict(fromMemory);
      let distribution: Float64Array | Float32Array;
      if (network !== undefined && match !== undefined) {
        const last = at === 0 ? LINE_END : o.bytes[at - 1]!;
        const input = { network, memory: fromMemory, last, state, ...match };
        mixer.mix(input, mixed);
        names?.adjust(mixed);
        distribution = mixed;
      } else distribution = network ?? fromMemory;
      if (network !== undefined) score.bitsNetwork[at] = -Math.log2(network[byte]!);
      if (match !== undefined) score.bitsMemory[at] = -Math.log2(fromMemory[byte]!);
      const own = distribution[byte]!;
      score.bits[at] = -Math.log2(own);
      let best = 1;
      for (let other = 0; other < 256; other++)
        if (distribution[other]! > own || (distribution[other] === own && other < byte)) {
          best = 0;
          break;
        }
      score.top1[at] = best;
      cursor?.push(byte);
      names?.push(byte);
      if (network !== undefined && match !== undefined && mixer instanceof RankedMixer)
        mixer.learn({ byte, rate: FOLLOW_RATE });
    };
    if (o.network === "on") {
      const encoder =
        config.facts === "on" ? createFactEncoder({ lexicon, colour: config.colour }) : undefined;
      const scorer = await this.#ownScorer();
      const mixes = cursor !== undefined && mixer instanceof RankedMixer;
      await scorer.score(
        { path: o.path, bytes: o.bytes, encoder, ...(mixes ? { states: 1 } : {}) },
        visit,
      );
    } else for (let at = 0; at < n; at++) visit(at, undefined, 0, undefined);
    return { ...score, distributions };
  }
}

/** An open device to load a model on; with `owned: 1` it goes when the model goes. */
export interface OpenedFor {
  readonly device: Device;
  readonly reason: string;
  readonly owned?: 0 | 1;
}

/** The n-gram index of a model, where its configuration has one. */
export function loadEngram(dir: string, manifest: Manifest): EngramIndex | undefined {
  if (manifest.config.engram !== "on") return undefined;
  const bytes = readModelFile(dir, manifest, "engram.bin");
  if (bytes === undefined)
    throw new CheckpointError(
      "NG_MANIFEST",
      `the manifest in ${dir} names no n-gram index`,
      "train again, or restore the model folder from a copy",
    );
  return EngramIndex.deserialize(bytes, manifest.config);
}

export class Model {
  readonly manifest: Manifest;
  readonly device: { kind: "gpu" | "cpu"; name: string; reason: string };
  readonly memory: SuffixMemory;
  readonly lexicon: FactLexicon;
  readonly symbols: unknown;
  readonly #predictor: Predictor;
  readonly #dispose: () => Promise<void>;

  private constructor(o: {
    manifest: Manifest;
    device: Device;
    reason: string;
    parts: ModelParts;
    symbols: unknown;
    owned: 0 | 1;
  }) {
    this.manifest = o.manifest;
    this.device = { kind: o.device.kind, name: o.device.name, reason: o.reason };
    this.memory = o.parts.memory;
    this.lexicon = o.parts.lexicon;
    this.symbols = o.symbols;
    this.#predictor = new Predictor(o.parts);
    this.#dispose = async () => {
      await this.#predictor.dispose();
      for (const t of o.parts.params.values()) o.device.free(t);
      if (o.owned === 1) await o.device.dispose();
    };
  }

  /** Reads a model directory. Throws CheckpointError with what is wrong and what to do. */
  static async load(
    dir: string,
    o: { device: DeviceChoice; logger?: Logger; on?: OpenedFor },
  ): Promise<Model> {
    const logger = o.logger ?? silentLogger;
    const manifest = readManifest(dir);
    const config = readConfig(dir, manifest);
    checkConfig(config);
    const tensors = readWeights(dir, manifest);
    const memoryBytes = readModelFile(dir, manifest, "memory.bin");
    if (memoryBytes === undefined)
      throw new CheckpointError(
        "NG_MANIFEST",
        `the manifest in ${dir} names no memory`,
        "train again, or restore the model folder from a copy",
      );
    const json = (name: string): unknown => {
      const bytes = readModelFile(dir, manifest, name);
      return bytes === undefined
        ? undefined
        : (JSON.parse(gunzipSync(bytes).toString("utf8")) as unknown);
    };
    const memory = SuffixMemory.deserialize(memoryBytes);
    const lexiconData = json("lexicon.json.gz");
    const lexicon =
      lexiconData === undefined ? new FactLexicon() : FactLexicon.deserialize(lexiconData);
    const engram = loadEngram(dir, manifest);
    const { device, reason } = o.on ?? (await openDevice(o.device, { logger }));
    logger.info(`model of ${manifest.params} parameters on ${device.name}: ${reason}`);
    const params = new Map<string, Tensor>();
    for (const [name, value] of tensors) {
      const t = device.tensor(name, value.shape);
      device.write(t, value.data);
      params.set(name, t);
    }
    const mixer =
      manifest.mixer === undefined || manifest.mixer === null
        ? new Mixer()
        : mixerFromJSON(manifest.mixer);
    const candidates =
      manifest.candidates === undefined
        ? undefined
        : CandidateWeights.fromJSON(manifest.candidates);
    return new Model({
      manifest,
      device,
      reason,
      parts: { config, device, params, memory, lexicon, mixer, engram, candidates },
      symbols: json("symbols.json.gz"),
      owned: o.on?.owned ?? (o.on === undefined ? 1 : 0),
    });
  }

  /** Whether the worth of names in scope was fitted. */
  get hasCandidates(): boolean {
    return this.#predictor.hasCandidates;
  }

  /** Compiles what completions need, so that the first one does not. */
  prepare(): Promise<void> {
    return this.#predictor.prepare();
  }

  complete(o: CompleteOptions): Promise<Completion> {
    return this.#predictor.complete(o);
  }

  names(o: NamesOptions): Promise<NamesResult> {
    return this.#predictor.names(o);
  }

  /** Of the fit of what a language server's list is worth. */
  mixture(o: { readonly path: string; readonly before: Uint8Array }): Promise<NextByte> {
    return this.#predictor.mixture(o);
  }

  score(o: ScoreOptions): Promise<Score> {
    return this.#predictor.score(o);
  }

  embed(texts: readonly Uint8Array[]): Promise<Float32Array[]> {
    return this.#predictor.embed(texts);
  }

  setFile(path: string, bytes: Uint8Array): void {
    this.memory.setFile(path, bytes);
  }

  /** Forgets a file, or all that lies below a folder: of a folder that goes, editors name the folder alone. */
  removeFile(path: string): void {
    const isFile = this.memory.bytesOf(path) !== undefined;
    for (const one of isFile ? [path] : [path, ...this.memory.filesBelow(path)]) {
      this.memory.removeFile(one);
      this.lexicon.removeFile(one);
    }
  }

  dispose(): Promise<void> {
    return this.#dispose();
  }
}
