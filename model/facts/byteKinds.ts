/**
 * What each byte of a file belongs to, by the scanner's left-to-right reading: for sorting measurements, never as an
 * input of the model, because a word is known to be a keyword only where it ends.
 */
import { BLANK, classTable, NAME_PART } from "./byteClasses.ts";
import { N_FACT_CHANNELS, TOKEN_TYPES } from "./channels.ts";
import { languageOf } from "./languages.ts";
import { APOSTROPHE, BRACE_CLOSE, BRACE_OPEN, MODE, NEWLINE } from "./lexerState.ts";
import { FactScanner } from "./scanner.ts";

/** Regular expressions are strings here; a word is a name in a language that declares none: prose, data, markup. */
export const BYTE_KINDS = [
  "identifier",
  "keyword",
  "number",
  "string",
  "comment",
  "whitespace",
  "punctuation",
  "word",
] as const;

export type ByteKind = (typeof BYTE_KINDS)[number];

/** Index of each kind in BYTE_KINDS. */
export const KIND = Object.fromEntries(BYTE_KINDS.map((kind, i) => [kind, i])) as Readonly<
  Record<ByteKind, number>
>;

const isString = (mode: number): boolean =>
  mode === MODE.string ||
  mode === MODE.quoteSeen ||
  mode === MODE.triple ||
  mode === MODE.template ||
  mode === MODE.regexp;
const isComment = (mode: number): boolean =>
  mode === MODE.lineComment || mode === MODE.blockComment;
/** What such a token is shows at its end only. */
const isOpen = (mode: number): boolean =>
  mode === MODE.name || mode === MODE.slash || mode === MODE.operator || mode === MODE.lifetime;

/** Index into BYTE_KINDS for every byte. Never throws; broken code gives poorer kinds. */
export function byteKinds(path: string, bytes: Uint8Array): Uint8Array {
  const classes = classTable(languageOf(path));
  const name = isCode(path) ? KIND.identifier : KIND.word;
  const scanner = new FactScanner(path, () => 0);
  const facts = new Uint16Array(N_FACT_CHANNELS);
  const kinds = new Uint8Array(bytes.length);
  let before: number = MODE.code;
  let begin = 0;
  for (let t = 0; t <= bytes.length; t++) {
    // One line break more ends what the file's end left open.
    const byte = t < bytes.length ? bytes[t]! : NEWLINE;
    scanner.push(byte);
    const mode = scanner.mode;
    if (isOpen(before) && mode !== before) {
      scanner.write(facts, 0);
      kinds.fill(closedKind(before, mode, { byte, name, type: facts[0]! }), begin, t);
    }
    if (isOpen(mode) && mode !== before) begin = t;
    if (t < bytes.length) kinds[t] = kindOf(before, mode, { byte, blank: classes[byte]! & BLANK });
    before = mode;
  }
  return kinds;
}

/** Whether the files of this kind declare names: a programming language. */
export function isCode(path: string): boolean {
  return languageOf(path).declares.size > 0;
}

/** 1 for bytes that may stand in a name of the file's language. */
export function nameBytes(path: string): Uint8Array {
  return classTable(languageOf(path)).map((flags) => (flags & NAME_PART ? 1 : 0));
}

/** The kind of a token in mode `before` that `byte`, which led to `mode`, has ended. */
function closedKind(
  before: number,
  mode: number,
  o: { readonly byte: number; readonly name: number; readonly type: number },
): number {
  if (before === MODE.name) return o.type === TOKEN_TYPES.keyword ? KIND.keyword : o.name;
  if (isComment(mode)) return KIND.comment;
  if (before === MODE.slash) return mode === MODE.regexp ? KIND.string : KIND.punctuation;
  if (before === MODE.operator) return KIND.punctuation;
  // A quote that another one closes was a character's, any other one a lifetime's.
  return isString(mode) || o.byte === APOSTROPHE ? KIND.string : o.name;
}

/** The kind of a byte that led from mode `before` to `mode`; tokens still open are decided later. */
function kindOf(
  before: number,
  mode: number,
  o: { readonly byte: number; readonly blank: number },
): number {
  if (isComment(mode)) return KIND.comment;
  if (mode === MODE.number) return KIND.number;
  if (mode === MODE.lifetimeName) return KIND.identifier;
  if (isString(mode))
    return mode === MODE.template && before !== MODE.template && o.byte === BRACE_CLOSE
      ? KIND.punctuation
      : KIND.string;
  const other = o.blank ? KIND.whitespace : KIND.punctuation;
  if (mode !== MODE.code) return other;
  if (before === MODE.blockComment) return KIND.comment;
  if (before === MODE.lifetime && o.byte === APOSTROPHE) return KIND.string;
  if (before === MODE.template && o.byte === BRACE_OPEN) return KIND.punctuation;
  // A quote that was followed by something else had ended before it.
  if (isString(before) && before !== MODE.quoteSeen)
    return o.byte === NEWLINE ? KIND.whitespace : KIND.string;
  return other;
}
