/** One immutable suffix index over a set of files: for every context of up to MAX_ORDER bytes, which bytes followed it
 *  and how often. Rows are all positions of all files sorted by the reversed bytes before them; a context is a range of
 *  rows, and adding a byte to a context is one step along `follow` (the last-to-first map of the Burrows–Wheeler
 *  transform, here of the reversed text). Contexts end at the beginning of a file; that beginning is itself a context.
 *  Counts of several segments add up exactly, which is what leaving a file out relies on. */

import { WORKSPACE_KINDS } from "./blendWeights.ts";
import { contextTables, type ContextTable } from "./contextTable.ts";
import { indexRows, NO_ROW, ROW_DEPTH, type RowOptions } from "./rowIndex.ts";

export const MAX_ORDER = ROW_DEPTH;

/** Ranges of more rows than this get a cached table of followers; smaller ones are scanned. */
const TABLE_ROWS = 32;

/** Growable table of followers per large context. Entry lists are sorted by falling count. */
class FollowerTables {
  start = new Uint32Array(1024);
  size = new Uint16Array(1024);
  total = new Uint32Array(1024);
  tables = 1; // 0 means "not made yet"
  byte = new Uint8Array(4096);
  count = new Int32Array(4096);
  childLow = new Uint32Array(4096);
  childTable = new Uint32Array(4096);
  entries = 0;

  reserve(more: number): void {
    if (this.tables + 1 > this.start.length) {
      const length = this.start.length * 2;
      this.start = grown(this.start, new Uint32Array(length));
      this.size = grown(this.size, new Uint16Array(length));
      this.total = grown(this.total, new Uint32Array(length));
    }
    if (this.entries + more > this.byte.length) {
      const length = this.byte.length * 2;
      this.byte = grown(this.byte, new Uint8Array(length));
      this.count = grown(this.count, new Int32Array(length));
      this.childLow = grown(this.childLow, new Uint32Array(length));
      this.childTable = grown(this.childTable, new Uint32Array(length));
    }
  }

  get sizeBytes(): number {
    return this.start.length * 10 + this.byte.length * 13;
  }
}

function grown<T extends Uint8Array | Uint16Array | Uint32Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

export class Segment {
  /** Positions in all files, one more per file for its end. */
  readonly rows: number;
  readonly fileCount: number;
  /** Bytes of the longest contexts. */
  readonly depth: number;
  /** Byte that follows the context of a row; meaningless at end rows. */
  readonly next: Uint8Array;
  /** Row of the context grown by that byte; NO_ROW where the file ends. */
  readonly follow: Int32Array;
  readonly tables = new FollowerTables();
  readonly rootTable: number;
  readonly startTable: number;
  private readonly files: readonly Uint8Array[];
  private tablesOfContexts: readonly ContextTable[] | undefined;

  constructor(files: readonly Uint8Array[], o: RowOptions = {}) {
    const { next, follow } = indexRows(files, o);
    this.depth = o.depth ?? ROW_DEPTH;
    this.next = next;
    this.follow = follow;
    this.rows = next.length;
    this.files = files;
    this.fileCount = files.length;
    this.rootTable = this.makeRootTable();
    this.startTable = this.makeTable(0, files.length);
  }

  /** Followers of hashed contexts, a table per kind in WORKSPACE_KINDS; made at the first call. */
  contexts(): readonly ContextTable[] {
    return (this.tablesOfContexts ??= contextTables(this.files, WORKSPACE_KINDS));
  }

  get sizeBytes(): number {
    const hashed = (this.tablesOfContexts ?? []).reduce((sum, table) => sum + table.sizeBytes, 0);
    return this.rows * 5 + this.tables.sizeBytes + hashed;
  }

  /** Follower table of all rows: what follows a byte is as many rows as there are of it, in the order of bytes. */
  private makeRootTable(): number {
    tableCount.fill(0);
    for (const bytes of this.files) for (let i = 0; i < bytes.length; i++) tableCount[bytes[i]!]!++;
    let distinct = 0;
    let row = this.fileCount;
    for (let byte = 0; byte < 256; byte++) {
      if (tableCount[byte] === 0) continue;
      tableByte[distinct++] = byte;
      tableLow[byte] = row;
      row += tableCount[byte]!;
    }
    return this.addTable(distinct, row - this.fileCount);
  }

  /** Follower table of the rows [low, high). */
  makeTable(low: number, high: number): number {
    const { next, follow } = this;
    tableCount.fill(0);
    let distinct = 0;
    let total = 0;
    for (let row = low; row < high; row++) {
      const to = follow[row]!;
      if (to === NO_ROW) continue;
      const byte = next[row]!;
      if (tableCount[byte]!++ === 0) {
        tableByte[distinct++] = byte;
        tableLow[byte] = to;
      } else if (to < tableLow[byte]!) tableLow[byte] = to;
      total++;
    }
    return this.addTable(distinct, total);
  }

  /** Of the `distinct` bytes in tableByte. */
  private addTable(distinct: number, total: number): number {
    const { tables } = this;
    const order = Array.from(tableByte.subarray(0, distinct)).sort(
      (a, b) => tableCount[b]! - tableCount[a]! || a - b,
    );
    tables.reserve(distinct);
    const table = tables.tables++;
    tables.start[table] = tables.entries;
    tables.size[table] = distinct;
    tables.total[table] = total;
    for (const byte of order) {
      const entry = tables.entries++;
      tables.byte[entry] = byte;
      tables.count[entry] = tableCount[byte]!;
      tables.childLow[entry] = tableLow[byte]!;
    }
    return table;
  }
}

const tableCount = new Uint32Array(256);
const tableByte = new Uint8Array(256);
const tableLow = new Uint32Array(256);

/** The state of one reader in one segment: the distinct row ranges of its contexts, from order 0 to the longest match.
 *  Entry e stands for all orders above topOrder[e - 1] up to topOrder[e]. */
export class SegmentWalk {
  readonly segment: Segment;
  readonly sign: 1 | -1;
  readonly contexts: readonly ContextTable[];
  readonly maxOrder: number;
  entries = 0;
  readonly low = new Uint32Array(MAX_ORDER + 2);
  readonly high = new Uint32Array(MAX_ORDER + 2);
  readonly topOrder = new Uint8Array(MAX_ORDER + 2);
  readonly table = new Uint32Array(MAX_ORDER + 2);

  /** `contexts`: the segment's, or none where hashed contexts are not asked. `maxOrder`: at most the segment's depth;
   *  counts of several walks add up where theirs is the same. */
  constructor(
    segment: Segment,
    sign: 1 | -1,
    contexts: readonly ContextTable[] = [],
    maxOrder: number = segment.depth,
  ) {
    this.segment = segment;
    this.sign = sign;
    this.contexts = contexts;
    this.maxOrder = maxOrder;
    this.low[0] = 0;
    this.high[0] = segment.rows;
    this.table[0] = segment.rootTable;
    this.low[1] = 0;
    this.high[1] = segment.fileCount;
    this.topOrder[1] = 1;
    this.table[1] = segment.startTable;
    this.entries = segment.fileCount === 0 ? 0 : 2;
  }

  copyFrom(other: SegmentWalk): void {
    this.entries = other.entries;
    this.low.set(other.low);
    this.high.set(other.high);
    this.topOrder.set(other.topOrder);
    this.table.set(other.table);
  }

  /** Pushes bytes of which nobody asks in between. So many as the longest context has push out whatever was read before
   *  them, which therefore need not be read. */
  read(bytes: Uint8Array): void {
    const from = Math.max(0, bytes.length - this.maxOrder);
    for (let at = from; at < bytes.length; at++) this.push(bytes[at]!);
  }

  push(byte: number): void {
    const { segment, low, high, topOrder, table, maxOrder } = this;
    const { next, follow, tables } = segment;
    const before = this.entries;
    if (before === 0) return;
    let made = 1; // entry 0 is always the whole segment
    // Ascending in place: entry e yields at most one new entry, written at index ≤ e + 1, so read one ahead.
    let readLow = low[0]!;
    let readHigh = high[0]!;
    let readTop = 0;
    let readTable = table[0]!;
    for (let entry = 0; entry < before; entry++) {
      const aheadLow = low[entry + 1]!;
      const aheadHigh = high[entry + 1]!;
      const aheadTop = topOrder[entry + 1]!;
      const aheadTable = table[entry + 1]!;
      let childLow = 0;
      let count = 0;
      let childTable = 0;
      let slot = NO_ROW;
      if (readTable !== 0) {
        const start = tables.start[readTable]!;
        const end = start + tables.size[readTable]!;
        for (let i = start; i < end; i++) {
          if (tables.byte[i] === byte) {
            childLow = tables.childLow[i]!;
            count = tables.count[i]!;
            childTable = tables.childTable[i]!;
            slot = i;
            break;
          }
        }
      } else {
        for (let row = readLow; row < readHigh; row++) {
          const to = follow[row]!;
          if (next[row] === byte && to !== NO_ROW && (count++ === 0 || to < childLow))
            childLow = to;
        }
      }
      if (count === 0) break;
      const top = readTop + 1 > maxOrder ? maxOrder : readTop + 1;
      const last = made - 1;
      if (low[last] === childLow && high[last] === childLow + count) {
        topOrder[last] = top;
      } else if (topOrder[last]! < top) {
        if (childTable === 0 && count > TABLE_ROWS) {
          childTable = segment.makeTable(childLow, childLow + count);
          if (slot !== NO_ROW) tables.childTable[slot] = childTable;
        }
        low[made] = childLow;
        high[made] = childLow + count;
        topOrder[made] = top;
        table[made] = childTable;
        made++;
      }
      readLow = aheadLow;
      readHigh = aheadHigh;
      readTop = aheadTop;
      readTable = aheadTable;
    }
    this.entries = made;
  }
}
