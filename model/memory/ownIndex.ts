/** Counts over the bytes of one file read so far: a dense table for order 1 and, above it, chains of earlier positions
 *  with the same two bytes before them, newest first, whose match lengths are compared directly. Grows by one byte at a
 *  time; sees nothing to the right of it. Chains are cut at WINDOW positions, so long files count recent text only. */

import type { Levels } from "./levels.ts";
import { MAX_ORDER } from "./segment.ts";

const WINDOW = 160;
/** Row of the followers of anything. */
const ANY = 256;
const LINE_FEED = 10;

/** Rows of `follower` and `count`: one for each byte, and that of anything. */
const FOLLOWERS = 257 * 256;

export class OwnIndex {
  length = 0;
  private readonly use: "levels" | "places";
  private text: Uint8Array;
  /** Earlier position with the same two bytes before it. */
  private previous: Int32Array;
  private readonly newest: Int32Array;
  /** Followers of each byte, and in row 256 of nothing: which, and how often. Only where levels are asked for. */
  private readonly follower: Uint8Array;
  private readonly followers: Uint16Array;
  private readonly count: Uint32Array;
  private readonly byLength = new Int32Array(MAX_ORDER + 1);
  private readonly matchLink = new Int32Array(WINDOW);
  private readonly matchByte = new Uint8Array(WINDOW);
  /** Match lengths of the last `levels`, and for which length of the text they hold. */
  private lengthAt: Uint8Array;
  private measuredAt: Int32Array;

  /** For places only there are no counts of followers. A completion makes several copies, so these are slices. */
  constructor(use: "levels" | "places" = "levels", from?: OwnIndex) {
    this.use = use;
    const rows = use === "levels" ? FOLLOWERS : 0;
    this.length = from?.length ?? 0;
    this.text = from?.text.slice() ?? new Uint8Array(1024);
    this.previous = from?.previous.slice() ?? new Int32Array(1024);
    this.newest = from?.newest.slice() ?? new Int32Array(65536).fill(-1);
    this.follower = from?.follower.slice() ?? new Uint8Array(rows);
    this.followers = from?.followers.slice() ?? new Uint16Array(257);
    this.count = from?.count.slice() ?? new Uint32Array(rows);
    this.lengthAt = from?.lengthAt.slice() ?? new Uint8Array(1024);
    this.measuredAt = from?.measuredAt.slice() ?? new Int32Array(1024);
  }

  copy(): OwnIndex {
    return new OwnIndex(this.use, this);
  }

  push(byte: number): void {
    const at = this.length;
    if (at + 1 >= this.text.length) this.grow();
    // Position `at` becomes an occurrence of the context before it only now, when its byte is known.
    if (this.use === "levels") {
      this.countFollower(ANY * 256, byte);
      if (at >= 1) this.countFollower(this.text[at - 1]! * 256, byte);
    }
    if (at >= 2) {
      const key = this.text[at - 2]! * 256 + this.text[at - 1]!;
      this.previous[at] = this.newest[key]!;
      this.newest[key] = at;
    }
    this.text[at] = byte;
    this.length = at + 1;
  }

  /** Levels of the context at the end of the bytes so far. */
  levels(into: Levels): void {
    into.clear();
    const { text, length } = this;
    if (length === 0) return;
    if (length >= 2) this.addMatches(into);
    this.emitFollowers({ into, order: 1, row: text[length - 1]! });
    this.emitFollowers({ into, order: 0, row: ANY });
  }

  /** The bytes after the latest of the longest earlier matches; runs on into itself where it reaches the end. */
  copyFromLatest(maxBytes: number): Uint8Array {
    const { text, length, previous } = this;
    if (length < 2) return new Uint8Array(0);
    let source = -1;
    let longest = 1;
    let position = this.newest[text[length - 2]! * 256 + text[length - 1]!]!;
    for (let seen = 0; position >= 0 && seen < WINDOW; seen++) {
      const same = this.matchAt(position);
      if (same > longest) {
        longest = same;
        source = position;
      }
      position = previous[position]!;
    }
    if (source < 0) return new Uint8Array(0);
    const copy = new Uint8Array(maxBytes);
    for (let i = 0; i < maxBytes; i++)
      copy[i] = source + i < length ? text[source + i]! : copy[source + i - length]!;
    return copy;
  }

  /** Visits the latest earlier places whose last bytes are those at the end, at least `shortest`, with how many they share. */
  places(shortest: number, visit: (at: number, matchLength: number) => void): void {
    const { text, length, previous } = this;
    if (length < 2) return;
    let position = this.newest[text[length - 2]! * 256 + text[length - 1]!]!;
    for (let seen = 0; position >= 0 && seen < WINDOW; seen++) {
      const same = this.matchAt(position);
      if (same >= shortest) visit(position, same);
      position = previous[position]!;
    }
  }

  /** Copies the line from `at` on, without its end; gives its length, −1 where it does not end within `line`. */
  readLine(at: number, line: Uint8Array): number {
    for (let length = 0; length < line.length && at + length < this.length; length++) {
      if (this.text[at + length] === LINE_FEED) return length;
      line[length] = this.text[at + length]!;
    }
    return -1;
  }

  private addMatches(into: Levels): void {
    const { text, length, previous, byLength, matchLink, matchByte, lengthAt, measuredAt } = this;
    byLength.fill(-1);
    let matches = 0;
    let longest = 0;
    let position = this.newest[text[length - 2]! * 256 + text[length - 1]!]!;
    while (position >= 0 && matches < WINDOW) {
      // One more than the neighbour's, if that was measured one byte ago.
      const same =
        measuredAt[position - 1] === length - 1
          ? Math.min(MAX_ORDER, lengthAt[position - 1]! + 1)
          : this.matchAt(position);
      lengthAt[position] = same;
      measuredAt[position] = length;
      matchByte[matches] = text[position]!;
      matchLink[matches] = byLength[same]!;
      byLength[same] = matches++;
      if (same > longest) longest = same;
      position = previous[position]!;
    }
    let total = 0;
    for (let order = longest; order >= 2; order--) {
      let match = byLength[order]!;
      if (match < 0) continue;
      for (; match >= 0; match = matchLink[match]!) {
        into.add(matchByte[match]!, 1);
        total++;
      }
      into.emit(order, total);
    }
    into.reset();
  }

  /** How many bytes before `position` equal the last ones; at least 2 on a chain. */
  private matchAt(position: number): number {
    const { text, length } = this;
    const limit = position < MAX_ORDER ? position : MAX_ORDER;
    let same = 2;
    while (same < limit && text[position - same - 1] === text[length - same - 1]) same++;
    return same;
  }

  private countFollower(row: number, byte: number): void {
    if (this.count[row + byte]!++ === 0) this.follower[row + this.followers[row >> 8]!++] = byte;
  }

  private emitFollowers(o: { into: Levels; order: number; row: number }): void {
    const { follower, count } = this;
    const row = o.row * 256;
    const end = row + this.followers[o.row]!;
    let total = 0;
    for (let i = row; i < end; i++) {
      const byte = follower[i]!;
      o.into.add(byte, count[row + byte]!);
      total += count[row + byte]!;
    }
    o.into.emit(o.order, total);
    o.into.reset();
  }

  private grow(): void {
    const size = this.text.length * 2;
    const text = new Uint8Array(size);
    text.set(this.text);
    this.text = text;
    const previous = new Int32Array(size);
    previous.set(this.previous);
    this.previous = previous;
    const lengthAt = new Uint8Array(size);
    lengthAt.set(this.lengthAt);
    this.lengthAt = lengthAt;
    const measuredAt = new Int32Array(size);
    measuredAt.set(this.measuredAt);
    this.measuredAt = measuredAt;
  }
}
