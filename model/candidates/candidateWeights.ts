/**
 * How much each source of names is worth in each situation: exponents of a log-linear pool that multiplies the mixture's
 * probability of a byte by what the sources say of it. All zero is no change.
 */
import { z } from "zod";
import { CheckpointError } from "../errors.ts";

/** Sources: this file's names as they stood in places of this class, remembered for long and for short, and in other
 *  places; the lexicon's names of this class and of others; a language server's list where one is offered. */
const SOURCES = 6;
/** Exponents: of the mixture itself (minus 1), then of every source. */
export const INPUTS = SOURCES + 1;
/** Where a name stands: after a dot, elsewhere in code, in a string or comment. */
export const PLACES = 3;
/** Bytes typed of the name: 0, 1, 2, 3, 4 or 5, more. */
export const TYPED = 5;
const WEIGHTS = PLACES * TYPED * INPUTS;
/** Where a fit starts: four fifths of the mean of fits, on memory alone, on two Python packages and one of TypeScript
 *  that no figure here is measured on, one row per situation; a list's own weight cannot be fitted and stays. */
// prettier-ignore
const START: readonly (readonly number[])[] = [
  [0, 0, 0.5, 0.1, 0.1, 0, 0.5],
  [0, 0.1, 0.6, 0, 0, 0, 0.5],
  [0.1, 0.3, 0.5, 0.2, 0, 0, 0.5],
  [0.1, 0.5, 0.4, 0.1, 0, -0.1, 0.5],
  [0, 0.6, 0.2, 0.1, 0, 0, 0.5],
  [0, 0, 0.2, 0.3, 0.1, 0.2, 0.5],
  [0, 0, 0.4, 0.3, 0, 0.1, 0.5],
  [0, 0.2, 0.2, 0.4, 0, 0.1, 0.5],
  [0, 0.3, 0.1, 0.3, 0, 0.2, 0.5],
  [0, 0.5, 0.4, 0.4, 0.1, 0.1, 0.5],
  [-0.1, 0.1, 0, 0, 0.1, 0.2, 0.5],
  [-0.1, -0.1, 0.3, 0.1, 0, 0.1, 0.5],
  [-0.1, 0, 0.3, 0.2, 0, 0.2, 0.5],
  [0, 0.1, 0.2, 0.1, 0, 0.1, 0.5],
  [0, -0.1, 0.3, -0.1, -0.1, 0.1, 0.5],
];

const jsonSchema = z.object({
  weight: z.array(z.number().min(-100).max(100)).length(WEIGHTS),
  fittedOn: z.number().int().nonnegative(),
});

export type CandidateWeightsJson = z.infer<typeof jsonSchema>;

export class CandidateWeights {
  readonly weight = Float64Array.from(START.flat());
  /** Bytes learned from. */
  fittedOn = 0;

  /** Index of the first weight of a situation. */
  at(place: number, typed: number): number {
    return (place * TYPED + Math.min(TYPED - 1, typed < 4 ? typed : 4)) * INPUTS;
  }

  toJSON(): CandidateWeightsJson {
    return { weight: Array.from(this.weight), fittedOn: this.fittedOn };
  }

  /** Throws CheckpointError where `value` is not what `toJSON` gave. */
  static fromJSON(value: unknown): CandidateWeights {
    const parsed = jsonSchema.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new CheckpointError(
        "NG_CANDIDATES_DAMAGED",
        `the weights of names in scope are damaged at ${issue?.path.join(".") ?? "the top"}: ${issue?.message ?? "unreadable"}`,
        "train again, or restore the model folder from a copy",
        { cause: parsed.error },
      );
    }
    const weights = new CandidateWeights();
    weights.weight.set(parsed.data.weight);
    weights.fittedOn = parsed.data.fittedOn;
    return weights;
  }
}
