/** Which bytes followed every hashed context of one kind in a set of files, and how often: sorted hashes, each with a
 *  list of followers. Immutable; counts of several tables add up exactly, with signs, as those of segments do. Two
 *  contexts of equal hash are one context, here and in every other table, so leaving files out stays exact. */

import { CodeContext } from "./codeContext.ts";

const RADIX_BITS = 11;
const RADIX = 1 << RADIX_BITS;
/** Mean number of contexts behind one entry of the directory, as a power of two. */
const DIRECTORY_SHARE = 2;

export class ContextTable {
  private readonly hash: Uint32Array;
  private readonly start: Uint32Array;
  private readonly shift: number;
  private readonly directory: Uint32Array;
  /** Followers of the context at index i: entries from `first(i)` to `end(i)`. */
  readonly byte: Uint8Array;
  readonly count: Uint32Array;

  /** `hashes` (overwritten) and `bytes`: one context and what followed it, per position. */
  constructor(hashes: Uint32Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>) {
    const sorted = sortByHash(hashes, bytes);
    const n = sorted.hashes.length;
    const hash = new Uint32Array(n);
    const start = new Uint32Array(n + 1);
    const byte = new Uint8Array(n);
    const count = new Uint32Array(n);
    const entryOf = new Int32Array(256);
    let contexts = 0;
    let entries = 0;
    for (let at = 0; at < n;) {
      const here = sorted.hashes[at]!;
      const first = entries;
      hash[contexts] = here;
      start[contexts++] = first;
      for (; at < n && sorted.hashes[at] === here; at++) {
        const follower = sorted.bytes[at]!;
        let entry = entryOf[follower]! - 1;
        if (entry < first || byte[entry] !== follower) {
          entry = entries++;
          entryOf[follower] = entry + 1;
          byte[entry] = follower;
        }
        count[entry]!++;
      }
    }
    start[contexts] = entries;
    this.hash = hash.slice(0, contexts);
    this.start = start.slice(0, contexts + 1);
    this.byte = byte.slice(0, entries);
    this.count = count.slice(0, entries);
    const bits = Math.max(1, 32 - Math.clz32(contexts >>> DIRECTORY_SHARE));
    this.shift = 32 - bits;
    this.directory = new Uint32Array((1 << bits) + 1);
    for (let i = contexts - 1, slot = 1 << bits; slot >= 0; slot--) {
      while (i >= 0 && this.hash[i]! >>> this.shift >= slot) i--;
      this.directory[slot] = i + 1;
    }
  }

  /** Index of a context; −1 where it never was. */
  find(hash: number): number {
    const wanted = hash >>> 0;
    const slot = wanted >>> this.shift;
    const end = this.directory[slot + 1]!;
    for (let i = this.directory[slot]!; i < end; i++) if (this.hash[i] === wanted) return i;
    return -1;
  }

  first(context: number): number {
    return this.start[context]!;
  }

  end(context: number): number {
    return this.start[context + 1]!;
  }

  get sizeBytes(): number {
    return this.hash.length * 8 + this.byte.length * 5 + this.directory.length * 4;
  }
}

/** One table per kind asked for. */
export function contextTables(
  files: readonly Uint8Array[],
  kinds: readonly number[],
): ContextTable[] {
  let length = 0;
  for (const bytes of files) length += bytes.length;
  const columns = kinds.map(() => new Uint32Array(length));
  const followers = new Uint8Array(length);
  let at = 0;
  for (const bytes of files) {
    const context = new CodeContext();
    const { hash } = context;
    for (let i = 0; i < bytes.length; i++, at++) {
      for (let k = 0; k < kinds.length; k++) columns[k]![at] = hash[kinds[k]!]!;
      followers[at] = bytes[i]!;
      context.push(bytes[i]!);
    }
  }
  return columns.map((column) => new ContextTable(column, followers));
}

/** Stable, by counting: least significant digits first. */
function sortByHash(
  hashes: Uint32Array<ArrayBuffer>,
  bytes: Uint8Array<ArrayBuffer>,
): { hashes: Uint32Array; bytes: Uint8Array } {
  const n = hashes.length;
  let fromHash = hashes;
  let fromByte = bytes;
  let toHash = new Uint32Array(n);
  let toByte = new Uint8Array(n);
  let nextByte = new Uint8Array(n); // `bytes` itself is not written to
  const place = new Uint32Array(RADIX);
  for (let shift = 0; shift < 32; shift += RADIX_BITS) {
    place.fill(0);
    for (let i = 0; i < n; i++) place[(fromHash[i]! >>> shift) & (RADIX - 1)]!++;
    let sum = 0;
    for (let digit = 0; digit < RADIX; digit++) {
      const here = place[digit]!;
      place[digit] = sum;
      sum += here;
    }
    for (let i = 0; i < n; i++) {
      const value = fromHash[i]!;
      const to = place[(value >>> shift) & (RADIX - 1)]!++;
      toHash[to] = value;
      toByte[to] = fromByte[i]!;
    }
    [fromHash, toHash] = [toHash, fromHash];
    fromByte = toByte;
    [toByte, nextByte] = [nextByte, toByte];
  }
  return { hashes: fromHash, bytes: fromByte };
}
