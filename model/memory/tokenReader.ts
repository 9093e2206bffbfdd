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
    this.own = from?.own.copy() ?? new OwnIndex("places");
    this.walked = sources.map((source, i) => {
      const walk = new SegmentWalk(source.tokens.segment, 1);
      if (from !== undefined) walk.copyFrom(from.walked[i]!.walk);
      return { ...source, walk };
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
        const file = one.tokens.fileOf(row);
        visit(one.tokens.files[file]!, one.tokens.tokenOf(row, file), matchLength);
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
