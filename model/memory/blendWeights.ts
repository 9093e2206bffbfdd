/** What the ranked blend has learned: for each input, how often a byte with such counts came next (evidence tables), and
 *  how far each input is believed in each situation (weights). Fresh weights believe the escape blend alone. */

import { CheckpointError } from "../errors.ts";

/** Orders at which the workspace is asked, besides its two longest levels. */
export const WORKSPACE_ORDERS: readonly number[] = [1, 2, 3, 4, 6, 9, 14, 22];
/** Orders at which the file's own bytes are asked, besides their longest level. */
export const OWN_ORDERS: readonly number[] = [1, 2, 3, 4, 6, 10];
export const WORKSPACE_INPUTS = WORKSPACE_ORDERS.length + 2;
export const COUNT_INPUTS = WORKSPACE_INPUTS + OWN_ORDERS.length + 1;
/** Counts, then the escape blend, then a constant. */
export const INPUTS = COUNT_INPUTS + 2;

/** Small totals have one state per (count, total); larger ones a size class and a ratio class. */
const EXACT_TOTAL = 7;
const EXACT_STATES = ((EXACT_TOTAL + 1) * (EXACT_TOTAL + 2)) / 2;
const RATIOS = 16;
const SIZES = 6;
export const STATES = EXACT_STATES + SIZES * RATIOS;

export const RANKS = 9;
export const WORKSPACE_SITUATIONS = 11;
export const OWN_SITUATIONS = 11;
export const BYTE_CLASSES = 8;
export const SITUATIONS = WORKSPACE_SITUATIONS + OWN_SITUATIONS + BYTE_CLASSES;

const LOGIT_LIMIT = 9;
/** Weight of the prior when a state is new. */
const PRIOR_SEEN = 4;
const RATIO_STEPS = 1024;

export function logit(probability: number): number {
  const value = Math.log(probability / (1 - probability));
  return value > LOGIT_LIMIT ? LOGIT_LIMIT : value < -LOGIT_LIMIT ? -LOGIT_LIMIT : value;
}

export function logistic(value: number): number {
  return 1 / (1 + Math.exp(-value));
}

/** Ratio class of count/total for 0 < count < total, by count·RATIO_STEPS/total. */
const ratioClass = new Uint8Array(RATIO_STEPS);
for (let step = 0; step < RATIO_STEPS; step++) {
  const ratio = (step + 0.5) / RATIO_STEPS;
  ratioClass[step] = Math.min(
    RATIOS - 2,
    Math.max(1, Math.round(Math.log(ratio / (1 - ratio)) * 1.1) + RATIOS / 2),
  );
}

/** Evidence state of "`count` of `total`", total > 0. */
export function evidenceState(count: number, total: number): number {
  if (total <= EXACT_TOTAL) return ((total * (total + 1)) >> 1) + count;
  const size =
    total < 64 ? (total < 16 ? 0 : 1) : total < 1024 ? (total < 256 ? 2 : 3) : total < 8192 ? 4 : 5;
  const ratio =
    count === 0
      ? 0
      : count === total
        ? RATIOS - 1
        : ratioClass[Math.floor((count * RATIO_STEPS) / total)]!;
  return EXACT_STATES + size * RATIOS + ratio;
}

function priorProbability(state: number): number {
  if (state < EXACT_STATES) {
    let total = 0;
    while (((total + 1) * (total + 2)) / 2 <= state) total++;
    return (state - (total * (total + 1)) / 2 + 0.3) / (total + 0.9);
  }
  const size = Math.floor((state - EXACT_STATES) / RATIOS);
  const ratio = (state - EXACT_STATES) % RATIOS;
  const rare = 0.3 / (12 * 4 ** size);
  if (ratio === 0) return rare;
  if (ratio === RATIOS - 1) return 1 - rare;
  return logistic((ratio - RATIOS / 2) / 1.1);
}

const WEIGHT_COUNT = SITUATIONS * RANKS * INPUTS;
const EVIDENCE_COUNT = COUNT_INPUTS * STATES;

export class BlendWeights {
  readonly hits = new Float32Array(EVIDENCE_COUNT);
  readonly seen = new Float32Array(EVIDENCE_COUNT);
  /** logit(hits / seen), kept in step. */
  readonly belief = new Float32Array(EVIDENCE_COUNT);
  readonly weight = new Float32Array(WEIGHT_COUNT);
  /** Bytes learned from; 0 for fresh weights. */
  calibratedBytes = 0;

  constructor() {
    for (let state = 0; state < STATES; state++) {
      const prior = priorProbability(state);
      for (let input = 0; input < COUNT_INPUTS; input++) {
        this.hits[input * STATES + state] = prior * PRIOR_SEEN;
        this.seen[input * STATES + state] = PRIOR_SEEN;
      }
    }
    // Of the three situations that are added up, the workspace's starts with the escape blend at full weight.
    for (let set = 0; set < WORKSPACE_SITUATIONS * RANKS; set++)
      this.weight[set * INPUTS + COUNT_INPUTS] = 1;
    this.refreshBelief();
  }

  private refreshBelief(): void {
    for (let i = 0; i < EVIDENCE_COUNT; i++) this.belief[i] = logit(this.hits[i]! / this.seen[i]!);
  }

  /** The same, but with no evidence of more than `seenLimit` outcomes, so that new ones weigh. */
  copy(o: { seenLimit: number }): BlendWeights {
    const copy = new BlendWeights();
    for (let i = 0; i < EVIDENCE_COUNT; i++) {
      const scale = Math.min(1, o.seenLimit / this.seen[i]!);
      copy.hits[i] = this.hits[i]! * scale;
      copy.seen[i] = this.seen[i]! * scale;
    }
    copy.belief.set(this.belief);
    copy.weight.set(this.weight);
    copy.calibratedBytes = this.calibratedBytes;
    return copy;
  }

  /** Little-endian float32: hits, seen, weights, calibratedBytes. */
  serialize(): Uint8Array {
    const values = new Float32Array(EVIDENCE_COUNT * 2 + WEIGHT_COUNT + 1);
    values.set(this.hits, 0);
    values.set(this.seen, EVIDENCE_COUNT);
    values.set(this.weight, EVIDENCE_COUNT * 2);
    values[values.length - 1] = this.calibratedBytes;
    return new Uint8Array(values.buffer);
  }

  static deserialize(bytes: Uint8Array): BlendWeights {
    const expected = (EVIDENCE_COUNT * 2 + WEIGHT_COUNT + 1) * 4;
    const values = new Float32Array(
      bytes.length === expected ? bytes.slice().buffer : new ArrayBuffer(0),
    );
    const sane =
      bytes.length === expected &&
      values.every((value, i) =>
        i < EVIDENCE_COUNT
          ? // Near certainty both round to the same float32.
            value > 0 && value <= values[EVIDENCE_COUNT + i]!
          : Number.isFinite(value) && Math.abs(value) < 1e12,
      );
    if (!sane) {
      throw new CheckpointError(
        "NG_MEMORY_WEIGHTS",
        `the memory's blend weights are damaged (${bytes.length} bytes, expected ${expected})`,
        "train again, or restore the model folder from a copy",
      );
    }
    const weights = new BlendWeights();
    weights.hits.set(values.subarray(0, EVIDENCE_COUNT));
    weights.seen.set(values.subarray(EVIDENCE_COUNT, EVIDENCE_COUNT * 2));
    weights.weight.set(values.subarray(EVIDENCE_COUNT * 2, EVIDENCE_COUNT * 2 + WEIGHT_COUNT));
    weights.calibratedBytes = values[values.length - 1]!;
    weights.refreshBelief();
    return weights;
  }
}
