/**
 * How much each source of names is worth in each situation: exponents of a log-linear pool that multiplies the mixture's
 * probability of a byte by what the sources say of it. All zero is no change.
 */
import { z } from "zod";
import { CheckpointError } from "../errors.ts";

/** Sources: this file's names as they stood in places of this class, remembered for long and for short, and in other
 *  places; the lexicon's names of this class and of others. */
const SOURCES = 5;
/** Exponents: of the mixture itself (minus 1), then of every source. */
export const INPUTS = SOURCES + 1;
/** Where a name stands: after a dot, elsewhere in code, in a string or comment. */
export const PLACES = 3;
/** Bytes typed of the name: 0, 1, 2, 3, 4 or 5, more. */
export const TYPED = 5;
const SITUATIONS = PLACES * TYPED;
const WEIGHTS = SITUATIONS * INPUTS;
/** Exponents that were stored per situation when a list's own weight was among them, unfitted, as the last one. */
const STORED_BEFORE = 7;
/** Where a fit starts: four fifths of the mean of fits, on memory alone, on two Python packages and one of TypeScript
 *  that no figure here is measured on, one row per situation. */
// prettier-ignore
const START: readonly (readonly number[])[] = [
  [0, 0, 0.5, 0.1, 0.1, 0],
  [0, 0.1, 0.6, 0, 0, 0],
  [0.1, 0.3, 0.5, 0.2, 0, 0],
  [0.1, 0.5, 0.4, 0.1, 0, -0.1],
  [0, 0.6, 0.2, 0.1, 0, 0],
  [0, 0, 0.2, 0.3, 0.1, 0.2],
  [0, 0, 0.4, 0.3, 0, 0.1],
  [0, 0.2, 0.2, 0.4, 0, 0.1],
  [0, 0.3, 0.1, 0.3, 0, 0.2],
  [0, 0.5, 0.4, 0.4, 0.1, 0.1],
  [-0.1, 0.1, 0, 0, 0.1, 0.2],
  [-0.1, -0.1, 0.3, 0.1, 0, 0.1],
  [-0.1, 0, 0.3, 0.2, 0, 0.2],
  [0, 0.1, 0.2, 0.1, 0, 0.1],
  [0, -0.1, 0.3, -0.1, -0.1, 0.1],
];
/** Exponent of what some name of a language server's list goes on with, by place and bytes typed. Fitted, as is the weight
 *  of the server's order, on lists of pyright, gopls, rust-analyzer and tsserver at names and keywords of four repositories
 *  that no figure here is measured on. */
// prettier-ignore
const OFFERED: readonly (readonly number[])[] = [
  [1.8, 2, 2, 2, 2],
  [2.5, 5.4, 5.4, 5.4, 5.4],
  [0, 0, 0, 0, 0],
];
/** Exponent of 1 + rank of the server's first name that goes on so: with the sum over such names instead of the first one
 *  the order brought nothing. */
const ORDER = 0.23;

const jsonSchema = z.object({
  weight: z
    .array(z.number().min(-100).max(100))
    .transform(withoutList)
    .refine((weights) => weights.length === WEIGHTS, `expected ${WEIGHTS} numbers`),
  fittedOn: z.number().int().nonnegative(),
});

export type CandidateWeightsJson = z.infer<typeof jsonSchema>;

export class CandidateWeights {
  readonly weight = Float64Array.from(START.flat());
  /** Fitted on lists of language servers, not in training: no workspace has lists to fit them on. */
  readonly offered = Float64Array.from(OFFERED.flat());
  /** Of a server's order, one number. */
  readonly order = Float64Array.of(ORDER);
  /** Bytes learned from. */
  fittedOn = 0;

  /** Index of the first weight of a situation. */
  at(place: number, typed: number): number {
    return situation(place, typed) * INPUTS;
  }

  /** Index of its weight of what is offered. */
  offeredAt(place: number, typed: number): number {
    return situation(place, typed);
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

const situation = (place: number, typed: number): number =>
  place * TYPED + Math.min(TYPED - 1, typed);

/** What was stored when a list's weight stood in every row. */
function withoutList(weights: number[]): number[] {
  if (weights.length !== SITUATIONS * STORED_BEFORE) return weights;
  return weights.filter((_, i) => i % STORED_BEFORE < INPUTS);
}
