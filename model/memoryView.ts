/**
 * The memory's view of the file being written: a cursor that has read the last bytes before the editor's and followed
 * the very last of them. What it read for one keystroke is not read again for the next. A function of the text alone,
 * whatever was asked before.
 */
import type { MemoryCursor } from "./memory/memoryCursor.ts";
import type { SuffixMemory } from "./memory/suffixMemory.ts";

/** Bytes before the cursor that the view is made from. */
const CURSOR_BYTES = 1 << 14;
/** The view is kept for the next keystroke, from a start in steps and up to an end in steps. */
const CURSOR_START_STEP = 1 << 12;
const CURSOR_END_STEP = 64;
/** The last bytes, this many to twice as many, are predicted before they are read, so that the memory's weights follow
 *  the file: most of what following the whole file gains, for some 25 µs a byte. */
const FOLLOWED_BYTES = 256;

interface Kept {
  readonly path: string;
  readonly version: number;
  readonly start: number;
  /** Bytes from the start that the following cursor has read. */
  readonly read: Uint8Array;
  /** A cursor that has read up to where following begins, and one that has followed from there to the end. */
  readonly plain: MemoryCursor;
  readonly plainEnd: number;
  readonly following: MemoryCursor;
}

function read(cursor: MemoryCursor, bytes: Uint8Array): void {
  for (const byte of bytes) cursor.push(byte);
}

/** Predicts every byte before it is read, from which the cursor learns. */
function follow(cursor: MemoryCursor, bytes: Uint8Array): void {
  const unused = new Float64Array(256);
  for (const byte of bytes) {
    cursor.predict(unused);
    cursor.push(byte);
  }
}

export class MemoryView {
  readonly #memory: SuffixMemory;
  #kept: Kept | undefined;

  constructor(memory: SuffixMemory) {
    this.#memory = memory;
  }

  /** A cursor of the caller's own behind the text. */
  after(path: string, before: Uint8Array): MemoryCursor {
    const { version } = this.#memory;
    const missing = Math.max(0, before.length - CURSOR_BYTES);
    const start = Math.ceil(missing / CURSOR_START_STEP) * CURSOR_START_STEP;
    const text = before.subarray(start);
    const end = Math.floor(text.length / CURSOR_END_STEP) * CURSOR_END_STEP;
    const plainEnd = Math.max(0, Math.floor(end / FOLLOWED_BYTES - 1) * FOLLOWED_BYTES);
    const last = this.#kept;
    const kept =
      last !== undefined &&
      last.path === path &&
      last.version === version &&
      last.start === start &&
      last.read.length <= end &&
      last.read.every((byte, i) => byte === text[i])
        ? last
        : undefined;
    const plain = kept?.plain ?? this.#memory.cursor({ exclude: path });
    read(plain, text.subarray(kept?.plainEnd ?? 0, plainEnd));
    const goesOn = kept?.plainEnd === plainEnd;
    const following = goesOn ? kept.following : plain.fork();
    follow(following, text.subarray(goesOn ? kept.read.length : plainEnd, end));
    this.#kept = { path, version, start, read: text.slice(0, end), plain, plainEnd, following };
    const fork = following.fork();
    follow(fork, text.subarray(end));
    return fork;
  }
}
