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
  /** Of each row its file, −1 at numbers, and how many tokens of that file stand before its place. */
  readonly fileOf: Int32Array;
  private readonly place: Uint32Array;

  constructor(files: readonly Uint8Array[]) {
    this.files = files.map((bytes) => TokenText.of(bytes));
    this.segment = new Segment(this.files.map(numbered));
    const { next, follow, rows } = this.segment;
    this.fileOf = new Int32Array(rows).fill(-1);
    this.place = new Uint32Array(rows);
    // The beginnings of files come first, in an order of their own.
    for (let begin = 0; begin < files.length; begin++) {
      let row = begin;
      let file = 0;
      for (let digit = 0; digit < DIGITS; digit++) {
        file = file * BASE + next[row]! - FREE_SYMBOLS;
        row = follow[row]!;
      }
      const { tokens } = this.files[file]!;
      for (let place = 0; place <= tokens; place++) {
        this.fileOf[row] = file;
        this.place[row] = place;
        row = follow[row]!;
      }
    }
  }

  /** The token that a row stands before, in its file; the number of its tokens at its end. */
  tokenOf(row: number): number {
    return this.place[row]!;
  }

  get sizeBytes(): number {
    const tokens = this.files.reduce((sum, file) => sum + file.tokens, 0);
    return this.segment.sizeBytes + this.place.length * 8 + tokens * 9;
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
