/** Copies of the rest of a line: what stood behind earlier places that end like the text before the cursor, in the
 *  workspace and in the file itself, up to the end of its line. Places of files that are left out are taken away by
 *  counting them once more with their sign, as everywhere in the memory. */

import type { OwnIndex } from "./ownIndex.ts";
import { MAX_ORDER, type SegmentWalk } from "./segment.ts";

export interface LineCopy {
  /** The rest of the line, without its line feed; never empty. */
  readonly bytes: Uint8Array;
  /** Bytes before the cursor that the best of its places shares, at most MAX_ORDER. */
  readonly matchLength: number;
  /** Places of that length, and all places that were looked at. */
  readonly best: number;
  readonly places: number;
  /** How many of them stand in this file. */
  readonly own: number;
}

/** Shorter matches are not looked at. */
const SHORTEST = 4;
/** Places that are looked at, longest matches first; more of one length are left aside together. */
const MOST_PLACES = 192;
const LINE_FEED = 10;

/** Counts of one text, by the length of the match; own places apart. */
interface Found {
  readonly bytes: Uint8Array;
  readonly byLength: Int32Array;
  own: number;
}

export function lineCopies(
  walks: readonly SegmentWalk[],
  own: OwnIndex | undefined,
  maxBytes: number,
): LineCopy[] {
  const found = new Map<string, Found>();
  const line = new Uint8Array(maxBytes + 1);
  const add = (length: number, matchLength: number, sign: number, isOwn: 0 | 1): void => {
    if (length === 0) return;
    const key = String.fromCharCode(...line.subarray(0, length));
    let one = found.get(key);
    if (one === undefined) {
      one = { bytes: line.slice(0, length), byLength: new Int32Array(MAX_ORDER + 1), own: 0 };
      found.set(key, one);
    }
    one.byLength[matchLength]! += sign;
    one.own += isOwn;
  };
  const shortest = shortestOf(walks);
  for (const walk of walks) {
    let innerLow = 0;
    let innerHigh = 0;
    for (let entry = walk.entries - 1; entry >= 0; entry--) {
      const matchLength = walk.topOrder[entry]!;
      if (matchLength < shortest) break;
      const low = walk.low[entry]!;
      const high = walk.high[entry]!;
      for (let row = low; row < high; row++) {
        if (row === innerLow && innerHigh > innerLow) row = innerHigh;
        if (row >= high) break;
        const length = readLine(walk, row, line);
        if (length >= 0) add(length, matchLength, walk.sign, 0);
      }
      innerLow = low;
      innerHigh = high;
    }
  }
  own?.places(SHORTEST, (at, matchLength) => {
    const length = own.readLine(at, line);
    if (length >= 0) add(length, matchLength, 1, 1);
  });
  return [...found.values()].flatMap(summed);
}

/** Of the orders whose places are few enough in all segments, the lowest; above all orders where none is. */
function shortestOf(walks: readonly SegmentWalk[]): number {
  const places = new Int32Array(MAX_ORDER + 1);
  for (const walk of walks) {
    let inner = 0;
    for (let entry = walk.entries - 1; entry >= 0; entry--) {
      const all = walk.high[entry]! - walk.low[entry]!;
      places[walk.topOrder[entry]!]! += all - inner;
      inner = all;
    }
  }
  let sum = 0;
  for (let order = MAX_ORDER; order >= SHORTEST; order--)
    if ((sum += places[order]!) > MOST_PLACES) return order + 1;
  return SHORTEST;
}

/** Length of the line behind a row, −1 where it does not end within `line`. */
function readLine(walk: SegmentWalk, from: number, line: Uint8Array): number {
  const { next, follow } = walk.segment;
  let row = from;
  for (let length = 0; length < line.length; length++) {
    const to = follow[row]!;
    if (to < 0) return -1;
    const byte = next[row]!;
    if (byte === LINE_FEED) return length;
    line[length] = byte;
    row = to;
  }
  return -1;
}

/** Nothing where every place was taken away. */
function summed({ bytes, byLength, own }: Found): LineCopy[] {
  let matchLength = MAX_ORDER;
  while (matchLength > 0 && byLength[matchLength]! <= 0) matchLength--;
  if (matchLength === 0) return [];
  const places = byLength.reduce((sum, count) => sum + count, 0);
  return [{ bytes, matchLength, best: byLength[matchLength]!, places, own }];
}
