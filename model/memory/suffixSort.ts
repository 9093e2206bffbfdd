/** Sorts all suffixes of a text in linear time by induced sorting (SA-IS): the suffixes that begin a valley are sorted
 *  first, by recursion on their names, and the order of all others follows from theirs in two passes.
 *  Source: Nong, Zhang, Chan, Linear Suffix Array Construction by Almost Pure Induced-Sorting (2009). */

type Text = Uint16Array | Int32Array;

/** Fills `suffixes` with the start positions of the sorted suffixes of `text`. The last symbol must be the only 0. */
export function sortSuffixes(text: Text, suffixes: Int32Array, symbols: number): void {
  const length = text.length;
  if (length <= 1) {
    if (length === 1) suffixes[0] = 0;
    return;
  }
  const counts = new Int32Array(symbols);
  for (let i = 0; i < length; i++) counts[text[i]!]!++;
  const bucket = new Int32Array(symbols);
  const isValley = valleys(text);

  // Valley starts in any order within their bucket, then induced: sorts them by their text up to the next valley.
  suffixes.fill(-1, 0, length);
  bucketEnds(counts, bucket);
  let valleyCount = 0;
  for (let i = length - 1; i > 0; i--) {
    if (isValley[i] === 1) {
      suffixes[--bucket[text[i]!]!] = i;
      valleyCount++;
    }
  }
  induce({ text, suffixes, counts, bucket });

  // Sorted valleys to the front, their names behind, in text order.
  let at = 0;
  for (let i = 0; i < length; i++) {
    const suffix = suffixes[i]!;
    if (isValley[suffix] === 1) suffixes[at++] = suffix;
  }
  suffixes.fill(-1, valleyCount, length);
  const names = nameValleys({ text, suffixes, isValley, valleyCount });
  for (let from = length - 1, to = length - 1; from >= valleyCount; from--) {
    if (suffixes[from]! >= 0) suffixes[to--] = suffixes[from]!;
  }
  const reduced = suffixes.subarray(length - valleyCount, length);
  if (names < valleyCount) {
    sortSuffixes(reduced, suffixes.subarray(0, valleyCount), names);
  } else {
    for (let i = 0; i < valleyCount; i++) suffixes[reduced[i]!] = i;
  }

  // Names back to positions, then the sorted valleys to the ends of their buckets, then everything else.
  for (let i = 1, next = 0; i < length; i++) if (isValley[i] === 1) reduced[next++] = i;
  for (let i = 0; i < valleyCount; i++) suffixes[i] = reduced[suffixes[i]!]!;
  suffixes.fill(-1, valleyCount, length);
  bucketEnds(counts, bucket);
  for (let i = valleyCount - 1; i >= 0; i--) {
    const suffix = suffixes[i]!;
    suffixes[i] = -1;
    suffixes[--bucket[text[suffix]!]!] = suffix;
  }
  induce({ text, suffixes, counts, bucket });
}

/** 1 where a position's suffix is smaller than the next one's and the one before's is larger. */
function valleys(text: Text): Uint8Array {
  const isValley = new Uint8Array(text.length);
  isValley[text.length - 1] = 1;
  let rising: boolean = false; // the suffix at i + 1 is smaller than the one at i + 2
  for (let i = text.length - 2; i >= 0; i--) {
    const here = text[i]!;
    const next = text[i + 1]!;
    const risingHere: boolean = here < next || (here === next && rising);
    if (rising && !risingHere) isValley[i + 1] = 1;
    rising = risingHere;
  }
  return isValley;
}

function bucketEnds(counts: Int32Array, bucket: Int32Array): void {
  let sum = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    sum += counts[symbol]!;
    bucket[symbol] = sum;
  }
}

function bucketStarts(counts: Int32Array, bucket: Int32Array): void {
  let sum = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    bucket[symbol] = sum;
    sum += counts[symbol]!;
  }
}

/** From sorted valleys: the falling suffixes left to right, then the rising ones right to left. */
function induce(o: {
  text: Text;
  suffixes: Int32Array;
  counts: Int32Array;
  bucket: Int32Array;
}): void {
  const { text, suffixes, counts, bucket } = o;
  const length = text.length;
  bucketStarts(counts, bucket);
  for (let i = 0; i < length; i++) {
    const before = suffixes[i]! - 1;
    if (before < 0) continue;
    const symbol = text[before]!;
    if (symbol >= text[before + 1]!) {
      const slot = bucket[symbol]!;
      suffixes[slot] = before;
      bucket[symbol] = slot + 1;
    }
  }
  bucketEnds(counts, bucket);
  for (let i = length - 1; i >= 0; i--) {
    const before = suffixes[i]! - 1;
    if (before < 0) continue;
    const symbol = text[before]!;
    const next = text[before + 1]!;
    if (symbol < next || (symbol === next && i >= bucket[symbol]!)) {
      const slot = bucket[symbol]! - 1;
      suffixes[slot] = before;
      bucket[symbol] = slot;
    }
  }
}

/** Writes each valley's name at valleyCount + position/2 (valleys are never neighbours); returns how many names. */
function nameValleys(o: {
  text: Text;
  suffixes: Int32Array;
  isValley: Uint8Array;
  valleyCount: number;
}): number {
  const { text, suffixes, isValley, valleyCount } = o;
  const length = text.length;
  let names = 0;
  let previous = -1;
  for (let i = 0; i < valleyCount; i++) {
    const valley = suffixes[i]!;
    let same = previous >= 0;
    for (let step = 0; same; step++) {
      const a = valley + step;
      const b = previous + step;
      if (a >= length || b >= length || text[a] !== text[b] || isValley[a] !== isValley[b])
        same = false;
      else if (step > 0 && isValley[a] === 1) break;
    }
    if (!same) {
      names++;
      previous = valley;
    }
    suffixes[valleyCount + (valley >> 1)] = names - 1;
  }
  return names;
}
