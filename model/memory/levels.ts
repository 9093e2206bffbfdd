/** What followed the current context, once per context length: levels from the longest match down to order 0, each a
 *  short list of (byte, count). Levels come from walks over segments, whose counts add with their signs, or from the
 *  file being read (ownIndex.ts). Of nested contexts with the same mass only the longest is a level, so the levels are
 *  a function of the counted files alone and not of how they are spread over segments. */

import { MAX_ORDER, type SegmentWalk } from "./segment.ts";

/** Entries to begin with; most places need a few dozen. */
const CAPACITY = 2048;

export class Levels {
  levels = 0;
  /** Longest order with these counts. */
  readonly order = new Uint8Array(MAX_ORDER + 1);
  readonly start = new Uint32Array(MAX_ORDER + 1);
  readonly size = new Uint16Array(MAX_ORDER + 1);
  readonly total = new Float64Array(MAX_ORDER + 1);
  /** Level l's bytes and counts are entries start[l] .. start[l] + size[l] of byteOf[l] and countOf[l]: this object's
   *  own arrays, or a segment's follower table. */
  readonly byteOf: Uint8Array[] = [];
  readonly countOf: Int32Array[] = [];
  private ownByte = new Uint8Array(CAPACITY);
  private ownCount = new Int32Array(CAPACITY);
  private used = 0;
  private readonly dense = new Int32Array(256);
  private readonly touched = new Uint8Array(256);
  private touchedCount = 0;

  clear(): void {
    this.levels = 0;
    this.used = 0;
  }

  /** Counts one more `byte` into the running sums that `emit` turns into a level. */
  add(byte: number, count: number): void {
    if (this.dense[byte] === 0) this.touched[this.touchedCount++] = byte;
    this.dense[byte]! += count;
  }

  /** Makes a level of the running sums, unless the level before has the same mass. */
  emit(order: number, total: number): void {
    if (total === 0 || (this.levels > 0 && this.total[this.levels - 1] === total)) return;
    if (this.used + this.touchedCount > this.ownByte.length) this.grow();
    const level = this.levels++;
    this.order[level] = order;
    this.byteOf[level] = this.ownByte;
    this.countOf[level] = this.ownCount;
    this.start[level] = this.used;
    this.total[level] = total;
    for (let i = 0; i < this.touchedCount; i++) {
      const byte = this.touched[i]!;
      const count = this.dense[byte]!;
      if (count === 0) continue;
      this.ownByte[this.used] = byte;
      this.ownCount[this.used++] = count;
    }
    this.size[level] = this.used - this.start[level];
  }

  /** Levels made so far keep the arrays that they are in. */
  private grow(): void {
    const size = 2 * this.ownByte.length;
    this.ownByte = new Uint8Array(size);
    this.ownCount = new Int32Array(size);
    this.used = 0;
  }

  reset(): void {
    for (let i = 0; i < this.touchedCount; i++) this.dense[this.touched[i]!] = 0;
    this.touchedCount = 0;
  }

  fromWalks(walks: readonly SegmentWalk[]): void {
    this.clear();
    if (walks.length === 1) this.fromOneWalk(walks[0]!);
    else if (walks.length > 1) this.fromManyWalks(walks);
  }

  private fromOneWalk(walk: SegmentWalk): void {
    const { next, follow, tables } = walk.segment;
    let entry = walk.entries - 1;
    // Ranges without a table are nested: each outer one only adds the rows around the inner one.
    let innerLow = 0;
    let innerHigh = 0;
    let total = 0;
    for (; entry >= 0 && walk.table[entry] === 0; entry--) {
      const low = walk.low[entry]!;
      const high = walk.high[entry]!;
      if (innerHigh === 0) innerLow = innerHigh = high;
      for (let row = low; row < high; row++) {
        if (row === innerLow) row = innerHigh;
        if (row >= high) break;
        if (follow[row]! < 0) continue;
        this.add(next[row]!, 1);
        total++;
      }
      innerLow = low;
      innerHigh = high;
      this.emit(walk.topOrder[entry]!, total);
    }
    this.reset();
    for (; entry >= 0; entry--) {
      const table = walk.table[entry]!;
      const mass = tables.total[table]!;
      if (mass === 0 || (this.levels > 0 && this.total[this.levels - 1] === mass)) continue;
      const level = this.levels++;
      this.order[level] = walk.topOrder[entry]!;
      this.byteOf[level] = tables.byte;
      this.countOf[level] = tables.count;
      this.start[level] = tables.start[table]!;
      this.size[level] = tables.size[table]!;
      this.total[level] = mass;
    }
  }

  private fromManyWalks(walks: readonly SegmentWalk[]): void {
    let order = 0;
    for (const walk of walks)
      if (walk.entries > 0) order = Math.max(order, walk.topOrder[walk.entries - 1]!);
    while (order >= 0) {
      let total = 0;
      let below = -1;
      for (const walk of walks) {
        let entry = walk.entries - 1;
        if (entry < 0) continue;
        if (walk.topOrder[entry]! < order) {
          below = Math.max(below, walk.topOrder[entry]!);
          continue;
        }
        while (entry > 0 && walk.topOrder[entry - 1]! >= order) entry--;
        if (entry > 0) below = Math.max(below, walk.topOrder[entry - 1]!);
        total += walk.sign * this.addEntry(walk, entry);
      }
      this.emit(order, total);
      this.reset();
      order = below;
    }
  }

  private addEntry(walk: SegmentWalk, entry: number): number {
    const { next, follow, tables } = walk.segment;
    const table = walk.table[entry]!;
    if (table !== 0) {
      const from = tables.start[table]!;
      const end = from + tables.size[table]!;
      for (let i = from; i < end; i++) this.add(tables.byte[i]!, walk.sign * tables.count[i]!);
      return tables.total[table]!;
    }
    let total = 0;
    for (let row = walk.low[entry]!; row < walk.high[entry]!; row++) {
      if (follow[row]! < 0) continue;
      this.add(next[row]!, walk.sign);
      total++;
    }
    return total;
  }
}
