/** What a training run reads from its model directory when it is resumed, and what it writes there. */
import { appendFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { CorpusFile } from "./bytes.ts";
import type { CandidateWeights } from "./candidates/candidateWeights.ts";
import {
  BPE_FILE,
  readManifest,
  readModelFile,
  saveModel,
  type Manifest,
  type ManifestFields,
} from "./checkpoint.ts";
import type { ModelConfig } from "./config.ts";
import { corpusHash } from "./corpus.ts";
import type { EngramIndex } from "./engramIndex.ts";
import { CheckpointError } from "./errors.ts";
import type { FactLexicon } from "./facts/lexicon.ts";
import type { AnyMixer } from "./fitMixer.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "./safetensors.ts";
import type { Trainer } from "./trainer.ts";
import type { TrainingClock } from "./trainingClock.ts";
import type { TrainOptions } from "./trainOptions.ts";

export interface OpenedCheckpoint {
  readonly manifest: Manifest;
  readonly averaged: Map<string, StoredTensor>;
  readonly state: Map<string, StoredTensor>;
}

export function openCheckpoint(out: string): OpenedCheckpoint {
  const manifest = readManifest(out);
  const weights = readModelFile(out, manifest, "weights.safetensors");
  const optimizer = readModelFile(out, manifest, "optimizer.safetensors");
  if (weights === undefined || optimizer === undefined)
    throw new CheckpointError(
      "NG_NOT_RESUMABLE",
      `the model in ${out} holds no optimizer state`,
      "train without --resume to start anew",
    );
  return {
    manifest,
    averaged: decodeSafetensors(weights, `${out}: weights`),
    state: decodeSafetensors(optimizer, `${out}: optimizer`),
  };
}

/** A run as a checkpoint describes it. */
export interface CheckpointParts {
  readonly options: Pick<TrainOptions, "out" | "files" | "heldout" | "seed">;
  readonly config: ModelConfig;
  readonly clock: TrainingClock;
  readonly trainer: Trainer;
  /** The device's name. */
  readonly device: string;
  readonly finished: 0 | 1;
  readonly heldout: Manifest["heldout"];
  readonly mixer: AnyMixer;
  readonly candidates: CandidateWeights | undefined;
  /** What does not change while the network trains; undefined where the manifest before names it already. */
  readonly carried: Readonly<Record<string, Uint8Array>> | undefined;
}

/** The parts besides the weights. */
export function carriedFiles(o: {
  readonly config: ModelConfig;
  readonly memory: Uint8Array;
  readonly engram: EngramIndex | undefined;
  readonly lexicon: FactLexicon;
  readonly symbols: unknown;
}): Record<string, Uint8Array> {
  return {
    "memory.bin": o.memory,
    ...(o.engram === undefined ? {} : { "engram.bin": o.engram.serialize() }),
    "lexicon.json.gz": gzipJson(o.lexicon.serialize()),
    ...(o.config.bpeTokens === undefined
      ? {}
      : { [BPE_FILE]: Buffer.from(JSON.stringify(o.config.bpeTokens)) }),
    ...(o.symbols === undefined ? {} : { "symbols.json.gz": gzipJson(o.symbols) }),
  };
}

export async function saveCheckpoint(o: CheckpointParts): Promise<Manifest> {
  return saveModel(o.options.out, fieldsOf(o), {
    ...o.carried,
    "weights.safetensors": encodeSafetensors(await o.trainer.averaged()),
    "optimizer.safetensors": encodeSafetensors(await o.trainer.state()),
  });
}

export const hasCheckpoint = (out: string): boolean => existsSync(join(out, "manifest.json"));

/** One line of the curve's file. */
export function appendMetrics(out: string, figures: Readonly<Record<string, unknown>>): void {
  try {
    mkdirSync(out, { recursive: true });
    appendFileSync(join(out, "metrics.jsonl"), JSON.stringify(figures) + "\n");
  } catch {
    // The curve's file is a convenience; a save that fails speaks for itself.
  }
}

function fieldsOf(o: CheckpointParts): ManifestFields {
  const { files, heldout, seed } = o.options;
  const { clock, candidates } = o;
  return {
    config: o.config,
    params: o.trainer.paramCount,
    seed,
    step: clock.step,
    steps: clock.steps,
    ...(clock.boundByBytes ? { targetBytes: clock.target } : {}),
    ...(clock.limitSeconds === undefined ? {} : { targetSeconds: clock.limitSeconds }),
    bytesSeen: clock.bytes,
    seconds: clock.seconds,
    finished: o.finished === 1,
    device: o.device,
    saw: {
      files: files.length,
      bytes: bytesOf(files),
      heldout: heldout.map((f) => f.path),
      corpusHash: corpusHash(files),
    },
    heldout: o.heldout,
    mixer: o.mixer.toJSON(),
    ...(candidates === undefined ? {} : { candidates: candidates.toJSON() }),
  };
}

const bytesOf = (files: readonly CorpusFile[]): number =>
  files.reduce((sum, f) => sum + f.bytes.length, 0);
const gzipJson = (value: unknown): Uint8Array => gzipSync(Buffer.from(JSON.stringify(value)));
