/** What the lines above say of a line that may stand at the cursor: whether it is one of them, looks like the last of
 *  them, or ends as they do. */
import { TokenText } from "./memory/tokenText.ts";

export interface LineText {
  /** 1: the line right above once more. */
  readonly repeats: 0 | 1;
  /** 1: brings in what a line above brings in already. */
  readonly importsAgain: 0 | 1;
  /** 1: but for names and numbers like the last line above that is not blank. */
  readonly hasShapeAbove: 0 | 1;
  /** 1: a quotation is begun and not ended in it. */
  readonly opensQuotation: 0 | 1;
  /** Share of the lines above that end with its last byte, never 0. */
  readonly sameEnd: number;
}

/** Bytes and lines above the cursor that are looked at. */
const ABOVE_BYTES = 3000;
const ENDS = 60;
/** A share of few lines is a guess: half a line more, among five. */
const FEW = 0.5;
const MANY = 5;
const IMPORT =
  /^(?:#include|#import|import |from |use |using |require|pub use |pub mod |mod |const .*require\()/;
const LINE_FEED = 10;

export class LinePlace {
  private readonly begun: string;
  private readonly last: string;
  private readonly above: ReadonlySet<string>;
  private readonly shapeAbove: string | undefined;
  private readonly ends = new Map<string, number>();
  private readonly ended: number;

  constructor(before: Uint8Array) {
    const start = before.lastIndexOf(LINE_FEED) + 1;
    this.begun = textOf(before.subarray(start));
    const lines = start === 0 ? [] : textOf(before.subarray(Math.max(0, start - 1 - ABOVE_BYTES), start - 1)).split("\n"); // prettier-ignore
    const trimmed = lines.map((line) => line.trim());
    this.last = trimmed.at(-1) ?? "";
    this.above = new Set(trimmed);
    const shown = trimmed.findLast((line) => line !== "");
    this.shapeAbove = shown === undefined ? undefined : shapeOf(shown);
    const ended = trimmed.slice(-ENDS).filter((line) => line !== "");
    for (const line of ended) this.ends.set(line.at(-1)!, (this.ends.get(line.at(-1)!) ?? 0) + 1);
    this.ended = ended.length;
  }

  /** Bytes of the line that stand there already, without its indentation. */
  get begunBytes(): number {
    return this.begun.trim().length;
  }

  textOf(rest: Uint8Array): LineText {
    const whole = (this.begun + textOf(rest)).trim();
    return {
      repeats: whole === this.last ? 1 : 0,
      importsAgain: IMPORT.test(whole) && this.above.has(whole) ? 1 : 0,
      hasShapeAbove: shapeOf(whole) === this.shapeAbove ? 1 : 0,
      opensQuotation: isOdd(whole, '"') || isOdd(whole, "`") ? 1 : 0,
      sameEnd: ((this.ends.get(whole.at(-1) ?? "") ?? 0) + FEW) / (this.ended + MANY),
    };
  }
}

/** Bytes as characters, one each. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** A line but for its names and numbers. */
function shapeOf(line: string): string {
  return String.fromCharCode(...TokenText.of(Buffer.from(line, "latin1")).symbol);
}

/** Whether a mark stands in a line an odd number of times, not counting those behind a backslash. */
function isOdd(line: string, mark: string): boolean {
  let count = 0;
  for (let at = line.indexOf(mark); at >= 0; at = line.indexOf(mark, at + 1))
    if (line[at - 1] !== "\\") count++;
  return count % 2 === 1;
}
