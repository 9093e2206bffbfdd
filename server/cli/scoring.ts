/**
 * Figures of `eval`, computed from what the model says about each byte. Every definition is here, in one
 * place, because a metric whose edges differ by a byte is another metric.
 */

export interface CutLine {
  readonly fileIdx: number;
  /** First byte behind the indentation. */
  readonly start: number;
  /** Byte offset of the cut: everything before it is known. */
  readonly offset: number;
  /** The rest of the line, without its line break. */
  readonly rest: Uint8Array;
}

/** A line counts when it has at least this many bytes without its indentation. */
export const MIN_LINE_BYTES = 12;

/** Every line that is long enough, cut after one third of its bytes behind the indentation. */
export function cutLines(bytes: Uint8Array, fileIdx: number): CutLine[] {
  const cuts: CutLine[] = [];
  for (let start = 0; start < bytes.length;) {
    const lineFeed = bytes.indexOf(10, start);
    const next = lineFeed < 0 ? bytes.length : lineFeed + 1;
    let end = lineFeed < 0 ? bytes.length : lineFeed;
    if (end > start && bytes[end - 1] === 13) end--;
    let first = start;
    while (first < end && (bytes[first] === 32 || bytes[first] === 9)) first++;
    if (end - first >= MIN_LINE_BYTES) {
      let offset = first + Math.floor((end - first) / 3);
      // Never inside a character.
      while (offset < end && (bytes[offset]! & 0xc0) === 0x80) offset++;
      if (offset < end)
        cuts.push({ fileIdx, start: first, offset, rest: bytes.subarray(offset, end) });
    }
    start = next;
  }
  return cuts;
}

/** A seeded choice of `n` items in their own order; all of them when there are fewer. */
export function sample<T>(items: readonly T[], n: number, seed: number): T[] {
  if (items.length <= n) return [...items];
  const order = Uint32Array.from(items, (_, i) => i);
  let state = (seed ^ 0x9e3779b9) >>> 0;
  const draw = (): number => {
    // xorshift32: small, seeded, the same everywhere.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
  if (state === 0) state = 1;
  for (let i = 0; i < n; i++) {
    const j = i + (draw() % (order.length - i));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return [...order.subarray(0, n)].sort((a, b) => a - b).map((i) => items[i]!);
}

/** Items by their file, in their order. */
export function byFile<T extends { readonly fileIdx: number }>(
  items: readonly T[],
): ReadonlyMap<number, readonly T[]> {
  const files = new Map<number, T[]>();
  for (const item of items) {
    const ofFile = files.get(item.fileIdx);
    if (ofFile === undefined) files.set(item.fileIdx, [item]);
    else ofFile.push(item);
  }
  return files;
}

/** What a completion writes on its first line, without the line break. */
export function firstLine(completed: Uint8Array): Uint8Array {
  let end = completed.indexOf(10);
  if (end < 0) end = completed.length;
  if (end > 0 && completed[end - 1] === 13) end--;
  return completed.subarray(0, end);
}

/** The completion is right when its first line is exactly the rest of the line. */
export function isExact(completed: Uint8Array, rest: Uint8Array): boolean {
  return Buffer.compare(firstLine(completed), rest) === 0;
}

/** Bytes that two texts have in common at their beginnings. */
export function commonPrefix(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  let same = 0;
  while (same < n && a[same] === b[same]) same++;
  return same;
}

/** 1 − Levenshtein distance over bytes ⁄ the longer length; 1 for two empty texts. */
export function editSimilarity(a: Uint8Array, b: Uint8Array): number {
  const longer = Math.max(a.length, b.length);
  if (longer === 0) return 1;
  let row = Uint32Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = new Uint32Array(b.length + 1);
    next[0] = i;
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(
        row[j]! + 1,
        next[j - 1]! + 1,
        row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
    row = next;
  }
  return 1 - row[b.length]! / longer;
}

/** The value that a share of the values does not exceed (nearest rank); null where there is none. */
export function quantile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

/**
 * Counts identifiers (a letter, _ or $, then those and digits; at least two bytes; keywords included) and
 * those of which every byte was the model's first choice, given the true bytes before it.
 */
export function identifierHits(
  bytes: Uint8Array,
  top1: Uint8Array,
): { identifiers: number; right: number } {
  let identifiers = 0;
  let right = 0;
  for (let i = 0; i < bytes.length;) {
    if (!isWord(bytes[i]!)) {
      i++;
      continue;
    }
    const start = i;
    while (i < bytes.length && isWord(bytes[i]!)) i++;
    const digit = bytes[start]! >= 48 && bytes[start]! <= 57;
    if (digit || i - start < 2) continue;
    identifiers++;
    if (top1.subarray(start, i).every((hit) => hit === 1)) right++;
  }
  return { identifiers, right };
}

function isWord(byte: number): boolean {
  return (
    (byte >= 97 && byte <= 122) ||
    (byte >= 65 && byte <= 90) ||
    (byte >= 48 && byte <= 57) ||
    byte === 95 ||
    byte === 36
  );
}

export function sum(values: Float32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
