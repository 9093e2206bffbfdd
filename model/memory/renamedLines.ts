/** Rests of lines as they would be by analogy: what stood behind an earlier place whose tokens are alike but for names,
 *  with the names of this place. Where copies (lineCopies.ts) end at the first name that differs, these go on. */

import { Renames } from "./renames.ts";
import type { TokenReader } from "./tokenReader.ts";
import { isNamed, LINE_END, type TokenText } from "./tokenText.ts";

export interface RenamedLine {
  /** The rest of the line, without its line feed; never empty. */
  readonly bytes: Uint8Array;
  /** Tokens before the cursor that its best place shares but for names, at most DEPTH, and how many names among them
   *  are the same. */
  readonly tokens: number;
  readonly sameNames: number;
  /** Names of the line that are others than at that place. */
  readonly replaced: number;
  readonly places: number;
}

/** Tokens that are compared. */
const DEPTH = 40;
/** What a place is worth. */
const SAME_NAME = 20;
const CONFIRMED = 10;
const RENAMED = -20;
const CONTRADICTED = -30;
const TOKEN = 3;
const SAME_BEFORE_CURSOR = 2;

interface Aligned {
  readonly renames: Renames;
  readonly tokens: number;
  readonly sameNames: number;
  readonly worth: number;
}

interface Found extends RenamedLine {
  readonly worth: number;
}

/** Best first; of equal worth those of more places, then in the order of their bytes. */
export function renamedLines(reader: TokenReader, maxBytes: number): RenamedLine[] {
  const found = new Map<string, Found>();
  reader.places((there, token, matchLength) => {
    const aligned = align(there, token, reader.text, matchLength);
    const line = rest({ there, token, here: reader.text, renames: aligned.renames, maxBytes });
    if (line === undefined) return;
    const rank = { tokens: aligned.tokens, sameNames: aligned.sameNames, worth: aligned.worth };
    const known = found.get(line.text);
    const places = (known?.places ?? 0) + 1;
    // Of places of equal worth the one that took fewer renamings, whatever the order they come in.
    const better =
      known === undefined ||
      rank.worth > known.worth ||
      (rank.worth === known.worth &&
        (rank.tokens - known.tokens ||
          rank.sameNames - known.sameNames ||
          known.replaced - line.replaced) > 0);
    found.set(
      line.text,
      better
        ? { ...rank, replaced: line.replaced, places, bytes: known?.bytes ?? bytesOf(line.text) }
        : { ...known, places },
    );
  });
  return [...found.entries()]
    .sort(([a, x], [b, y]) => y.worth - x.worth || y.places - x.places || (a < b ? -1 : 1))
    .map(([, { worth: _, ...line }]) => line);
}

/** Compares what stands before `token` of `there` with the end of `here`. */
function align(there: TokenText, token: number, here: TokenText, matchLength: number): Aligned {
  const renames = new Renames();
  const tokens = Math.min(DEPTH, matchLength);
  let sameNames = 0;
  let same = 0;
  let isSame = true;
  for (let back = 1; back <= tokens; back++) {
    const symbol = there.symbol[token - back]!;
    if (isNamed(symbol)) {
      const name = there.token(token - back);
      const other = here.token(here.tokens - back);
      renames.learn(name, other);
      if (name === other) sameNames++;
      else isSame = false;
    }
    if (isSame) same++;
  }
  const worth =
    SAME_NAME * sameNames +
    CONFIRMED * renames.confirmed +
    RENAMED * renames.renamed +
    CONTRADICTED * renames.contradicted +
    TOKEN * tokens +
    SAME_BEFORE_CURSOR * same;
  return { renames, tokens, sameNames, worth };
}

/** What stands from `token` on up to the end of its line, renamed, behind what of its first word is there already. */
function rest(o: {
  there: TokenText;
  token: number;
  here: TokenText;
  renames: Renames;
  maxBytes: number;
}): { text: string; replaced: number } | undefined {
  const { there, here, renames } = o;
  const typed = here.open < 0 ? "" : here.slice(here.open, here.length);
  const lastEnd = here.tokens === 0 ? 0 : here.end[here.tokens - 1]!;
  const isBehindToken = here.open < 0 && here.length === lastEnd;
  let text = "";
  let replaced = 0;
  for (let at = o.token; ; at++) {
    if (at >= there.tokens) return undefined;
    const symbol = there.symbol[at]!;
    if (symbol === LINE_END) break;
    if (at > o.token || isBehindToken)
      text += there.slice(at === 0 ? 0 : there.end[at - 1]!, there.start[at]!);
    const name = there.token(at);
    let word = name;
    if (isNamed(symbol)) {
      word = renames.apply(name);
      if (word !== name) replaced++;
    }
    if (at === o.token) {
      if (!word.startsWith(typed)) return undefined;
      word = word.slice(typed.length);
    }
    text += word;
    if (text.length > o.maxBytes) return undefined;
  }
  return text === "" ? undefined : { text, replaced };
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
