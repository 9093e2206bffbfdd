/**
 * Sorts the positions of a text by what stands there, up to a limited depth: six symbols at a time as one key, which a
 * double holds exactly, ever deeper within groups of equal keys. A symbol 0 ends a context: nothing is said about the order of
 * positions that agree up to one. Those that agree in all SORT_DEPTH symbols are marked, and then sorted by the ranks of
 * what stands `depth` symbols on, which doubles the depth each time. Keys are read once per level: on a text larger
 * than the caches, reading is what takes the time.
 * Source: caching multikey quicksort (Ng and Kakehi 2007), here with a counting pass for large groups; prefix doubling
 * of groups (Larsson and Sadakane 1999).
 */

/** Symbols that are compared as such, and zeros that must follow the text. */
export const SORT_DEPTH = 50;
export const TEXT_PADDING = 40;
const KEY_SYMBOLS = 6;
/** States of a row in `ties`: agrees with the row before; agreed with it at half the depth. */
export const TIED = 1;
export const PARTED = 2;
/** Up to this many are inserted one by one, comparing texts; so are keys. */
const FEW = 8;
const FEW_KEYS = 16;
/** From this many on keys are dealt by their first two symbols before they are sorted. */
const MANY = 16384;
const LOW_SYMBOLS = 2 ** 32;
const HEADS = 1 << 16;

export class ContextSorter {
  private readonly view: DataView;
  private readonly text: Uint8Array;
  private readonly positions: Int32Array;
  private readonly ties: Uint8Array;
  private tied = new Int32Array(4096);
  private keys = new Float64Array(0);
  private otherKeys = new Float64Array(0);
  private otherPositions = new Int32Array(0);
  private readonly place = new Uint32Array(HEADS + 1);
  private base = 0;

  /** `text` ends with TEXT_PADDING zeros, at which no position begins; `ties` is 0. */
  constructor(text: Uint8Array, positions: Int32Array, ties: Uint8Array) {
    this.ties = ties;
    this.text = text;
    this.view = new DataView(text.buffer, text.byteOffset, text.byteLength);
    this.positions = positions;
  }

  /** Sorts positions[low … high), whose first `depth` symbols are the same. */
  sortBucket(low: number, high: number, depth: number): void {
    const n = high - low;
    if (n < 2 || this.ends(this.positions[low]!, 0, depth)) return;
    if (this.keys.length < n) this.keys = new Float64Array(Math.max(4096, n));
    this.base = low;
    this.sortGroup(low, high, depth);
  }

  /** Whether a context ends between two depths. */
  private ends(position: number, from: number, to: number): boolean {
    for (let at = position + from; at < position + to; at++) if (this.text[at] === 0) return true;
    return false;
  }

  /** Positions that agree in their first `depth` symbols, none of them 0. */
  private sortGroup(low: number, high: number, depth: number): void {
    const { positions, view, base, keys } = this;
    let same = true;
    while (same) {
      if (high - low <= FEW) {
        this.insertTexts(low, high, depth);
        return;
      }
      const first = positions[low]! + depth;
      const firstKey = view.getUint32(first) * 65536 + view.getUint16(first + 4);
      for (let i = low; i < high; i++) {
        const at = positions[i]! + depth;
        const key = view.getUint32(at) * 65536 + view.getUint16(at + 4);
        keys[i - base] = key;
        if (key !== firstKey) same = false;
      }
      depth += KEY_SYMBOLS;
      if (same && this.ends(first, 0, KEY_SYMBOLS)) return;
      if (same && depth >= SORT_DEPTH) {
        this.ties.fill(TIED, low + 1, high);
        return;
      }
    }
    if (high - low >= MANY) this.dealKeys(low - base, high - base);
    else this.sortKeys(low - base, high - base);
    for (let from = low; from < high;) {
      const key = keys[from - base]!;
      let to = from + 1;
      while (to < high && keys[to - base] === key) to++;
      if (to - from > 1 && !this.ends(positions[from]!, depth - KEY_SYMBOLS, depth)) {
        if (depth < SORT_DEPTH) this.sortGroup(from, to, depth);
        else this.ties.fill(TIED, from + 1, to);
      }
      from = to;
    }
  }

  private insertTexts(low: number, high: number, depth: number): void {
    const { positions } = this;
    for (let i = low + 1; i < high; i++) {
      const position = positions[i]!;
      let to = i;
      while (to > low && this.isBefore(position, positions[to - 1]!, depth)) {
        positions[to] = positions[to - 1]!;
        to--;
      }
      positions[to] = position;
    }
    for (let i = low + 1; i < high; i++)
      if (this.agree(positions[i - 1]!, positions[i]!, depth)) this.ties[i] = TIED;
  }

  private agree(a: number, b: number, depth: number): boolean {
    const { view } = this;
    for (let d = depth; d < SORT_DEPTH; d += 4) {
      const x = view.getUint32(a + d);
      if (x !== view.getUint32(b + d) || hasZero(x)) return false;
    }
    return true;
  }

  /** Sorts the groups of tied positions that begin in [first … last) by the ranks of what stands `depth` symbols on,
   *  and parts those that differ there. */
  sortTied(first: number, last: number, rank: Int32Array, depth: number): void {
    const { positions, ties } = this;
    // All ranks are read before any is looked at: each read waits for memory, and waiting for one must not hold up the
    // next. Parting a group must not look like a beginning to who works on the rows behind.
    let n = 0;
    for (let row = first; row < last; row++) {
      if (ties[row] !== 0) continue;
      let end = row + 1;
      while (end < ties.length && ties[end] !== 0) end++;
      const size = end - row;
      if (size > 1) {
        if (n + size > this.tied.length) this.tied = grown(this.tied, 2 * (n + size));
        for (let i = row; i < end; i++) this.tied[n++] = i;
      }
      row = end - 1;
    }
    if (this.keys.length < n) this.keys = new Float64Array(2 * n);
    const { keys, tied } = this;
    for (let i = 0; i < n; i++) keys[i] = rank[positions[tied[i]!]! + depth]!;
    for (let from = 0; from < n;) {
      let to = from + 1;
      let same = true;
      for (; to < n && ties[tied[to]!] !== 0; to++) if (keys[to] !== keys[from]) same = false;
      if (!same) {
        this.base = tied[from]! - from;
        this.sortKeys(from, to);
        for (let i = from + 1; i < to; i++) if (keys[i] !== keys[i - 1]) ties[tied[i]!] = PARTED;
      }
      from = to;
    }
  }

  private isBefore(a: number, b: number, depth: number): boolean {
    const { view } = this;
    for (let d = depth; d < SORT_DEPTH; d += 4) {
      const x = view.getUint32(a + d);
      const y = view.getUint32(b + d);
      if (x !== y) return x < y;
      if (hasZero(x)) return false;
    }
    return false;
  }

  /** Quicksort of keys[from … to) and the positions they belong to. */
  private sortKeys(from: number, to: number): void {
    const { keys, positions, base } = this;
    while (to - from > FEW_KEYS) {
      const pivot = median(keys[from]!, keys[(from + to) >>> 1]!, keys[to - 1]!);
      let i = from;
      let j = to - 1;
      while (i <= j) {
        while (keys[i]! < pivot) i++;
        while (keys[j]! > pivot) j--;
        if (i > j) break;
        const key = keys[i]!;
        keys[i] = keys[j]!;
        keys[j] = key;
        const position = positions[base + i]!;
        positions[base + i] = positions[base + j]!;
        positions[base + j] = position;
        i++;
        j--;
      }
      // The smaller part first: the stack stays short.
      if (j + 1 - from < to - i) {
        this.sortKeys(from, j + 1);
        from = i;
      } else {
        this.sortKeys(i, to);
        to = j + 1;
      }
    }
    for (let i = from + 1; i < to; i++) {
      const key = keys[i]!;
      const position = positions[base + i]!;
      let at = i;
      while (at > from && keys[at - 1]! > key) {
        keys[at] = keys[at - 1]!;
        positions[base + at] = positions[base + at - 1]!;
        at--;
      }
      keys[at] = key;
      positions[base + at] = position;
    }
  }

  /** Large groups: by the first two symbols of the keys, and each of these by quicksort. */
  private dealKeys(from: number, to: number): void {
    const n = to - from;
    if (this.otherKeys.length < n) {
      this.otherKeys = new Float64Array(n);
      this.otherPositions = new Int32Array(n);
    }
    const { keys, positions, base, otherKeys, otherPositions, place } = this;
    place.fill(0);
    for (let i = from; i < to; i++) place[Math.floor(keys[i]! / LOW_SYMBOLS) + 1]!++;
    for (let head = 1; head <= HEADS; head++) place[head]! += place[head - 1]!;
    for (let i = from; i < to; i++) {
      const slot = place[Math.floor(keys[i]! / LOW_SYMBOLS)]!++;
      otherKeys[slot] = keys[i]!;
      otherPositions[slot] = positions[base + i]!;
    }
    keys.set(otherKeys.subarray(0, n), from);
    positions.set(otherPositions.subarray(0, n), base + from);
    // Places have moved on to the ends.
    for (let start = from; start < to;) {
      const end = from + place[Math.floor(keys[start]! / LOW_SYMBOLS)]!;
      this.sortKeys(start, end);
      start = end;
    }
  }
}

function grown(from: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(length);
  to.set(from);
  return to;
}

const hasZero = (key: number): boolean => ((key - 0x01010101) & ~key & 0x80808080) !== 0;

function median(a: number, b: number, c: number): number {
  if (a < b) return b < c ? b : a < c ? c : a;
  return a < c ? a : b < c ? c : b;
}
