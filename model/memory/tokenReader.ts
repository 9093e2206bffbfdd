/** A reader of tokens going through one file: where else in the workspace, or before in the file, the same symbols stand
 *  before the cursor. */

import { OwnIndex } from "./ownIndex.ts";
import { MAX_ORDER, SegmentWalk } from "./segment.ts";
import type { TokenSegment } from "./tokenSegment.ts";
import { TokenText } from "./tokenText.ts";

/** Shorter matches are not looked at. */
const SHORTEST = 2;
/** Places that are looked at, longest matches first; more of one length are left aside together. */
const MOST_PLACES = 192;

export interface TokenSource {
  readonly tokens: TokenSegment;
  /** Numbers of its files that must not be seen. */
  readonly hidden: ReadonlySet<number>;
}

/** Called with a text, the token in it that stands where the cursor does, and how many before them are alike. */
export type OnPlace = (text: TokenText, token: number, matchLength: number) => void;

interface Walked extends TokenSource {
  readonly walk: SegmentWalk;
}

export class TokenReader {
  readonly text: TokenText;
  private readonly walked: readonly Walked[];
  private readonly own: OwnIndex;

  constructor(sources: readonly TokenSource[], from?: TokenReader) {
    this.text = from?.text.copy() ?? new TokenText();
    this.own = from?.own.copy() ?? new OwnIndex();
    this.walked = sources.map((source, i) => {
      const walk = new SegmentWalk(source.tokens.segment, 1);
      if (from !== undefined) walk.copyFrom(from.walked[i]!.walk);
      return { ...source, walk };
    });
  }

  copy(): TokenReader {
    return new TokenReader(this.walked, this);
  }

  push(byte: number): void {
    const { text, own } = this;
    let token = text.tokens;
    text.push(byte);
    for (; token < text.tokens; token++) {
      const symbol = text.symbol[token]!;
      for (const { walk } of this.walked) walk.push(symbol);
      own.push(symbol);
    }
  }

  places(visit: OnPlace): void {
    const shortest = this.shortest();
    for (const one of this.walked)
      rowsOf(one, (row, matchLength) => {
        if (matchLength < shortest) return 0;
        const file = one.tokens.fileOf(row);
        visit(one.tokens.files[file]!, one.tokens.tokenOf(row, file), matchLength);
        return 1;
      });
    this.own.places(SHORTEST, (token, matchLength) => visit(this.text, token, matchLength));
  }

  /** Of the lengths whose places are few enough in all segments, the lowest; above all lengths where none is. */
  private shortest(): number {
    const places = new Int32Array(MAX_ORDER + 1);
    for (const one of this.walked) {
      let seen = 0;
      rowsOf(one, (_, matchLength) => {
        places[matchLength]!++;
        return seen++ < MOST_PLACES ? 1 : 0;
      });
    }
    let sum = 0;
    for (let length = MAX_ORDER; length >= SHORTEST; length--)
      if ((sum += places[length]!) > MOST_PLACES) return length + 1;
    return SHORTEST;
  }
}

/** Visits the rows that may be seen, those of the longest matches first, each once, until a visit answers 0. */
function rowsOf(
  { walk, tokens, hidden }: Walked,
  visit: (row: number, matchLength: number) => 0 | 1,
): void {
  let innerLow = 0;
  let innerHigh = 0;
  for (let entry = walk.entries - 1; entry >= 0; entry--) {
    const matchLength = walk.topOrder[entry]!;
    if (matchLength < SHORTEST) return;
    const low = walk.low[entry]!;
    const high = walk.high[entry]!;
    for (let row = low; row < high; row++) {
      if (row === innerLow && innerHigh > innerLow) row = innerHigh;
      if (row >= high) break;
      const file = tokens.fileOf(row);
      if (file < 0 || hidden.has(file)) continue;
      if (visit(row, matchLength) === 0) return;
    }
    innerLow = low;
    innerHigh = high;
  }
}
