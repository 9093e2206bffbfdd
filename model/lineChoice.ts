/**
 * Which of several ways to end a line is right: the one that was written byte by byte, a copy of what stood behind an
 * earlier place, or what stood behind a place that is alike but for names, renamed. Every byte of a greedy line is the
 * best after those before it, which does not make the line the best; a long match says more about a whole line than
 * about each of its bytes; and of a name that is put in for another, bytes say too little. Each way's log probability
 * under the mixture, its end included, is weighed with what is known of its places.
 */
import type { LineCopy } from "./memory/lineCopies.ts";
import type { RenamedLine } from "./memory/renamedLines.ts";

/** Copies of the longest matches that are looked at, and lines by analogy; more gain nothing and cost a pass of the
 *  network each. */
const COPIES_LOOKED_AT = 3;
const RENAMED_LOOKED_AT = 1;
/** Replaced names that count. */
const MOST_REPLACED = 3;

/** Weights of a conditional logit in units of its weight of the natural log probability, fitted on held-out lines of a
 *  Rust, a Go and a C++ repository. `UNSEEN` is what a line that stands nowhere starts with. */
const MATCH = 0.6;
const UNSEEN = 3;
const RENAMED = -1.1;
const SAME_NAMES = 0.7;
const TOKENS = 1;
const REPLACED = 13;

/** A line that may be the one, and where it comes from. */
export interface LineWay {
  readonly bytes: Uint8Array;
  readonly copy: LineCopy | undefined;
  readonly renamed: RenamedLine | undefined;
}

/** What is known of the lines that may stand here. */
export interface LineSources {
  readonly copies: readonly LineCopy[];
  /** Best first. */
  readonly renamed: readonly RenamedLine[];
}

/** The lines worth weighing: copies, those of the longest matches first, of equally long ones those with more places;
 *  then lines by analogy. */
export function promising(sources: LineSources): LineWay[] {
  const copies = sources.copies
    .toSorted((a, b) => b.matchLength - a.matchLength || b.best - a.best)
    .slice(0, COPIES_LOOKED_AT);
  const ways = copies.map(({ bytes }) => wayOf(bytes, sources));
  for (const { bytes } of sources.renamed.slice(0, RENAMED_LOOKED_AT))
    if (!ways.some((way) => isEqual(way.bytes, bytes))) ways.push(wayOf(bytes, sources));
  return ways;
}

/** A line with what the sources say of it. */
export function wayOf(line: ArrayLike<number>, sources: LineSources): LineWay {
  return {
    bytes: Uint8Array.from(line),
    copy: sources.copies.find(({ bytes }) => isEqual(bytes, line)),
    renamed: sources.renamed.find(({ bytes }) => isEqual(bytes, line)),
  };
}

/** What a line is worth: comparable between lines at one place, and rising with the log probability. */
export function lineScore(logProbability: number, { copy, renamed }: LineWay): number {
  let score = logProbability;
  score += copy === undefined ? UNSEEN : MATCH * Math.log2(1 + copy.matchLength);
  if (renamed === undefined) return score;
  return (
    score +
    RENAMED +
    SAME_NAMES * Math.log2(1 + renamed.sameNames) +
    TOKENS * Math.log2(1 + renamed.tokens) +
    REPLACED * Math.min(MOST_REPLACED, renamed.replaced)
  );
}

function isEqual(a: Uint8Array, b: ArrayLike<number>): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
