/** Lines written byte by byte, and lines that are given and weighed. */
import type { Continuation } from "./continuation.ts";
import type { LineChoice } from "./lineChoice.ts";

const NEWLINE = 10;
/** Why a text ends where it does. */
export type Finished = "end" | "line" | "length" | "aborted";

export interface Written {
  readonly bytes: readonly number[];
  /** Probability of each byte given those before it. */
  readonly perByte: readonly number[];
  /** Natural logarithm of the product, with that of the end where it was reached. */
  readonly logProbability: number;
  readonly finished: Finished;
}

/** The most probable byte again and again, and what no other line can be more probable than: `bound` is −∞ for the line
 *  itself. The last byte wanted, like the end of a single line, needs no distribution behind it. */
export async function writeGreedily(
  way: Continuation,
  o: {
    readonly maxBytes: number;
    readonly singleLine: 0 | 1;
    readonly signal?: AbortSignal;
  },
): Promise<{ best: Written; bound: (line: Uint8Array) => number }> {
  const perByte: number[] = [];
  const seen: Float64Array[] = [];
  let logProbability = 0;
  let finished: Finished = "length";
  const draft = (most: number): Uint8Array => {
    const length = Math.min(most, o.maxBytes - way.bytes.length - 1);
    const expected = length <= 0 ? new Uint8Array(0) : way.cursor.draft(length);
    const end = o.singleLine === 1 ? expected.indexOf(NEWLINE) : -1;
    return end < 0 ? expected : expected.subarray(0, end);
  };
  while (way.bytes.length < o.maxBytes && way.room > 0) {
    await way.look(draft);
    if (o.signal?.aborted === true) {
      finished = "aborted";
      break;
    }
    const { mixed, eom } = way;
    seen.push(mixed.map((p) => p * (1 - eom)));
    let best = 0;
    for (let byte = 1; byte < 256; byte++) if (mixed[byte]! > mixed[best]!) best = byte;
    const probability = mixed[best]! * (1 - eom);
    const isEnd = eom > probability;
    if (isEnd || (best === NEWLINE && o.singleLine === 1)) {
      finished = isEnd ? "end" : "line";
      logProbability += Math.log(isEnd ? eom : probability);
      break;
    }
    logProbability += Math.log(probability);
    perByte.push(probability);
    way.push(best);
  }
  const bound = (line: Uint8Array): number => {
    let sum = 0;
    for (const [i, p] of seen.entries()) {
      sum += Math.log(p[line[i] ?? NEWLINE]!);
      if (line[i] === undefined || line[i] !== way.bytes[i])
        return i === way.bytes.length && i === line.length ? -Infinity : sum;
    }
    return sum;
  };
  return { best: { bytes: way.bytes, perByte, logProbability, finished }, bound };
}

/** A given line, for as long as it may still be the one; undefined where it is not. */
async function weighLine(
  way: Continuation,
  line: Uint8Array,
  mayWin: (logProbability: number) => boolean,
): Promise<Written | undefined> {
  const perByte: number[] = [];
  let logProbability = 0;
  if (line.length >= way.room) return undefined;
  for (let i = 0; ; i++) {
    await way.look(() => line.subarray(i));
    const { mixed, eom } = way;
    const probability = mixed[line[i] ?? NEWLINE]! * (1 - eom);
    logProbability += Math.log(probability);
    if (!mayWin(logProbability)) return undefined;
    if (i === line.length) return { bytes: way.bytes, perByte, logProbability, finished: "line" };
    perByte.push(probability);
    way.push(line[i]!);
  }
}

/** The greedy line, or one of those that it is weighed against; undefined where it was given up. */
export async function chooseLine(o: {
  readonly greedy: Written;
  readonly bound: (line: Uint8Array) => number;
  readonly choice: LineChoice;
  /** A continuation from the cursor. */
  readonly begin: () => Continuation;
  readonly givenUp: () => boolean;
}): Promise<Written | undefined> {
  const { greedy, bound, choice } = o;
  let best = greedy;
  let score = choice.scoreOf(greedy.bytes)(greedy.logProbability);
  for (const line of choice.lines) {
    const scoreOf = choice.scoreOf(line);
    const mayWin = (logProbability: number): boolean => scoreOf(logProbability) > score;
    if (!mayWin(bound(line))) continue;
    const weighed = await weighLine(o.begin(), line, mayWin);
    if (o.givenUp()) return undefined;
    if (weighed === undefined) continue;
    best = weighed;
    score = scoreOf(weighed.logProbability);
  }
  return best;
}
