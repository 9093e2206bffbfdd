/** Mixes the memory's and the network's distributions: p = λ·memory + (1 − λ)·network, one λ per situation. A situation
 *  is made of the length of the match and of how sure each side is of its first choice: of the past and of the two
 *  distributions only, never of the byte to come. Fit λ on bytes whose file was left out of the memory. */

import { z } from "zod";
import { CheckpointError, ShapeError } from "../errors.ts";
import type { PlaceEvidence } from "./placeEvidence.ts";

export interface MixInput {
  /** 256 probabilities; brought to sum 1 here if float32 rounding left them off it. */
  readonly network: Float32Array | Float64Array;
  /** 256 probabilities. */
  readonly memory: Float64Array;
  readonly matchLength: number;
  /** How often the matched context was seen. */
  readonly total: number;
  /** The byte before the one to come; a line end at the beginning of a file. */
  readonly last: number;
  /** What the network's logits are linear in, where it is known. */
  readonly state?: Float32Array | undefined;
  /** 1: no byte follows to learn from, and nothing is learned of the state. */
  readonly passing?: 1;
  /** What the memory counted, where it is known. */
  readonly evidence?: PlaceEvidence | undefined;
}

/** What both sides gave to the byte that came. */
export interface MixSample {
  readonly pNetwork: number;
  readonly pMemory: number;
  readonly bucket: number;
}

const MATCH_BOUNDS = [2, 4, 6, 9, 16, 32] as const;
const SURE_BOUNDS = [0.2, 0.4, 0.6, 0.8, 0.95, 0.99] as const;
const MATCHES = MATCH_BOUNDS.length + 1;
const SURES = SURE_BOUNDS.length + 1;
export const MIX_BUCKETS = MATCHES * SURES * SURES;

const ROUNDS = 40;
/** Samples that a bucket's own evidence has to outweigh. */
const PRIOR_SAMPLES = 24;
/** Neither side is ever given up altogether: a λ of 0 or 1 could make a byte impossible. */
const LOWEST = 0.005;
const HIGHEST = 0.995;

const jsonSchema = z.object({
  kind: z.literal("linear"),
  lambda: z.array(z.number().min(0).max(1)).length(MIX_BUCKETS),
  fittedOn: z.number().int().nonnegative(),
});

export type MixerJson = z.infer<typeof jsonSchema>;

export class Mixer {
  readonly kind = "linear";
  /** Weight of the memory in each bucket. */
  readonly lambda: Float64Array;
  /** Samples of the last fit; 0 for the defaults. */
  fittedOn = 0;

  constructor() {
    this.lambda = Float64Array.from({ length: MIX_BUCKETS }, (_, bucket) => defaultLambda(bucket));
  }

  bucketOf(o: MixInput): number {
    return lookAt(o).bucket;
  }

  /** Writes 256 probabilities that sum to 1 into `out`, which may be `memory`; returns what it saw of both sides. */
  mix(o: MixInput, out: Float64Array): SideBySide {
    const { memory, network } = o;
    const seen = lookAt(o);
    const lambda = this.lambda[seen.bucket]!;
    const scale = (1 - lambda) / checkedSum(seen.networkSum);
    for (let byte = 0; byte < 256; byte++)
      out[byte] = lambda * memory[byte]! + scale * network[byte]!;
    return seen;
  }

  /** Maximizes the likelihood of the samples by expectation maximization; buckets with few samples stay near the λ
   *  that is best for all. Starts from the defaults, so two fits of the same samples are equal. */
  fit(samples: Iterable<MixSample>): void {
    const network: number[] = [];
    const memory: number[] = [];
    const buckets: number[] = [];
    for (const sample of samples) {
      network.push(sample.pNetwork);
      memory.push(sample.pMemory);
      buckets.push(sample.bucket);
    }
    this.fittedOn = buckets.length;
    if (buckets.length === 0) return;
    const common = fitCommon(network, memory);
    this.lambda.fill(common);
    const sum = new Float64Array(MIX_BUCKETS);
    const seen = new Float64Array(MIX_BUCKETS);
    for (let round = 0; round < ROUNDS; round++) {
      sum.fill(PRIOR_SAMPLES * common);
      seen.fill(PRIOR_SAMPLES);
      for (let i = 0; i < buckets.length; i++) {
        const bucket = buckets[i]!;
        sum[bucket]! += memoryShare({
          lambda: this.lambda[bucket]!,
          memory: memory[i]!,
          network: network[i]!,
        });
        seen[bucket]! += 1;
      }
      for (let bucket = 0; bucket < MIX_BUCKETS; bucket++) {
        this.lambda[bucket] = Math.min(HIGHEST, Math.max(LOWEST, sum[bucket]! / seen[bucket]!));
      }
    }
  }

  /** Probability that the mixture gave to a sample's byte. */
  probability(sample: MixSample): number {
    const lambda = this.lambda[sample.bucket]!;
    return lambda * sample.pMemory + (1 - lambda) * sample.pNetwork;
  }

  toJSON(): MixerJson {
    return { kind: "linear", lambda: Array.from(this.lambda), fittedOn: this.fittedOn };
  }

  /** Throws CheckpointError where `value` is not what `toJSON` gave. */
  static fromJSON(value: unknown): Mixer {
    const parsed = jsonSchema.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new CheckpointError(
        "NG_MIXER_DAMAGED",
        `the mixer's weights are damaged at ${issue?.path.join(".") ?? "the top"}: ${issue?.message ?? "unreadable"}`,
        "train again, or restore the model folder from a copy",
        { cause: parsed.error },
      );
    }
    const mixer = new Mixer();
    mixer.lambda.set(parsed.data.lambda);
    mixer.fittedOn = parsed.data.fittedOn;
    return mixer;
  }
}

/** Bits per byte of the mixture where every group (one file, say) is scored with the λ fitted on the other folds only,
 *  so that no number is measured on samples it was fitted on. Groups go to folds in turn. */
export function crossFitBits(groups: readonly (readonly MixSample[])[], folds: number): number {
  let bits = 0;
  let bytes = 0;
  for (let fold = 0; fold < folds; fold++) {
    const mixer = new Mixer();
    mixer.fit(groups.filter((_, i) => i % folds !== fold).flat());
    for (const sample of groups.filter((_, i) => i % folds === fold).flat()) {
      bits -= Math.log2(mixer.probability(sample));
      bytes++;
    }
  }
  return bytes === 0 ? 0 : bits / bytes;
}

/** Before any fit the memory, which needs no training, is believed somewhat more; leaning to the side that is surer and to the memory where the match is long. */
function defaultLambda(bucket: number): number {
  const networkSure = bucket % SURES;
  const memorySure = Math.floor(bucket / SURES) % SURES;
  const match = Math.floor(bucket / (SURES * SURES));
  const lean = 0.35 * (memorySure - networkSure) + 0.25 * (match - (MATCHES - 1) / 2) + 0.7;
  return 1 / (1 + Math.exp(-lean));
}

function fitCommon(network: readonly number[], memory: readonly number[]): number {
  let lambda = 0.5;
  for (let round = 0; round < ROUNDS; round++) {
    let sum = 0;
    for (let i = 0; i < network.length; i++) {
      sum += memoryShare({ lambda, memory: memory[i]!, network: network[i]! });
    }
    lambda = Math.min(HIGHEST, Math.max(LOWEST, sum / network.length));
  }
  return lambda;
}

/** How far the memory is answerable for a byte. */
function memoryShare(o: { lambda: number; memory: number; network: number }): number {
  const ofMemory = o.lambda * o.memory;
  const ofBoth = ofMemory + (1 - o.lambda) * o.network;
  return ofBoth > 0 ? ofMemory / ofBoth : o.lambda;
}

function classOf(value: number, bounds: readonly number[]): number {
  let at = 0;
  while (at < bounds.length && value >= bounds[at]!) at++;
  return at;
}

/** What one pass over both distributions tells. */
export interface SideBySide {
  /** The situation, one of MIX_BUCKETS. */
  readonly bucket: number;
  /** The first of each side's most probable bytes. */
  readonly memoryChoice: number;
  readonly networkChoice: number;
  readonly networkSum: number;
}

function lookAt({ memory, network, matchLength }: MixInput): SideBySide {
  let memoryChoice = 0;
  let networkChoice = 0;
  let memoryMost = memory[0]!;
  let networkMost = network[0]!;
  let networkSum = networkMost;
  for (let byte = 1; byte < 256; byte++) {
    const ofMemory = memory[byte]!;
    const ofNetwork = network[byte]!;
    networkSum += ofNetwork;
    if (ofMemory > memoryMost) {
      memoryMost = ofMemory;
      memoryChoice = byte;
    }
    if (ofNetwork > networkMost) {
      networkMost = ofNetwork;
      networkChoice = byte;
    }
  }
  const memorySure = classOf(memoryMost, SURE_BOUNDS);
  const networkSure = classOf(networkMost, SURE_BOUNDS);
  const bucket = (classOf(matchLength, MATCH_BOUNDS) * SURES + memorySure) * SURES + networkSure;
  return { bucket, memoryChoice, networkChoice, networkSum };
}

function checkedSum(sum: number): number {
  if (!(sum > 0 && sum < Infinity)) {
    throw new ShapeError(
      "NG_MIX_INPUT",
      `the network's probabilities sum to ${sum}`,
      "this is a defect; please report it",
    );
  }
  return sum;
}
