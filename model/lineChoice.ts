/**
 * Which of several ways to end a line is right: the one that was written byte by byte, or a copy of what stood behind
 * an earlier place. Every byte of a greedy line is the best after those before it, which does not make the line the
 * best; and a long match says more about a whole line than about each of its bytes. Each way's log probability under
 * the mixture, its end included, is weighed with what is known of its places.
 */
import type { LineCopy } from "./memory/lineCopies.ts";

/** Copies of the longest matches that are looked at; more gain little and cost a pass of the network each. */
const LOOKED_AT = 3;

/** Weights of a conditional logit in units of its weight of the natural log probability, fitted on held-out lines of a
 *  Rust, a Go and a C++ repository that no figure of ours is measured on. A line that stands in many places is already
 *  probable by its bytes, so places count against it; `unseen` is what a line without places starts with. */
const MATCH = 0.84;
const PLACES = -0.84;
const UNSEEN = 1.34;

/** The copies worth weighing, those of the longest matches first; of equally long ones those with more places. */
export function promising(copies: readonly LineCopy[]): LineCopy[] {
  return copies
    .toSorted((a, b) => b.matchLength - a.matchLength || b.best - a.best)
    .slice(0, LOOKED_AT);
}

/** What a line is worth: comparable between lines at one place, and rising with the log probability. */
export function lineScore(logProbability: number, copy: LineCopy | undefined): number {
  if (copy === undefined) return logProbability + UNSEEN;
  return (
    logProbability + MATCH * Math.log2(1 + copy.matchLength) + PLACES * Math.log1p(copy.places)
  );
}

/** The copy that is this line, if any is. */
export function copyOf(line: ArrayLike<number>, copies: readonly LineCopy[]): LineCopy | undefined {
  return copies.find(
    ({ bytes }) => bytes.length === line.length && bytes.every((byte, i) => byte === line[i]),
  );
}
