/** An index of files as rows of tokens (tokenText.ts): which places of them stand behind the same symbols, to any length.
 *  The rows of a segment over symbols, and of each row its file and token. */

import { Segment } from "./segment.ts";
import { FREE_SYMBOLS, TokenText } from "./tokenText.ts";

/** Before the tokens of a file stands its number, so that its rows are found; nobody ever reads such symbols. */
const DIGITS = 5;
const BASE = 16;

export class TokenSegment {
  readonly segment: Segment;
  readonly files: readonly TokenText[];
  /** Of each row: how many tokens stand before its place in its file, plus those of all files before; −1 at numbers. */
  private readonly place: Int32Array;
  private readonly firstPlace: Int32Array;

  constructor(files: readonly Uint8Array[]) {
    this.files = files.map((bytes) => TokenText.of(bytes));
    this.segment = new Segment(this.files.map(numbered));
    this.firstPlace = new Int32Array(files.length + 1);
    for (const [i, { tokens }] of this.files.entries())
      this.firstPlace[i + 1] = this.firstPlace[i]! + tokens + 1;
    const { next, follow, rows } = this.segment;
    this.place = new Int32Array(rows).fill(-1);
    // The beginnings of files come first, in an order of their own.
    for (let begin = 0; begin < files.length; begin++) {
      let row = begin;
      let file = 0;
      for (let digit = 0; digit < DIGITS; digit++) {
        file = file * BASE + next[row]! - FREE_SYMBOLS;
        row = follow[row]!;
      }
      const end = this.firstPlace[file + 1]!;
      for (let place = this.firstPlace[file]!; place < end; place++) {
        this.place[row] = place;
        row = follow[row]!;
      }
    }
  }

  /** Number of the file of a row; −1 where the row is of no token. */
  fileOf(row: number): number {
    const place = this.place[row]!;
    if (place < 0) return -1;
    let low = 0;
    let high = this.files.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.firstPlace[middle]! <= place) low = middle;
      else high = middle;
    }
    return low;
  }

  /** The token that a row stands before, in its file; the number of its tokens at its end. */
  tokenOf(row: number, file: number): number {
    return this.place[row]! - this.firstPlace[file]!;
  }

  get sizeBytes(): number {
    const tokens = this.files.reduce((sum, file) => sum + file.tokens, 0);
    return this.segment.sizeBytes + this.place.length * 4 + tokens * 9;
  }
}

function numbered({ symbol, tokens }: TokenText, file: number): Uint8Array {
  const symbols = new Uint8Array(DIGITS + tokens);
  let rest = file;
  for (let digit = DIGITS - 1; digit >= 0; digit--) {
    symbols[digit] = FREE_SYMBOLS + (rest % BASE);
    rest = Math.floor(rest / BASE);
  }
  symbols.set(symbol.subarray(0, tokens), DIGITS);
  return symbols;
}
