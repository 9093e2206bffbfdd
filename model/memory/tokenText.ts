/** A text as a row of tokens, each with a symbol that says what it is and, of a name or a number, not which: two places
 *  that do the same with other names have the same symbols. A reserved word has a symbol of its own, a mark is its
 *  byte, a line end is a token, blanks are none. Read byte by byte; the word at the end is no token before it is over.
 *  Source: parameterized matching (Baker 1993), with whole renamings left to the reader. */

import { isWordByte } from "./codeContext.ts";

export const NAME = 1;
export const NUMBER = 2;
const CONTROL = 3;
export const LINE_END = 10;
const FIRST_RESERVED = 128;
/** Symbols from here on are not used. */
export const FREE_SYMBOLS = 240;

/** Of the languages people mix in one workspace; a word that is a name elsewhere loses little. */
const RESERVED: readonly string[] =
  "if else for while do return def class import from export const let var function async await new try catch finally except raise throw in of is not and or None True False true false null nil undefined func type struct interface package range switch case default break continue go defer map chan fn pub use mod impl trait enum match mut self this super static void int template typename namespace include define auto bool char unsigned long public private protected virtual override constexpr inline with as lambda yield pass global del elif assert where ref dyn loop move unsafe extern crate".split(
    " ",
  );
const symbolOf = new Map(RESERVED.map((word, i) => [word, FIRST_RESERVED + i]));
const LONGEST_RESERVED = Math.max(...RESERVED.map((word) => word.length));

/** Of these a symbol says nothing of which it is. */
export function isNamed(symbol: number): boolean {
  return symbol === NAME || symbol === NUMBER;
}

export class TokenText {
  /** Finished tokens: symbol, first byte, and the byte behind the last. */
  tokens = 0;
  symbol = new Uint8Array(256);
  start = new Uint32Array(256);
  end = new Uint32Array(256);
  /** First byte of the word that is not over; −1 where there is none. */
  open = -1;
  length = 0;
  private bytes: Buffer = Buffer.alloc(1024);

  /** The tokens of a whole text, which is not copied; what its last line begins ends there. */
  static of(bytes: Uint8Array): TokenText {
    const text = new TokenText();
    text.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = 0; i < bytes.length; i++) text.take(bytes[i]!);
    if (text.open >= 0) text.close();
    text.symbol = text.symbol.slice(0, text.tokens);
    text.start = text.start.slice(0, text.tokens);
    text.end = text.end.slice(0, text.tokens);
    return text;
  }

  copy(): TokenText {
    const copy = new TokenText();
    copy.tokens = this.tokens;
    copy.symbol = this.symbol.slice();
    copy.start = this.start.slice();
    copy.end = this.end.slice();
    copy.open = this.open;
    copy.length = this.length;
    copy.bytes = Buffer.from(this.bytes);
    return copy;
  }

  push(byte: number): void {
    if (this.length === this.bytes.length) {
      const bytes = Buffer.alloc(this.length * 2);
      bytes.set(this.bytes);
      this.bytes = bytes;
    }
    this.bytes[this.length] = byte;
    this.take(byte);
  }

  /** Bytes as characters, one each. */
  slice(from: number, to: number): string {
    return this.bytes.toString("latin1", from, to);
  }

  byteAt(at: number): number {
    return this.bytes[at]!;
  }

  /** Whether two tokens are the same bytes. */
  isSame(token: number, other: TokenText, otherToken: number): boolean {
    const from = this.start[token]!;
    const otherFrom = other.start[otherToken]!;
    const length = this.end[token]! - from;
    if (other.end[otherToken]! - otherFrom !== length) return false;
    for (let i = 0; i < length; i++)
      if (this.bytes[from + i] !== other.bytes[otherFrom + i]) return false;
    return true;
  }

  /** A token as characters. */
  token(at: number): string {
    return this.slice(this.start[at]!, this.end[at]!);
  }

  private take(byte: number): void {
    const at = this.length++;
    if (isWordByte[byte] === 1) {
      if (this.open < 0) this.open = at;
      return;
    }
    if (this.open >= 0) this.close(at);
    if (byte === 32 || byte === 9 || byte === 13) return;
    this.add(byte < 32 && byte !== LINE_END ? CONTROL : byte, at, at + 1);
  }

  private close(end = this.length): void {
    this.add(this.wordSymbol(this.open, end), this.open, end);
    this.open = -1;
  }

  private wordSymbol(from: number, to: number): number {
    const first = this.bytes[from]!;
    if (first >= 48 && first <= 57) return NUMBER;
    if (to - from > LONGEST_RESERVED) return NAME;
    return symbolOf.get(this.slice(from, to)) ?? NAME;
  }

  private add(symbol: number, start: number, end: number): void {
    if (this.tokens === this.symbol.length) {
      const size = this.tokens * 2;
      const symbols = new Uint8Array(size);
      const starts = new Uint32Array(size);
      const ends = new Uint32Array(size);
      symbols.set(this.symbol);
      starts.set(this.start);
      ends.set(this.end);
      this.symbol = symbols;
      this.start = starts;
      this.end = ends;
    }
    this.symbol[this.tokens] = symbol;
    this.start[this.tokens] = start;
    this.end[this.tokens++] = end;
  }
}
