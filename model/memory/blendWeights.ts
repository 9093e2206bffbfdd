/** What the ranked blend has learned: for each input, how often a byte with such counts came next (evidence tables), how
 *  far each input is believed in each situation (weights), how the situations' answers are combined, and how often such
 *  an answer was right (refinement). Fresh weights believe the escape blend alone. */

import { CheckpointError } from "../errors.ts";
import { EVIDENCE_STATES, logistic, logit, priorProbability } from "./evidence.ts";

/** Orders at which the workspace is asked, besides its two longest levels. */
export const WORKSPACE_ORDERS: readonly number[] = [1, 2, 3, 4, 6, 9, 14, 22];
/** Orders at which the file's own bytes are asked, besides their longest level. */
export const OWN_ORDERS: readonly number[] = [1, 2, 3, 4, 6, 10];
/** Kinds of hashed contexts (codeContext.ts) at which the workspace is asked, and the file's own bytes. */
export const WORKSPACE_KINDS: readonly number[] = [0, 3, 4, 5, 8, 10];
export const OWN_KINDS: readonly number[] = [0, 3, 4, 5, 6, 8, 10, 11];
export const WORKSPACE_INPUTS = WORKSPACE_ORDERS.length + 2;
export const OWN_INPUTS = OWN_ORDERS.length + 1;
/** First input of the hashed contexts of the workspace, and of the file. */
export const WORKSPACE_CONTEXTS = WORKSPACE_INPUTS + OWN_INPUTS;
export const OWN_CONTEXTS = WORKSPACE_CONTEXTS + WORKSPACE_KINDS.length;
/** What analogies expect: votes, then the best place of the workspace, and of the file, by their classes. */
export const ANALOGY_VOTES = OWN_CONTEXTS + OWN_KINDS.length;
export const ANALOGY_WORKSPACE = ANALOGY_VOTES + 1;
export const ANALOGY_OWN = ANALOGY_VOTES + 2;
export const COUNT_INPUTS = ANALOGY_VOTES + 3;
/** Counts, then the escape blend, then a constant. */
export const INPUTS = COUNT_INPUTS + 2;

export const RANKS = 9;
/** Situations of each set of weights: longest match in the workspace and in the file, kind of the last byte, certainty
 *  and length of the word, place in the line, the last byte but one and the word. */
export const SET_SIZES: readonly number[] = [11, 11, 34, 64, 128, 170];
export const SETS = SET_SIZES.length;
/** First situation of each set in the common numbering. */
export const SET_STARTS: readonly number[] = SET_SIZES.map((_, set) =>
  SET_SIZES.slice(0, set).reduce((sum, size) => sum + size, 0),
);
const SITUATIONS = SET_SIZES.reduce((sum, size) => sum + size, 0);
/** The set by whose situation the sets' answers are combined. */
export const COMBINING_SET = 2;

/** Steps of an answer's logit between the limits, and how many tables of them there are by last byte and by hash of the
 *  last three. */
export const REFINE_STEPS = 24;
export const REFINE_LIMIT = 8;
export const REFINE_RANKS = 3;
const REFINE_BY_BYTE = 256 * REFINE_RANKS;
export const REFINE_HASHES = 4096;
const REFINE_BY_HASH = REFINE_HASHES * 2;
export const REFINE_HASHED_AT = REFINE_BY_BYTE * (REFINE_STEPS + 1);

/** Weight of the prior when a state is new. */
const PRIOR_SEEN = 4;
/** How often the byte that an analogy expects comes next, and any other, before anything was learned. States of such
 *  inputs are twice the class, and one more for the byte expected. */
const EXPECTED = 0.6;
const UNEXPECTED = 0.05;

const EVIDENCE_COUNT = COUNT_INPUTS * EVIDENCE_STATES;
const WEIGHT_COUNT = SITUATIONS * RANKS * INPUTS;
const COMBINE_COUNT = SET_SIZES[COMBINING_SET]! * RANKS * SETS;
const REFINE_COUNT = (REFINE_BY_BYTE + REFINE_BY_HASH) * (REFINE_STEPS + 1);
const VALUES = EVIDENCE_COUNT * 2 + WEIGHT_COUNT + COMBINE_COUNT + REFINE_COUNT + 1;

export class BlendWeights {
  /** Everything that is learned, in one block: hits, seen, weight, combine, refine, and last the bytes learned from. */
  private readonly values: Float32Array;
  readonly hits: Float32Array;
  readonly seen: Float32Array;
  /** [situation, rank, input]; `combine` [situation of the combining set, rank, set], of which the mean counts. */
  readonly weight: Float32Array;
  readonly combine: Float32Array;
  /** Probability of a yes at the steps of a logit. */
  readonly refine: Float32Array;
  /** logit(hits / seen), kept in step. */
  readonly belief: Float32Array;

  constructor(values: Float32Array = freshValues(), belief?: Float32Array) {
    this.values = values;
    let at = 0;
    const part = (length: number) => values.subarray(at, (at += length));
    this.hits = part(EVIDENCE_COUNT);
    this.seen = part(EVIDENCE_COUNT);
    this.weight = part(WEIGHT_COUNT);
    this.combine = part(COMBINE_COUNT);
    this.refine = part(REFINE_COUNT);
    this.belief = belief ?? this.hits.map((hits, i) => logit(hits / this.seen[i]!));
  }

  /** Bytes learned from; 0 for fresh weights. */
  get calibratedBytes(): number {
    return this.values[VALUES - 1]!;
  }

  set calibratedBytes(bytes: number) {
    this.values[VALUES - 1] = bytes;
  }

  /** The same, but with no evidence of more than `seenLimit` outcomes, so that new ones weigh. */
  copy(o: { seenLimit: number }): BlendWeights {
    const values = this.values.slice();
    for (let i = 0; i < EVIDENCE_COUNT; i++) {
      const scale = Math.min(1, o.seenLimit / values[EVIDENCE_COUNT + i]!);
      values[i]! *= scale;
      values[EVIDENCE_COUNT + i]! *= scale;
    }
    return new BlendWeights(values, this.belief.slice());
  }

  /** Little-endian float32, in the order of the block. */
  serialize(): Uint8Array {
    return new Uint8Array(this.values.slice().buffer);
  }

  static deserialize(bytes: Uint8Array): BlendWeights {
    const expected = VALUES * 4;
    const values = new Float32Array(
      bytes.length === expected ? bytes.slice().buffer : new ArrayBuffer(0),
    );
    const refineAt = VALUES - 1 - REFINE_COUNT;
    const sane =
      bytes.length === expected &&
      values.every((value, i) =>
        i < EVIDENCE_COUNT
          ? // Near certainty both round to the same float32.
            value > 0 && value <= values[EVIDENCE_COUNT + i]!
          : i >= refineAt && i < VALUES - 1
            ? value >= 0 && value <= 1
            : Number.isFinite(value) && Math.abs(value) < 1e12,
      );
    if (!sane) {
      throw new CheckpointError(
        "NG_MEMORY_WEIGHTS",
        `the memory's blend weights are damaged (${bytes.length} bytes, expected ${expected})`,
        "train again, or restore the model folder from a copy",
      );
    }
    return new BlendWeights(values);
  }
}

/** Probability at a step of a logit, before anything was learned about it. */
export function unrefinedAt(step: number): number {
  return logistic((step / REFINE_STEPS - 0.5) * 2 * REFINE_LIMIT);
}

function freshValues(): Float32Array {
  const values = new Float32Array(VALUES);
  for (let state = 0; state < EVIDENCE_STATES; state++) {
    const counted = priorProbability(state);
    for (let input = 0; input < COUNT_INPUTS; input++) {
      const prior = input < ANALOGY_WORKSPACE ? counted : state % 2 === 1 ? EXPECTED : UNEXPECTED;
      values[input * EVIDENCE_STATES + state] = prior * PRIOR_SEEN;
      values[EVIDENCE_COUNT + input * EVIDENCE_STATES + state] = PRIOR_SEEN;
    }
  }
  // Every set starts with the escape blend at full weight, and their answers count alike.
  const weightAt = EVIDENCE_COUNT * 2;
  for (let i = COUNT_INPUTS; i < WEIGHT_COUNT; i += INPUTS) values[weightAt + i] = 1;
  const combineAt = weightAt + WEIGHT_COUNT;
  values.fill(1, combineAt, combineAt + COMBINE_COUNT);
  const refineAt = combineAt + COMBINE_COUNT;
  for (let i = 0; i < REFINE_COUNT; i++) values[refineAt + i] = unrefinedAt(i % (REFINE_STEPS + 1));
  return values;
}
