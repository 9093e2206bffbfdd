/**
 * The rows of a segment: all positions of its files sorted by the bytes before them, nearest first, and what follows at
 * each. Several threads may work on one index: it is made in phases of independent chunks over shared memory.
 */

import { invariant } from "../errors.ts";
import { ContextSorter, PARTED, SORT_DEPTH, TEXT_PADDING, TIED } from "./contextSort.ts";
import { sortSuffixes } from "./suffixSort.ts";

export const NO_ROW = -1;

/** Symbols up to which rows are sorted: those that are compared, doubled twice, or, a quarter faster, not at all. */
export const ROW_DEPTH = 4 * SORT_DEPTH;
export const SHALLOW_ROW_DEPTH = SORT_DEPTH;
/** Doublings, of two phases each; four phases besides. */
const roundsTo = (depth: number): number => Math.log2(depth / SORT_DEPTH);

/** Rows sorted by the context before them. A context of up to as many bytes, counting the beginning of a file, is a
 *  range of rows; those of the beginning alone come first. */
export interface RowIndex {
  /** Byte that follows the context of a row; meaningless at end rows. */
  readonly next: Uint8Array;
  /** Row of the context grown by that byte; NO_ROW where the file ends. */
  readonly follow: Int32Array;
}

/** What threads share. */
export interface RowTask {
  /** The files from back to front, one symbol before each: symbol 0 stands for the beginning of a file. */
  readonly text: Uint8Array;
  /** The byte that a symbol stands for. */
  readonly byteOf: Uint8Array;
  /** Positions whose first `depth` symbols are the same, a bucket, begin at starts[bucket] and end at the next. */
  readonly depth: number;
  readonly starts: Int32Array;
  /** Buckets of several positions, the largest first. */
  readonly buckets: Int32Array;
  readonly positions: Int32Array;
  /** Of each position, its row, or the first row of those it is tied to. */
  readonly rowOf: Int32Array;
  /** While rows are sorted, their ties. */
  readonly next: Uint8Array;
  /** What rows are sorted by. */
  readonly rowDepth: number;
  /** Of each phase, chunks that were taken and chunks that are done; then the phase. */
  readonly control: Int32Array;
}

export interface RowOptions {
  /** ROW_DEPTH, the default, or SHALLOW_ROW_DEPTH. */
  readonly depth?: number | undefined;
  /** Lets other threads work on the task until it is over. */
  readonly join?: ((task: RowTask) => void) | undefined;
}

/** Buckets of two symbols; fewer rows than FEW_ROWS are one bucket. */
const BUCKETS = 1 << 16;
const FEW_ROWS = 1 << 15;
const MOST_PHASES = 4 + 2 * roundsTo(ROW_DEPTH);
/** Where `control` holds the phase. */
const PHASE = 2 * MOST_PHASES;
const ROWS_PER_CHUNK = 1 << 18;
/** Nothing takes a thread this long between two signs of life. */
const SILENCE_MS = 120_000;

type Bytes = (length: number) => Uint8Array;
type Integers = (length: number) => Int32Array;
const shared = {
  bytes: ((length) => new Uint8Array(new SharedArrayBuffer(length))) as Bytes,
  integers: ((length) => new Int32Array(new SharedArrayBuffer(length * 4))) as Integers,
};
const own = {
  bytes: ((length) => new Uint8Array(length)) as Bytes,
  integers: ((length) => new Int32Array(length)) as Integers,
};

/** Symbols from 1 for the bytes that occur, in their order; undefined where all 256 do. */
function symbolsOf(files: readonly Uint8Array[]): Uint8Array | undefined {
  const occurs = new Uint8Array(256);
  for (const bytes of files) for (let i = 0; i < bytes.length; i++) occurs[bytes[i]!] = 1;
  const symbols = new Uint8Array(256);
  let used = 0;
  for (let byte = 0; byte < 256; byte++) if (occurs[byte] === 1) symbols[byte] = ++used & 255;
  return used < 256 ? symbols : undefined;
}

export function indexRows(
  files: readonly Uint8Array[],
  { depth: rowDepth = ROW_DEPTH, join }: RowOptions = {},
): RowIndex {
  const symbols = symbolsOf(files);
  if (symbols === undefined) return indexAllBytes(files);
  const rows = files.reduce((sum, bytes) => sum + bytes.length + 1, 0);
  const { bytes, integers } = join === undefined ? own : shared;
  const text = bytes(rows + 1 + TEXT_PADDING);
  const byteOf = bytes(256);
  for (let byte = 0; byte < 256; byte++) byteOf[symbols[byte]!] = byte;
  let at = rows;
  for (const file of files) {
    for (let i = 0; i < file.length; i++) text[--at] = symbols[file[i]!]!;
    text[--at] = 0;
  }
  // Position p is the place between symbol p, the nearest byte before it, and symbol p − 1, the byte that follows.
  const positions = integers(rows);
  const depth = rows < FEW_ROWS ? 0 : 2;
  const starts = integers(depth === 0 ? 2 : BUCKETS + 1);
  if (depth === 0) {
    starts[1] = rows;
    for (let i = 0; i < rows; i++) positions[i] = i + 1;
  } else distribute(text, positions, starts);
  const sizes = [];
  for (let b = 0; b < starts.length - 1; b++) if (starts[b + 1]! - starts[b]! > 1) sizes.push(b);
  sizes.sort((a, b) => starts[b + 1]! - starts[b]! - (starts[a + 1]! - starts[a]!));
  const buckets = integers(sizes.length);
  buckets.set(sizes);
  const task: RowTask = {
    text,
    byteOf,
    depth,
    starts,
    buckets,
    positions,
    rowOf: integers(rows + 1),
    next: bytes(rows),
    rowDepth,
    control: integers(PHASE + 1),
  };
  join?.(task);
  workOnRows(task);
  return { next: task.next, follow: positions };
}

/** Positions from 1 on into buckets of two symbols. */
function distribute(text: Uint8Array, positions: Int32Array, starts: Int32Array): void {
  const rows = positions.length;
  for (let p = 1; p <= rows; p++) starts[((text[p]! << 8) | text[p + 1]!) + 1]!++;
  for (let b = 0; b < BUCKETS; b++) starts[b + 1]! += starts[b]!;
  const place = starts.slice();
  for (let p = 1; p <= rows; p++) positions[place[(text[p]! << 8) | text[p + 1]!]!++] = p;
}

/** Takes chunks of the task until it is over. Every thread may call it, whenever it comes. */
export function workOnRows(task: RowTask): void {
  const { text, byteOf, depth, starts, buckets, positions, rowOf, next, control } = task;
  const rows = positions.length;
  const rowChunks = Math.ceil(rows / ROWS_PER_CHUNK);
  const sorter = new ContextSorter(text, positions, next);
  const phases: { readonly chunks: number; readonly work: (chunk: number) => void }[] = [];
  const overRows = (work: (first: number, last: number) => void): void => {
    phases.push({
      chunks: rowChunks,
      work: (chunk) => work(chunk * ROWS_PER_CHUNK, Math.min(rows, (chunk + 1) * ROWS_PER_CHUNK)),
    });
  };
  phases.push({
    chunks: buckets.length,
    work: (chunk) => {
      const bucket = buckets[chunk]!;
      sorter.sortBucket(starts[bucket]!, starts[bucket + 1]!, depth);
    },
  });
  overRows((first, last) => {
    for (let row = first; row < last; row++) if (next[row] !== TIED) rowOf[positions[row]!] = row;
    rankTied(task, first, last);
  });
  for (let round = 0; round < roundsTo(task.rowDepth); round++) {
    overRows((first, last) => sorter.sortTied(first, last, rowOf, SORT_DEPTH << round));
    overRows((first, last) => rankTied(task, first, last));
  }
  overRows((first, last) => {
    for (let row = first; row < last; row++) if (next[row] === TIED) rowOf[positions[row]!] = row;
  });
  overRows((first, last) => {
    // In the order of the text: rows are written all over the place, which is faster than to read them so. The sorted
    // positions and their ties are not needed any more.
    for (let after = first; after < last; after++) {
      const row = rowOf[after + 1]!;
      const symbol = text[after]!;
      next[row] = byteOf[symbol]!;
      positions[row] = symbol === 0 ? NO_ROW : rowOf[after]!;
    }
  });
  for (;;) {
    const phase = Atomics.load(control, PHASE);
    if (phase === phases.length) return;
    const { chunks, work } = phases[phase]!;
    let done = chunks === 0;
    for (;;) {
      const chunk = Atomics.add(control, 2 * phase, 1);
      if (chunk >= chunks) break;
      work(chunk);
      done = Atomics.add(control, 2 * phase + 1, 1) + 1 === chunks;
    }
    // Whoever ends the last chunk opens the next phase.
    if (done) {
      Atomics.compareExchange(control, PHASE, phase, phase + 1);
      Atomics.notify(control, PHASE);
    } else
      invariant(
        Atomics.wait(control, PHASE, phase, SILENCE_MS) !== "timed-out",
        "a thread that indexes the memory went silent",
      );
  }
}

/** Ranks of rows that are tied or have been parted, of which these become rows of their own. */
function rankTied(task: RowTask, first: number, last: number): void {
  const { positions, rowOf, next } = task;
  let start = -1;
  for (let row = first; row < positions.length; row++) {
    const tie = next[row]!;
    if (tie === TIED) {
      // A group that began in an earlier chunk is ranked there, also beyond that chunk.
      if (start >= 0) rowOf[positions[row]!] = start;
      continue;
    }
    if (row >= last) break;
    start = row;
    if (tie !== PARTED) continue;
    rowOf[positions[row]!] = row;
    next[row] = 0;
  }
}

/** Files in which every byte value occurs leave no symbol for their beginnings: sorted in full. */
function indexAllBytes(files: readonly Uint8Array[]): RowIndex {
  const rows = files.reduce((sum, bytes) => sum + bytes.length + 1, 0);
  // Bytes are 2 … 257 here, 1 is the end of a file (seen from the next position: the beginning of one), and the 0 that
  // sorting needs comes last.
  const reversed = new Uint16Array(rows + 1);
  const head = new Uint32Array(257);
  let at = rows;
  for (const bytes of files) {
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      reversed[--at] = byte + 2;
      head[byte + 1]!++;
    }
    reversed[--at] = 1;
  }
  head[0] = files.length;
  for (let byte = 0; byte < 256; byte++) head[byte + 1]! += head[byte]!;
  const sorted = new Int32Array(rows + 1);
  sortSuffixes(reversed, sorted, 258);
  const next = new Uint8Array(rows);
  // The sorted positions are not needed any more: their memory becomes `follow`, a row never after its source.
  const follow = sorted.subarray(0, rows);
  let row = 0;
  for (let i = 0; i <= rows; i++) {
    const suffix = sorted[i]!;
    if (suffix === 0) continue; // the position after all files
    const symbol = reversed[suffix - 1]!;
    if (symbol === 1) {
      follow[row++] = NO_ROW;
    } else {
      next[row] = symbol - 2;
      follow[row++] = head[symbol - 2]!++;
    }
  }
  return { next, follow };
}
