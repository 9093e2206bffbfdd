/** What the mixture of memory and network has learned: a weight for every input in every situation and for every rank of
 *  the byte in question, and how often an answer was right. Two kinds of sets: those of both sides' own situations weigh
 *  the two distributions alone, those of the memory's situations weigh its counts beside them. A mixture begins with
 *  weights that were fitted on other repositories (mixturePrior.ts). */

import { deflateRawSync, inflateRawSync } from "node:zlib";
import { CheckpointError } from "../errors.ts";
import { fromHalf, toHalf } from "../half.ts";
import { SET_SIZES as MEMORY_SET_SIZES } from "./blendWeights.ts";
import { EVIDENCE_INPUTS } from "./evidenceInputs.ts";
import { MIXTURE_PRIOR } from "./mixturePrior.ts";
import { BYTE_CLASSES } from "./situations.ts";

/** Memory, network, their linear mixture, and a constant. */
export const SIDE_INPUTS = 4;
export const ALL_INPUTS = SIDE_INPUTS + EVIDENCE_INPUTS;
export const RANKS = 6;

/** How sure both sides are, as the linear mixer classes it. */
export const SURES = 49;
export const MATCHES = 8;
/** Whose first choice the byte in question is: nobody's, the memory's, the network's, both's. */
export const CHOOSERS = 4;
/** Which side thinks the byte more probable than not. */
export const LEANINGS = 4;

/** Match, sureness, whose choice and sureness, match and leaning. */
const SIDE_SET_SIZES = [MATCHES, SURES, CHOOSERS * SURES, MATCHES * LEANINGS] as const;
export const SIDE_SETS = SIDE_SET_SIZES.length;
export const SIDE_STARTS: readonly number[] = SIDE_SET_SIZES.map((_, set) =>
  SIDE_SET_SIZES.slice(0, set).reduce((sum, size) => sum + size, 0),
);
const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);
const SIDE_WEIGHTS = sum(SIDE_SET_SIZES) * RANKS * SIDE_INPUTS;
const MEMORY_WEIGHTS = sum(MEMORY_SET_SIZES) * RANKS * ALL_INPUTS;

export const REFINE_STEPS = 24;
export const REFINE_RANKS = 3;
const REFINEMENTS = BYTE_CLASSES * REFINE_RANKS * CHOOSERS * (REFINE_STEPS + 1);
const WEIGHTS = SIDE_WEIGHTS + MEMORY_WEIGHTS;
const VALUES = WEIGHTS + REFINEMENTS;

/** Units of the prior's whole numbers. */
const PRIOR_STEP = 1 / 64;
/** A weight beyond this is none. */
const MOST = 100;

let prior: Float32Array | undefined;

/** Signed bytes, deflated, in base64. */
function priorValues(): Float32Array {
  if (prior !== undefined) return prior;
  const steps = new Int8Array(inflateRawSync(Buffer.from(MIXTURE_PRIOR, "base64")));
  return (prior = Float32Array.from(steps, (step) => step * PRIOR_STEP));
}

export class MixtureWeights {
  private readonly values: Float32Array;
  /** [situation, rank, input] of both kinds of sets; those of the memory's in its own numbering of situations. */
  readonly side: Float32Array;
  readonly memory: Float32Array;
  /** What experience adds to an answer, at the steps of its logit. */
  readonly correction: Float32Array;

  constructor(values: Float32Array = priorValues().slice()) {
    this.values = values;
    this.side = values.subarray(0, SIDE_WEIGHTS);
    this.memory = values.subarray(SIDE_WEIGHTS, WEIGHTS);
    this.correction = values.subarray(WEIGHTS);
  }

  copy(): MixtureWeights {
    return new MixtureWeights(this.values.slice());
  }

  /** Halves, deflated, in base64. */
  serialize(): string {
    const halves = Uint16Array.from(this.values, toHalf);
    return deflateRawSync(new Uint8Array(halves.buffer)).toString("base64");
  }

  /** As a prior is written (test/bench/mixturePrior.ts). */
  serializePrior(): string {
    const steps = Int8Array.from(this.values, (value) =>
      Math.max(-127, Math.min(127, Math.round(value / PRIOR_STEP))),
    );
    return deflateRawSync(new Uint8Array(steps.buffer), { level: 9 }).toString("base64");
  }

  /** Nothing of other repositories: the two sides and their linear mixture count, in every situation alike. */
  static unfitted(): MixtureWeights {
    const weights = new MixtureWeights(new Float32Array(VALUES));
    const fresh = [0.35, 0.25, 0.4];
    for (const [part, inputs] of [
      [weights.side, SIDE_INPUTS],
      [weights.memory, ALL_INPUTS],
    ] as const)
      for (let at = 0; at < part.length; at += inputs) part.set(fresh, at);
    return weights;
  }

  /** Throws CheckpointError where it is not what `serialize` gave. */
  static deserialize(text: string): MixtureWeights {
    let bytes: Uint8Array;
    try {
      bytes = Uint8Array.from(inflateRawSync(Buffer.from(text, "base64")));
    } catch (cause) {
      throw damagedMixer("at values: they cannot be inflated", cause);
    }
    if (bytes.length !== VALUES * 2)
      throw damagedMixer(`at values: ${bytes.length} bytes, expected ${VALUES * 2}`);
    const values = Float32Array.from(new Uint16Array(bytes.buffer), fromHalf);
    if (!values.every((value) => Math.abs(value) < MOST))
      throw damagedMixer("at values: not a weight");
    return new MixtureWeights(values);
  }
}

export function damagedMixer(what: string, cause?: unknown): CheckpointError {
  return new CheckpointError(
    "NG_MIXER_DAMAGED",
    `the mixer's weights are damaged ${what}`,
    "train again, or restore the model folder from a copy",
    cause === undefined ? undefined : { cause },
  );
}
