/** What the state behind the network's logits adds to the answers of a mixture: a row of weights for every byte, zero
 *  where a file begins, and moved after every byte that is known. The network's own head stays as it was trained; what
 *  it says too much or too little of in this file is learned here, from what the whole mixture got wrong. Channels are
 *  brought to mean 0 and deviation 1 by what was seen of them so far.
 *  Source: dynamic evaluation (Krause et al. 2018, arXiv 1709.07432), of the last layer alone; steps shrink by row as
 *  in AdaGrad (Duchi et al. 2011). */

import { invariant } from "../errors.ts";

const BYTES = 256;
/** Mean 0 and deviation 1 weigh as much as so many states. */
const PRIOR_STATES = 32;
const LIMIT = 4;
/** Deviations are worked out anew after so many states. */
const RESCALE_STATES = 16;
const LANES = 4;
/** Of the answer, for an error of 1 that comes again with the same state. */
const STEP = 0.75;
/** Squared errors of a byte's answers after which its steps are 0.7 times as long. */
const STEADY = 4;

export class FollowedHead {
  readonly #channels: number;
  /** [byte, channel] */
  readonly #weight: Float32Array;
  readonly #errors = new Float64Array(BYTES);
  readonly #mean: Float64Array;
  /** Times the number of states. */
  readonly #variance: Float64Array;
  /** 1 / deviation, as of some states ago. */
  readonly #scale: Float64Array;
  readonly #state: Float64Array;
  #states = PRIOR_STATES;

  /** `channels`: a multiple of 4, as those of any network. */
  constructor(channels: number) {
    invariant(channels % LANES === 0, `${channels} channels of the network's state`);
    this.#channels = channels;
    this.#weight = new Float32Array(BYTES * channels);
    this.#mean = new Float64Array(channels);
    this.#variance = new Float64Array(channels).fill(PRIOR_STATES);
    this.#scale = new Float64Array(channels).fill(1);
    this.#state = new Float64Array(channels);
  }

  /** The state behind the distribution that is asked about next; with `passing: 1` the channels' means and deviations
   *  stay what they are. */
  read(state: Float32Array, passing: 0 | 1 = 0): void {
    invariant(state.length === this.#channels, "the network's state has other channels");
    const mean = this.#mean;
    const variance = this.#variance;
    const scale = this.#scale;
    if (passing === 1) {
      for (let c = 0; c < state.length; c++)
        this.#state[c] = limited((state[c]! - mean[c]!) * scale[c]!);
      return;
    }
    const n = this.#states++;
    if (n % RESCALE_STATES === 0)
      for (let c = 0; c < scale.length; c++) scale[c] = 1 / Math.sqrt(variance[c]! / n);
    const share = 1 / (n + 1);
    for (let c = 0; c < state.length; c++) {
      const off = state[c]! - mean[c]!;
      this.#state[c] = limited(off * scale[c]!);
      mean[c]! += off * share;
      variance[c]! += off * (state[c]! - mean[c]!);
    }
  }

  copy(): FollowedHead {
    const copy = new FollowedHead(this.#channels);
    copy.#weight.set(this.#weight);
    copy.#errors.set(this.#errors);
    copy.#mean.set(this.#mean);
    copy.#variance.set(this.#variance);
    copy.#scale.set(this.#scale);
    copy.#states = this.#states;
    return copy;
  }

  /** What the logit of "it is this byte" has to grow by. */
  answer(byte: number): number {
    // Nothing was learned of it yet.
    if (this.#errors[byte] === 0) return 0;
    const weight = this.#weight;
    const state = this.#state;
    const from = byte * this.#channels;
    // Four sums: none waits for the one before.
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let i = 0; i < state.length; i += LANES) {
      a += weight[from + i]! * state[i]!;
      b += weight[from + i + 1]! * state[i + 1]!;
      c += weight[from + i + 2]! * state[i + 2]!;
      d += weight[from + i + 3]! * state[i + 3]!;
    }
    return a + b + (c + d);
  }

  /** `error`: 1 or 0, less the probability that was given to this byte. */
  correct(byte: number, error: number): void {
    const weight = this.#weight;
    const state = this.#state;
    const errors = (this.#errors[byte]! += error * error);
    const step = (STEP * error) / (this.#channels * Math.sqrt(1 + errors / STEADY));
    const from = byte * this.#channels;
    for (let c = 0; c < state.length; c++) weight[from + c]! += step * state[c]!;
  }
}

function limited(value: number): number {
  return value > LIMIT ? LIMIT : value < -LIMIT ? -LIMIT : value;
}
