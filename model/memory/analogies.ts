/** What comes next by analogy: places behind the same symbols (tokenText.ts), in the workspace and before in the file,
 *  each expecting its own next token, with the name that stands for it here if it is a name; followed byte by byte for
 *  as long as it is right. A match model, as in PAQ (Mahoney 2005), of parameterized matches (Baker 1993). */

import { Renames } from "./renames.ts";
import type { TokenReader } from "./tokenReader.ts";
import { isNamed, LINE_END, type TokenText } from "./tokenText.ts";

/** Places that are followed. */
const MOST_WORKSPACE = 24;
const MOST_OWN = 8;
const MOST = MOST_WORKSPACE + MOST_OWN;
/** Tokens before them in which names are compared, and in which the name to come is looked for. */
const COMPARED = 12;
const LOOKED_BACK = 32;
/** Tokens in which other names are looked for that share a part with it. */
const PARTS_LOOKED_BACK = 16;
/** Bytes of a token, with the blanks before it, that are followed. */
const LONGEST = 48;

/** Classes of what is expected: by the names that are the same before it and by whether the match is long; by what it
 *  is; and by whether its first byte was right. */
const MOST_SAME = 3;
const LONG_MATCH = 12;
const GRADES = 2 * (MOST_SAME + 1);
const KINDS = 4;
const STEPS = 2;
export const ANALOGY_CLASSES = GRADES * KINDS * STEPS;
const OTHER = 0;
const UNMET_NAME = 1;
const SAME_NAME = 2;
const RENAMED = 3;

export class Expected {
  /** −1 where nothing is expected. */
  byte = -1;
  /** Below ANALOGY_CLASSES. */
  class = 0;
}

/** A place, and how many tokens before it and at the end of `here` are alike. */
interface Alike {
  readonly there: TokenText;
  readonly token: number;
  readonly matchLength: number;
  readonly here: TokenText;
}

export class Analogies {
  /** By the best place of the workspace, and of the file. */
  readonly workspace = new Expected();
  readonly own = new Expected();
  /** How many places expect each byte, and anything at all. */
  readonly votes = new Uint8Array(256);
  total = 0;
  // Of each place: the bytes expected, how many, where the token begins in them, and how many of them were right.
  private readonly text = new Uint8Array(MOST * LONGEST);
  private readonly length = new Uint8Array(MOST);
  private readonly begin = new Uint8Array(MOST);
  private readonly at = new Uint8Array(MOST);
  private readonly rank = new Uint8Array(MOST);
  private readonly isOwn = new Uint8Array(MOST);
  // Where a token has ended since places were looked for: the byte that ended it, and those behind it.
  private isStale = false;
  private ender = 0;
  private readonly since = new Uint8Array(LONGEST);
  private read = 0;

  copyFrom(other: Analogies): void {
    this.isStale = other.isStale;
    this.ender = other.ender;
    this.since.set(other.since);
    this.read = other.read;
    this.total = other.total;
    this.text.set(other.text);
    this.length.set(other.length);
    this.begin.set(other.begin);
    this.at.set(other.at);
    this.rank.set(other.rank);
    this.isOwn.set(other.isOwn);
    this.count();
  }

  /** After a byte that `ended` a token or did not. Places are looked for when they are asked for: most of a file is read
   *  without a prediction. */
  push(byte: number, ended: 0 | 1): void {
    if (ended === 1) {
      this.isStale = true;
      this.ender = byte;
      this.read = 0;
    } else if (this.isStale) {
      if (this.read < LONGEST) this.since[this.read] = byte;
      this.read++;
    } else {
      this.advance(byte);
      this.count();
    }
  }

  /** Must come before anything expected is looked at; `reader` has read the same bytes. */
  settle(reader: TokenReader): void {
    if (!this.isStale) return;
    this.isStale = false;
    this.total = 0;
    // Behind so many bytes nothing that is followed could still be right.
    if (this.read < LONGEST) {
      // A blank that ended a word is the first of those before the next token.
      const blank = this.ender === 32 || this.ender === 9 ? this.ender : -1;
      reader.nearest({ workspace: MOST_WORKSPACE, own: MOST_OWN }, (there, token, matchLength) => {
        if (token < there.tokens)
          this.expect({ there, token, matchLength, here: reader.text }, blank);
      });
      for (let i = 0; i < this.read; i++) this.advance(this.since[i]!);
    }
    this.count();
  }

  private advance(byte: number): void {
    const { text, length, begin, at, rank, isOwn } = this;
    let kept = 0;
    for (let i = 0; i < this.total; i++) {
      const right = at[i]! + 1;
      if (text[i * LONGEST + right - 1] !== byte || right === length[i]) continue;
      if (kept !== i) {
        text.copyWithin(kept * LONGEST, i * LONGEST, i * LONGEST + length[i]!);
        length[kept] = length[i]!;
        begin[kept] = begin[i]!;
        rank[kept] = rank[i]!;
        isOwn[kept] = isOwn[i]!;
      }
      at[kept++] = right;
    }
    this.total = kept;
  }

  private expect(o: Alike, blank: number): void {
    const { there, token, matchLength, here } = o;
    const compared = Math.min(COMPARED, matchLength);
    let same = 0;
    for (let back = 1; back <= compared && same < MOST_SAME; back++)
      if (
        isNamed(there.symbol[token - back]!) &&
        there.isSame(token - back, here, here.tokens - back)
      )
        same++;
    const symbol = there.symbol[token]!;
    let kind = OTHER;
    let from = there;
    let name = token;
    if (isNamed(symbol)) {
      kind = UNMET_NAME;
      const most = Math.min(LOOKED_BACK, matchLength);
      for (let back = 1; back <= most; back++) {
        if (!there.isSame(token - back, there, token)) continue;
        from = here;
        name = here.tokens - back;
        kind = there.isSame(token, here, name) ? SAME_NAME : RENAMED;
        break;
      }
    }
    const i = this.total;
    const first = i * LONGEST;
    let to = first;
    const last = first + LONGEST;
    const start = there.start[token]!;
    let gap = token === 0 ? 0 : there.end[token - 1]!;
    if (blank >= 0) gap = gap < start && there.byteAt(gap) === blank ? gap + 1 : start;
    while (gap < start && to < last) this.text[to++] = there.byteAt(gap++);
    this.begin[i] = to - first;
    const word = kind === UNMET_NAME ? renamedByParts(o) : undefined;
    if (word === undefined) {
      const end = from.end[name]!;
      for (let at = from.start[name]!; at < end && to < last; at++)
        this.text[to++] = from.byteAt(at);
    } else {
      kind = RENAMED;
      for (let at = 0; at < word.length && to < last; at++) this.text[to++] = word.charCodeAt(at);
    }
    // And what shows that a word is over.
    if (symbol !== LINE_END && there.end[token]! < there.length && to < last)
      this.text[to++] = there.byteAt(there.end[token]!);
    this.length[i] = to - first;
    this.at[i] = 0;
    this.rank[i] = (same * 2 + (matchLength >= LONG_MATCH ? 1 : 0)) * KINDS + kind;
    this.isOwn[i] = there === here ? 1 : 0;
    this.total++;
  }

  private count(): void {
    this.votes.fill(0);
    for (let i = 0; i < this.total; i++) this.votes[this.text[i * LONGEST + this.at[i]!]!]!++;
    this.choose(this.workspace, 0);
    this.choose(this.own, 1);
  }

  /** Of the best grade the byte of most votes; then the better kind, then the lesser byte: places come in no order. */
  private choose(into: Expected, isOwn: 0 | 1): void {
    into.byte = -1;
    into.class = 0;
    let best = -1;
    for (let i = 0; i < this.total; i++) {
      if (this.isOwn[i] !== isOwn) continue;
      const byte = this.text[i * LONGEST + this.at[i]!]!;
      const choice = this.rank[i]! * STEPS + (this.at[i]! > this.begin[i]! ? 1 : 0);
      const grade = Math.floor(choice / (KINDS * STEPS));
      const order = ((grade * 256 + this.votes[byte]!) * 256 + choice) * 256 + 255 - byte;
      if (order <= best) continue;
      best = order;
      into.byte = byte;
      into.class = choice;
    }
  }
}

/** The name at a place with those parts replaced that other names lost on the way here; undefined where none did. */
function renamedByParts({ there, token, matchLength, here }: Alike): string | undefined {
  let renames: Renames | undefined;
  const most = Math.min(PARTS_LOOKED_BACK, matchLength);
  for (let back = 1; back <= most; back++) {
    const at = token - back;
    const other = here.tokens - back;
    if (isNamed(there.symbol[at]!) && !there.isSame(at, here, other))
      (renames ??= new Renames()).learn(there.token(at), here.token(other));
  }
  if (renames === undefined) return undefined;
  const name = there.token(token);
  const renamed = renames.apply(name);
  return renamed === name ? undefined : renamed;
}
