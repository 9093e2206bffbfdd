/**
 * The memory's view of the file being written: a cursor that has read the last bytes before the editor's and followed
 * the very last of them. What it read for one keystroke is not read again for the next. A function of the text alone,
 * whatever was asked before.
 */
import type { MemoryCursor } from "./memory/memoryCursor.ts";
import { copyEvidence, type PlaceEvidence } from "./memory/placeEvidence.ts";
import type { SuffixMemory } from "./memory/suffixMemory.ts";

/** Bytes before the cursor that the view is made from. */
const CURSOR_BYTES = 1 << 14;
/** The view is kept for the next keystroke, from a start in steps and up to an end in steps. */
const CURSOR_START_STEP = 1 << 12;
const CURSOR_END_STEP = 64;
/** The last bytes, at least this many, are predicted before they are read, so that the memory's weights follow the file:
 *  most of what following the whole file gains, for some 25 µs a byte. Where that begins moves in steps. */
const FOLLOWED_BYTES = 256;
const FOLLOWED_STEP = 128;

/** What the memory said of a byte that it followed, for mixtures to follow it too. */
export interface FollowedPlace {
  readonly memory: Float64Array;
  readonly matchLength: number;
  readonly total: number;
  /** Believed as before the file, so that a mixture may follow at any later time. */
  readonly evidence: PlaceEvidence;
}

/** A cursor behind the text, and what was said of the last bytes of it. */
export interface Following {
  readonly cursor: MemoryCursor;
  /** The last one is that of the last byte. */
  readonly places: readonly FollowedPlace[];
}

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
  /** From there to the end. */
  readonly places: readonly FollowedPlace[];
}

interface Plan {
  readonly start: number;
  /** From the start on; it is kept up to `end`, and followed from `plainEnd` on, of which what is kept has done all up
   *  to `from`. */
  readonly text: Uint8Array;
  readonly end: number;
  readonly plainEnd: number;
  readonly from: number;
  readonly kept: Kept | undefined;
  readonly goesOn: boolean;
}

/** Predicts every byte before it is read, from which the cursor learns. */
function follow(
  cursor: MemoryCursor,
  bytes: Uint8Array,
  before: readonly FollowedPlace[],
): FollowedPlace[] {
  const places = [...before];
  // What the first place was told by is what the cursor began with: it learns in weights of its own.
  let belief = places[0]?.evidence.belief;
  for (const byte of bytes) {
    const memory = new Float64Array(256);
    const { evidence, ...match } = cursor.predict(memory);
    belief ??= evidence.belief;
    places.push({ ...match, memory, evidence: copyEvidence(evidence, belief) });
    cursor.push(byte);
  }
  return places;
}

export class MemoryView {
  readonly #memory: SuffixMemory;
  #kept: Kept | undefined;

  constructor(memory: SuffixMemory) {
    this.#memory = memory;
  }

  /** Counts the memory's changes. */
  get version(): number {
    return this.#memory.version;
  }

  /** Bytes that a cursor behind the text has yet to follow: most of what `after` takes its time for. */
  unread(path: string, before: Uint8Array): number {
    const { text, from } = this.#plan(path, before);
    return text.length - from;
  }

  /** How many of the last bytes a cursor behind the text has followed. */
  followed(path: string, before: Uint8Array): number {
    const { text, plainEnd } = this.#plan(path, before);
    return text.length - plainEnd;
  }

  /** A cursor of the caller's own behind the text. */
  after(path: string, before: Uint8Array): Following {
    const { version } = this.#memory;
    const { start, text, end, plainEnd, kept, goesOn, from } = this.#plan(path, before);
    const plain = kept?.plain ?? this.#memory.cursor({ exclude: path });
    plain.read(text.subarray(kept?.plainEnd ?? 0, plainEnd));
    const following = goesOn ? kept!.following : plain.fork();
    const places = follow(following, text.subarray(from, end), goesOn ? kept!.places : []);
    const cursor = following.fork();
    this.#kept = {
      path,
      version,
      start,
      read: text.slice(0, end),
      plain,
      plainEnd,
      following,
      places,
    };
    return { cursor, places: follow(cursor, text.subarray(end), places) };
  }

  /** What is kept of the text, and where following goes on or begins. */
  #plan(path: string, before: Uint8Array): Plan {
    const missing = Math.max(0, before.length - CURSOR_BYTES);
    const start = Math.ceil(missing / CURSOR_START_STEP) * CURSOR_START_STEP;
    const text = before.subarray(start);
    const end = Math.floor(text.length / CURSOR_END_STEP) * CURSOR_END_STEP;
    const plain = Math.max(0, end - FOLLOWED_BYTES);
    const plainEnd = Math.floor(plain / FOLLOWED_STEP) * FOLLOWED_STEP;
    const last = this.#kept;
    const kept =
      last !== undefined &&
      last.path === path &&
      last.version === this.#memory.version &&
      last.start === start &&
      last.read.length <= end &&
      last.read.every((byte, i) => byte === text[i])
        ? last
        : undefined;
    const goesOn = kept?.plainEnd === plainEnd;
    return { start, text, end, plainEnd, kept, goesOn, from: goesOn ? kept.read.length : plainEnd };
  }
}
