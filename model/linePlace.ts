/** What hardly ever follows the lines above the cursor, though a copy or the mixture may say so: the last of them once
 *  more, an import that stands there already, a quotation that is not ended. */

export interface LineText {
  /** 1: the line right above once more. */
  readonly repeats: 0 | 1;
  /** 1: brings in what a line above brings in already. */
  readonly importsAgain: 0 | 1;
  /** 1: a quotation is begun and not ended in it. */
  readonly opensQuotation: 0 | 1;
}

/** Bytes above the cursor that are looked at. */
const ABOVE_BYTES = 3000;
const IMPORT =
  /^(?:#include|#import|import |from |use |using |require|pub use |pub mod |mod |const .*require\()/;
const LINE_FEED = 10;

export class LinePlace {
  private readonly begun: string;
  private readonly last: string | undefined;
  private readonly above: ReadonlySet<string>;

  constructor(before: Uint8Array) {
    const start = before.lastIndexOf(LINE_FEED) + 1;
    this.begun = textOf(before.subarray(start));
    const above = before.subarray(Math.max(0, start - 1 - ABOVE_BYTES), Math.max(0, start - 1));
    const lines = start === 0 ? [] : textOf(above).split("\n");
    const trimmed = lines.map((line) => line.trim());
    this.last = trimmed.at(-1);
    this.above = new Set(trimmed);
  }

  textOf(rest: Uint8Array): LineText {
    const whole = (this.begun + textOf(rest)).trim();
    return {
      repeats: whole === this.last ? 1 : 0,
      importsAgain: IMPORT.test(whole) && this.above.has(whole) ? 1 : 0,
      opensQuotation: isOdd(whole, '"') || isOdd(whole, "`") ? 1 : 0,
    };
  }
}

/** Bytes as characters, one each. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** Whether a mark stands in a line an odd number of times, not counting those behind a backslash. */
function isOdd(line: string, mark: string): boolean {
  let count = 0;
  for (let at = line.indexOf(mark); at >= 0; at = line.indexOf(mark, at + 1))
    if (line[at - 1] !== "\\") count++;
  return count % 2 === 1;
}
