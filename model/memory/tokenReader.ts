/** A reader of tokens going through one file: where else in the workspace, or before in the file, the same symbols stand
 *  before the cursor. */

import { OwnIndex } from "./ownIndex.ts";
import { MAX_ORDER, SegmentWalk } from "./segment.ts";
import type { TokenSegment } from "./tokenSegment.ts";
import { TokenText } from "./tokenText.ts";

/** Shorter matches are not looked at. */
const SHORTEST = 2;
/** Of the nearest places in the file. */
const OWN_SHORTEST = 3;
/** Places that are looked at, longest matches first; more of one length are left aside together. */
const MOST_PLACES = 192;

/** Hidden rows in a row that are looked at one by one. */
const MOST_SKIPPED = 64;

export interface TokenSource {
  readonly tokens: TokenSegment;
  /** Numbers of its files that must not be seen. */
  readonly hidden: ReadonlySet<number>;
}

/** Called with a text, the token in it that stands where the cursor does, and how many before them are alike. */
export type OnPlace = (text: TokenText, token: number, matchLength: number) => void;

interface Walked extends TokenSource {
  readonly walk: SegmentWalk;
  readonly visible: VisibleRows;
}

export class TokenReader {
  readonly text: TokenText;
  private readonly walked: readonly Walked[];
  private readonly own: OwnIndex;

  constructor(sources: readonly TokenSource[], from?: TokenReader) {
    this.text = from?.text.copy() ?? new TokenText();
    this.own = from?.own.copy() ?? new OwnIndex("places");
    this.walked = sources.map((source, i) => {
      const walk = new SegmentWalk(source.tokens.segment, 1);
      if (from !== undefined) walk.copyFrom(from.walked[i]!.walk);
      const visible = from?.walked[i]!.visible ?? new VisibleRows(source);
      return { ...source, walk, visible };
    });
  }

  copy(): TokenReader {
    return new TokenReader(this.walked, this);
  }

  /** Whether a token is over now. */
  push(byte: number): 0 | 1 {
    const { text, own } = this;
    const before = text.tokens;
    let token = before;
    text.push(byte);
    for (; token < text.tokens; token++) {
      const symbol = text.symbol[token]!;
      for (const { walk } of this.walked) walk.push(symbol);
      own.push(symbol);
    }
    return text.tokens > before ? 1 : 0;
  }

  places(visit: OnPlace): void {
    this.workspacePlaces(MOST_PLACES, visit);
    this.own.places(SHORTEST, (token, matchLength) => visit(this.text, token, matchLength));
  }

  /** No more places than asked for, those of the longest matches; of equally long ones of the workspace all or none, of
   *  the file the latest. */
  nearest(most: { workspace: number; own: number }, visit: OnPlace): void {
    this.workspacePlaces(most.workspace, visit);
    const token = new Int32Array(most.own);
    const length = new Uint8Array(most.own);
    let kept = 0;
    this.own.places(OWN_SHORTEST, (place, matchLength) => {
      if (kept === most.own && matchLength <= length[kept - 1]!) return;
      if (kept < most.own) kept++;
      let at = kept - 1;
      for (; at > 0 && length[at - 1]! < matchLength; at--) {
        length[at] = length[at - 1]!;
        token[at] = token[at - 1]!;
      }
      length[at] = matchLength;
      token[at] = place;
    });
    for (let i = 0; i < kept; i++) visit(this.text, token[i]!, length[i]!);
  }

  private workspacePlaces(most: number, visit: OnPlace): void {
    const shortest = this.shortest(most);
    for (const one of this.walked)
      rowsOf(one, (row, matchLength) => {
        if (matchLength < shortest) return 0;
        visit(one.tokens.files[one.tokens.fileOf[row]!]!, one.tokens.tokenOf(row), matchLength);
        return 1;
      });
  }

  /** Of the lengths whose places are few enough in all segments, the lowest; above all lengths where none is. */
  private shortest(most: number): number {
    const places = new Int32Array(MAX_ORDER + 1);
    for (const one of this.walked) {
      let seen = 0;
      rowsOf(one, (_, matchLength) => {
        places[matchLength]!++;
        return seen++ < most ? 1 : 0;
      });
    }
    let sum = 0;
    for (let length = MAX_ORDER; length >= SHORTEST; length--)
      if ((sum += places[length]!) > most) return length + 1;
    return SHORTEST;
  }
}

/** Which rows of a source may be seen. A file that is being written hides its own saved text, and where its lines are all
 *  alike most rows behind a context are its own: from so many on they are leapt over by a table, not looked at. */
class VisibleRows {
  private readonly source: TokenSource;
  /** Of each row the first one from it on that may be seen. */
  private table: Int32Array | undefined;

  constructor(source: TokenSource) {
    this.source = source;
  }

  /** The first row from `row` on that may be seen; the number of rows where there is none. */
  from(row: number): number {
    if (this.table !== undefined) return this.table[row]!;
    const rows = this.source.tokens.fileOf.length;
    const end = Math.min(rows, row + MOST_SKIPPED);
    for (let at = row; at < end; at++) if (!this.isHidden(at)) return at;
    if (end === rows) return rows;
    this.table = this.leaps();
    return this.table[row]!;
  }

  private isHidden(row: number): boolean {
    const file = this.source.tokens.fileOf[row]!;
    return file < 0 || this.source.hidden.has(file);
  }

  private leaps(): Int32Array {
    const rows = this.source.tokens.fileOf.length;
    const table = new Int32Array(rows + 1).fill(rows);
    for (let row = rows - 1; row >= 0; row--)
      table[row] = this.isHidden(row) ? table[row + 1]! : row;
    return table;
  }
}

/** Visits the rows that may be seen, those of the longest matches first, each once, until a visit answers 0. */
function rowsOf(
  { walk, visible }: Walked,
  visit: (row: number, matchLength: number) => 0 | 1,
): void {
  let innerLow = 0;
  let innerHigh = 0;
  for (let entry = walk.entries - 1; entry >= 0; entry--) {
    const matchLength = walk.topOrder[entry]!;
    if (matchLength < SHORTEST) return;
    const low = walk.low[entry]!;
    const high = walk.high[entry]!;
    for (let row = visible.from(low); row < high; row = visible.from(row)) {
      if (row >= innerLow && row < innerHigh) row = innerHigh;
      else if (visit(row++, matchLength) === 0) return;
    }
    innerLow = low;
    innerHigh = high;
  }
}
