/**
 * Fits the mixture of memory and network on held-out files: first one weight per situation, then the ranked
 * logistic mixture on top. The reported score is cross-fitted: no file is measured with weights it was fitted on.
 */
import { Mixer, type MixInput, type MixSample } from "./memory/mixer.ts";
import { EvidenceReader } from "./memory/placeEvidence.ts";
import type { MemoryRecord } from "./memory/record.ts";
import type { MixtureWeights } from "./memory/mixtureWeights.ts";
import { RankedMixer, type RankedMixerJson } from "./memory/rankedMixer.ts";

export type AnyMixer = Mixer | RankedMixer;

/** What both sides said of one file, byte by byte. */
export interface Recorded extends Omit<MemoryRecord, "evidence"> {
  /** Undefined where the two distributions are all there is. */
  readonly evidence?: MemoryRecord["evidence"] | undefined;
  readonly bytes: Uint8Array;
  /** [bytes, 256] */
  readonly network: Float32Array;
}

const FIT_RATE_FIRST = 0.01;
const FIT_RATE_LAST = 0.005;
/** How fast a copy follows the file it is used on. */
export const FOLLOW_RATE = 0.007;
const FOLDS = 4;
const LINE_END = 10;

/** Calls visit with the mixer's input for every byte of a file, in order. */
function replay(
  r: Recorded,
  visit: (input: MixInput & { network: Float32Array }, byte: number, at: number) => void,
): void {
  const memory = new Float64Array(256);
  const evidence = r.evidence === undefined ? undefined : new EvidenceReader(r.evidence);
  for (let at = 0; at < r.bytes.length; at++) {
    const offset = at * 256;
    let sum = 0;
    for (let i = 0; i < 256; i++) sum += memory[i] = r.memory[offset + i]!;
    // Stored in float32: brought back to sum 1.
    for (let i = 0; i < 256; i++) memory[i]! /= sum;
    visit(
      {
        network: r.network.subarray(offset, offset + 256),
        memory,
        matchLength: r.matchLength[at]!,
        total: r.total[at]!,
        evidence: evidence?.read(at),
        last: at === 0 ? LINE_END : r.bytes[at - 1]!,
      },
      r.bytes[at]!,
      at,
    );
  }
}

/** Starts from what other repositories taught, or from the weights given. */
export function fitMixer(
  records: readonly Recorded[],
  o: { readonly weights?: MixtureWeights; readonly firstRate?: number } = {},
): RankedMixer {
  const linear = new Mixer();
  const samples: MixSample[] = [];
  let n = 0;
  for (const r of records) {
    n += r.bytes.length;
    replay(r, (input, byte) =>
      samples.push({
        pNetwork: input.network[byte]!,
        pMemory: input.memory[byte]!,
        bucket: linear.bucketOf(input),
      }),
    );
  }
  linear.fit(samples);
  const mixer = new RankedMixer(linear, o.weights);
  const first = o.firstRate ?? FIT_RATE_FIRST;
  const out = new Float64Array(256);
  let seen = 0;
  for (const r of records)
    replay(r, (input, byte) => {
      mixer.mix(input, out);
      mixer.learn({ byte, rate: first + ((FIT_RATE_LAST - first) * seen++) / n });
    });
  return mixer;
}

/** −log2 p of every byte, by a copy of the mixer that follows the file; `visit` sees every distribution first. */
export function mixedBits(
  mixer: RankedMixer,
  r: Recorded,
  visit?: (mixed: Float64Array, byte: number) => void,
): Float32Array {
  const own = mixer.copy();
  const out = new Float64Array(256);
  const bits = new Float32Array(r.bytes.length);
  replay(r, (input, byte, at) => {
    own.mix(input, out);
    bits[at] = -Math.log2(out[byte]!);
    own.learn({ byte, rate: FOLLOW_RATE });
    visit?.(out, byte);
  });
  return bits;
}

/** A file as a mixture that was fitted elsewhere sees it. */
export interface MixedRecord {
  readonly bits: Float32Array;
  /** [bytes, 256], in shared memory. */
  readonly mixed: Float32Array;
}

/** Files to fit a mixer on, and others to score with it. */
export interface FitTask {
  readonly fit: readonly Recorded[];
  readonly score: readonly Recorded[];
}

export interface Fitted {
  readonly mixer: RankedMixerJson;
  readonly scored: readonly MixedRecord[];
}

export function runFitTask({ fit, score }: FitTask): Fitted {
  const mixer = fit.length === 0 ? new RankedMixer() : fitMixer(fit);
  const scored = score.map((r): MixedRecord => {
    const mixed = new Float32Array(new SharedArrayBuffer(r.bytes.length * 1024));
    let at = 0;
    const bits = mixedBits(mixer, r, (p) => mixed.set(p, 256 * at++));
    return { bits, mixed };
  });
  return { mixer: mixer.toJSON(), scored };
}

/** Fits on all files but those at i modulo the number of folds, and scores these; where there is one file, it is scored
 *  by a mixer that was never fitted. */
export function foldTasks(records: readonly Recorded[]): FitTask[] {
  const folds = Math.min(FOLDS, records.length);
  return Array.from({ length: folds }, (_, fold) => ({
    fit: records.filter((__, i) => i % folds !== fold),
    score: records.filter((__, i) => i % folds === fold),
  }));
}
