/**
 * Which of several ways to end a line is right: the one that was written byte by byte, a copy of what stood behind the
 * longest match, or what stood behind a place that is alike but for names, with the names of this place. Every byte of
 * a greedy line is the best after those before it, which does not make the line the best; and of a name that is put in
 * for another, the probability of its bytes says too little. So each way's log probability under the mixture, its end
 * included, is weighed with what is known of the place it is drawn from by analogy, if it is, and with what hardly ever
 * follows the lines above.
 */
import { LinePlace } from "./linePlace.ts";
import type { LineCopy } from "./memory/lineCopies.ts";
import type { RenamedLine } from "./memory/renamedLines.ts";

/** Weights of a conditional logit in units of its weight of the natural log probability, fitted on held-out lines of a
 *  Rust, a Go and a C++ repository, with and without a network. The length of a copy's match and the number of its
 *  places say nothing more once the mixture hears of analogies. */
const ANALOGY = -3.1;
const SAME_NAMES = 0.7;
const TOKENS = 1.4;
const REPLACED = 7.4;
/** Replaced names that count. */
const MOST_REPLACED = 3;
/** The same, fitted on nine other repositories of six languages. */
const REPEATS = -12;
const IMPORTS_AGAIN = -15;
const OPENS_QUOTATION = -3;

/** What is known of the lines that may stand here. */
export interface LineSources {
  readonly copies: readonly LineCopy[];
  /** Best first. */
  readonly renamed: readonly RenamedLine[];
}

export class LineChoice {
  /** The lines worth weighing, each a pass of the network: a copy of the longest match, of equally long ones that of
   *  most places; and the best line by analogy. */
  readonly lines: readonly Uint8Array[];
  readonly #place: LinePlace;
  readonly #sources: LineSources;

  constructor(before: Uint8Array, sources: LineSources) {
    this.#sources = sources;
    this.#place = new LinePlace(before);
    const [copy] = sources.copies.toSorted(
      (a, b) => b.matchLength - a.matchLength || b.best - a.best,
    );
    const [analogy] = sources.renamed;
    const lines = [copy, analogy].flatMap((one) => (one === undefined ? [] : [one.bytes]));
    this.lines = lines.length === 2 && isEqual(lines[0]!, lines[1]!) ? lines.slice(1) : lines;
  }

  /** What a line is worth by its natural log probability, with which it rises: comparable between lines at one place. */
  scoreOf(line: ArrayLike<number>): (logProbability: number) => number {
    const text = this.#place.textOf(Uint8Array.from(line));
    let known =
      REPEATS * text.repeats +
      IMPORTS_AGAIN * text.importsAgain +
      OPENS_QUOTATION * text.opensQuotation;
    const analogy = this.#sources.renamed.find(({ bytes }) => isEqual(bytes, line));
    if (analogy !== undefined)
      known +=
        ANALOGY +
        SAME_NAMES * Math.log2(1 + analogy.sameNames) +
        TOKENS * Math.log2(1 + analogy.tokens) +
        REPLACED * Math.min(MOST_REPLACED, analogy.replaced);
    return (logProbability) => known + logProbability;
  }
}

function isEqual(a: Uint8Array, b: ArrayLike<number>): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
