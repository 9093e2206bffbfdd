/**
 * Fits the mixture of memory and network on held-out files: first one weight per situation, then the ranked
 * logistic mixture on top. The reported score is cross-fitted: no file is measured with weights it was fitted on.
 */
import { Mixer, type MixInput, type MixSample } from "./memory/mixer.ts";
import { RankedMixer } from "./memory/rankedMixer.ts";

export type AnyMixer = Mixer | RankedMixer;

/** What both sides said of one file, byte by byte. */
export interface Recorded {
  readonly bytes: Uint8Array;
  /** [bytes, 256] each. */
  readonly network: Float32Array;
  readonly memory: Float32Array;
  readonly matchLength: Uint16Array;
  readonly total: Float64Array;
}

const FIT_RATE_FIRST = 0.02;
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
        last: at === 0 ? LINE_END : r.bytes[at - 1]!,
      },
      r.bytes[at]!,
      at,
    );
  }
}

export function fitMixer(records: readonly Recorded[]): RankedMixer {
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
  const mixer = new RankedMixer(linear);
  const out = new Float64Array(256);
  let seen = 0;
  for (const r of records)
    replay(r, (input, byte) => {
      mixer.mix(input, out);
      mixer.learn({ byte, rate: FIT_RATE_FIRST + ((FIT_RATE_LAST - FIT_RATE_FIRST) * seen++) / n });
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

/** What each fold's mixer is fitted on: all files but its own, which are those at i modulo the number of folds. None
 *  where there are too few files to leave any out. */
export function foldSets(records: readonly Recorded[]): Recorded[][] {
  const folds = Math.min(FOLDS, records.length);
  if (folds < 2) return [];
  return Array.from({ length: folds }, (_, fold) => records.filter((__, i) => i % folds !== fold));
}

/** For every file the mixer of its fold, or one that was never fitted. */
export function mixersOfFiles(files: number, ofFolds: readonly RankedMixer[]): RankedMixer[] {
  return Array.from({ length: files }, (_, i) =>
    ofFolds.length === 0 ? new RankedMixer() : ofFolds[i % ofFolds.length]!,
  );
}

/** Bits of every byte with every file scored by weights that were fitted on the other folds. */
export function crossFittedBits(records: readonly Recorded[]): Float32Array[] {
  const mixers = mixersOfFiles(records.length, foldSets(records).map(fitMixer));
  return records.map((r, i) => mixedBits(mixers[i]!, r));
}
