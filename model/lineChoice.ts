/**
 * Which of several ways to end a line is right: the one that was written byte by byte, a copy of what stood behind the
 * longest match, or what stood behind a place that is alike but for names, with the names of this place. Every byte of
 * a greedy line is the best after those before it, which does not make the line the best; and of a name that is put in
 * for another, the probability of its bytes says too little. So each way's log probability under the mixture, its end
 * included, is weighed with what is known of the place it is drawn from by analogy, if it is, and with what hardly ever
 * follows the lines above.
 *
 * How probable the chosen line is, is another question. The mixture's answer is right where it wrote the line; but whoever
 * copies a line copies all of it, and so copies and analogies are right far more often than their bytes' probabilities
 * say. A logistic regression on where the line stems from and how it fits in says how often.
 */
import { LinePlace, type LineText } from "./linePlace.ts";
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

/** Weights of the chance, fitted on those nine, 4,500 lines, 540 of them with a network. */
const CHANCE = {
  constant: -1.7,
  logProbability: 0.57,
  logProbabilityIfWritten: 0.65,
  logProbabilityIfReplaced: -0.22,
  isWritten: 1.18,
  isCopy: -1.07,
  copyPlaces: 0.23,
  copyShare: 0.31,
  copyMatch: 1.21,
  isRenamed: -2.19,
  isBestRenamed: 1.75,
  sameNames: 0.41,
  isReplaced: 1.39,
  repeats: -2.33,
  opensQuotation: -1.95,
  length: 0.44,
  hasShapeAbove: 0.84,
  sameEnd: -0.22,
} as const;
/** Below this a log probability says nothing more of the chance. */
const LOWEST = -15;
/** A match longer than the line's beginning counts no more from this many times its length on. */
const LONGEST_SHARE = 1.5;

/** What is known of the lines that may stand here. */
export interface LineSources {
  readonly copies: readonly LineCopy[];
  /** Best first. */
  readonly renamed: readonly RenamedLine[];
}

/** One way to end the line. */
export interface LineWay {
  readonly bytes: ArrayLike<number>;
  /** 1: written byte by byte, the most probable each time. */
  readonly isWritten: 0 | 1;
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
    const { analogy, text } = this.#knownOf(line);
    let known =
      REPEATS * text.repeats +
      IMPORTS_AGAIN * text.importsAgain +
      OPENS_QUOTATION * text.opensQuotation;
    if (analogy !== undefined)
      known +=
        ANALOGY +
        SAME_NAMES * Math.log2(1 + analogy.sameNames) +
        TOKENS * Math.log2(1 + analogy.tokens) +
        REPLACED * Math.min(MOST_REPLACED, analogy.replaced);
    return (logProbability) => known + logProbability;
  }

  /** The probability that a line that was chosen is right, its end included. */
  chanceOf({ bytes, isWritten }: LineWay, logProbability: number): number {
    const { copy, analogy, text } = this.#knownOf(bytes);
    const log = Math.max(LOWEST, logProbability);
    let logit =
      CHANCE.constant +
      CHANCE.logProbability * log +
      isWritten * (CHANCE.isWritten + CHANCE.logProbabilityIfWritten * log) +
      CHANCE.repeats * text.repeats +
      CHANCE.opensQuotation * text.opensQuotation +
      CHANCE.length * Math.log(1 + bytes.length) +
      CHANCE.hasShapeAbove * text.hasShapeAbove +
      CHANCE.sameEnd * Math.log(text.sameEnd);
    if (copy !== undefined) {
      const places = this.#sources.copies.reduce((sum, one) => sum + one.places, 0);
      const match = copy.matchLength / Math.max(1, this.#place.begunBytes);
      logit +=
        CHANCE.isCopy +
        CHANCE.copyPlaces * Math.log(1 + copy.places) +
        CHANCE.copyShare * Math.log(copy.places / places) +
        CHANCE.copyMatch * Math.min(LONGEST_SHARE, match);
    }
    if (analogy !== undefined)
      logit +=
        CHANCE.isRenamed +
        (analogy === this.#sources.renamed[0] ? CHANCE.isBestRenamed : 0) +
        CHANCE.sameNames * Math.log2(1 + analogy.sameNames) +
        (analogy.replaced > 0 ? CHANCE.isReplaced + CHANCE.logProbabilityIfReplaced * log : 0);
    return 1 / (1 + Math.exp(-logit));
  }

  #knownOf(line: ArrayLike<number>): {
    readonly copy: LineCopy | undefined;
    readonly analogy: RenamedLine | undefined;
    readonly text: LineText;
  } {
    const { copies, renamed } = this.#sources;
    return {
      copy: copies.find(({ bytes }) => isEqual(bytes, line)),
      analogy: renamed.find(({ bytes }) => isEqual(bytes, line)),
      text: this.#place.textOf(Uint8Array.from(line)),
    };
  }
}

function isEqual(a: Uint8Array, b: ArrayLike<number>): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
