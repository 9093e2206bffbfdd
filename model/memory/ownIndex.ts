/** Counts over the bytes of one file read so far: a dense table for order 1 and, above it, chains of earlier positions
 *  with the same two bytes before them, newest first, whose match lengths are compared directly. Grows by one byte at a
 *  time; sees nothing to the right of it. Chains are cut at WINDOW positions, so long files count recent text only. */

import type { Levels } from "./levels.ts";
import { MAX_ORDER } from "./segment.ts";

const WINDOW = 384;

export class OwnIndex {
  private text = new Uint8Array(1024);
  private previous = new Int32Array(1024);
  length = 0;
  private readonly newest = new Int32Array(65536).fill(-1);
  private readonly pairs = new Uint32Array(65536);
  private readonly singles = new Uint32Array(256);
  private readonly byLength = new Int32Array(MAX_ORDER + 1);
  private readonly matchLink = new Int32Array(WINDOW);
  private readonly matchByte = new Uint8Array(WINDOW);

  push(byte: number): void {
    const at = this.length;
    if (at + 1 >= this.text.length) {
      const text = new Uint8Array(this.text.length * 2);
      text.set(this.text);
      this.text = text;
      const previous = new Int32Array(text.length);
      previous.set(this.previous);
      this.previous = previous;
    }
    // Position `at` becomes an occurrence of the context before it only now, when its byte is known.
    this.singles[byte]!++;
    if (at >= 1) this.pairs[this.text[at - 1]! * 256 + byte]!++;
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
    let total = 0;
    if (length >= 2) {
      const { byLength, matchLink, matchByte, previous } = this;
      byLength.fill(-1);
      let matches = 0;
      let longest = 0;
      let position = this.newest[text[length - 2]! * 256 + text[length - 1]!]!;
      while (position >= 0 && matches < WINDOW) {
        const same = this.matchAt(position);
        matchByte[matches] = text[position]!;
        matchLink[matches] = byLength[same]!;
        byLength[same] = matches++;
        if (same > longest) longest = same;
        position = previous[position]!;
      }
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
    this.emitDense({ into, order: 1, counts: this.pairs, from: text[length - 1]! * 256 });
    this.emitDense({ into, order: 0, counts: this.singles, from: 0 });
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

  /** How many bytes before `position` equal the last ones; at least 2 on a chain. */
  private matchAt(position: number): number {
    const { text, length } = this;
    const limit = position < MAX_ORDER ? position : MAX_ORDER;
    let same = 2;
    while (same < limit && text[position - same - 1] === text[length - same - 1]) same++;
    return same;
  }

  private emitDense(o: { into: Levels; order: number; counts: Uint32Array; from: number }): void {
    let total = 0;
    for (let byte = 0; byte < 256; byte++) {
      const count = o.counts[o.from + byte]!;
      if (count === 0) continue;
      o.into.add(byte, count);
      total += count;
    }
    o.into.emit(o.order, total);
    o.into.reset();
  }
}
