/** What the clean-up steps work on. Each step is a pure function from candidate to candidate, in its own file. */

export interface Candidate {
  readonly text: string;
  /** The text stops where the budget ran out, so its last identifier may be incomplete. */
  readonly truncated: boolean;
}

export interface Surroundings {
  /** The cursor's line, left and right of the cursor, without its line ending. */
  readonly linePrefix: string;
  readonly lineSuffix: string;
  /** The lines below the cursor's line. */
  readonly following: string;
  readonly multiLine: boolean;
}

export type CleanUp = (candidate: Candidate, around: Surroundings) => Candidate;

export const IDENTIFIER_CHARACTER = /[\p{L}\p{N}\p{M}_$]/u;
