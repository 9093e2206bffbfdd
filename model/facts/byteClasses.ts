/** What a byte can be in a language, as flags: one table look-up per byte instead of comparisons. */

import type { Language } from "./languages.ts";

export const NAME_START = 1;
export const NAME_PART = 2;
export const DIGIT = 4;
export const BLANK = 8;
export const OPERATOR = 16;
export const OPEN = 32;
export const CLOSE = 64;
export const QUOTE = 128;

const classTables = new WeakMap<Language, Uint8Array>();

/** 256 sets of flags; bytes of multi-byte characters are parts of names. */
export function classTable(language: Language): Uint8Array {
  const known = classTables.get(language);
  if (known) return known;
  const table = new Uint8Array(256);
  const mark = (bytes: string, flag: number): void => {
    for (const c of bytes) table[c.charCodeAt(0)]! |= flag;
  };
  for (let byte = 0x80; byte < 256; byte++) table[byte] = NAME_START | NAME_PART;
  for (let byte = 0; byte < 26; byte++) {
    table[65 + byte] = NAME_START | NAME_PART;
    table[97 + byte] = NAME_START | NAME_PART;
  }
  mark("_$", NAME_START | NAME_PART);
  mark("0123456789", NAME_PART | DIGIT);
  if (language.dashNames) mark("-", NAME_PART);
  mark(" \t\r\n\f\v", BLANK);
  mark("+-*/%=<>!&|^~?:@", OPERATOR);
  mark("([{", OPEN);
  mark(")]}", CLOSE);
  mark(language.quotes, QUOTE);
  if (language.templates) mark("`", QUOTE);
  classTables.set(language, table);
  return table;
}
