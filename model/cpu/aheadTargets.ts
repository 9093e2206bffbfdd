/** Reference twin of aheadTargets, and the count of what it does not skip. */
import { SKIP } from "./crossEntropy.ts";

/**
 * Writes out[t * heads + j], the symbol 2 + j behind position t of a window: SKIP where one of the symbols up to there is
 * not scored, so that no head looks past a file's end, a window's end or into a gap. targets [batch · rows]: the symbol
 * behind each position, or SKIP; windows of `rows` positions. Units are positions.
 */
export function aheadTargets(
  a: {
    readonly targets: ArrayLike<number>;
    readonly out: { [t: number]: number };
    readonly rows: number;
    readonly heads: number;
  },
  start: number,
  end: number,
): void {
  const { targets, out, rows, heads } = a;
  for (let t = start; t < end; t++) {
    const windowEnd = t - (t % rows) + rows;
    let isScored = targets[t] !== SKIP;
    for (let j = 0; j < heads; j++) {
      const target = t + 1 + j < windowEnd ? targets[t + 1 + j]! : SKIP;
      isScored &&= target !== SKIP;
      out[t * heads + j] = isScored ? target : SKIP;
    }
  }
}

/** How many of them are not SKIP: of every scored run, each symbol is that of as many heads as have room before it. */
export function countAhead(
  targets: ArrayLike<number>,
  { rows, heads }: { readonly rows: number; readonly heads: number },
): number {
  let count = 0;
  let run = 0;
  for (let t = 0; t < targets.length; t++) {
    if (t % rows === 0) run = 0;
    if (targets[t] === SKIP) run = 0;
    else if (++run > heads) count += heads;
    else count += run - 1;
  }
  return count;
}
