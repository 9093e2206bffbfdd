/**
 * The words of a file with their places, by the same lexer that the scanner uses: what to ask a language
 * server about. Words in strings, comments and keywords are left out.
 */

import { languageOf } from "./languages.ts";
import { Lexer } from "./lexer.ts";
import type { TokenSink } from "./lexer.ts";

export interface WordPlace {
  readonly name: string;
  /** Zero-based line, and byte column in it. */
  readonly line: number;
  readonly column: number;
}

const NEWLINE = 10;

/** Names in `bytes` in order. Never throws; broken code gives poorer answers. */
export function wordsOf(path: string, bytes: Uint8Array): WordPlace[] {
  const language = languageOf(path);
  const words: WordPlace[] = [];
  let at = 0;
  let line = 0;
  let lineStart = 0;
  let nameLine = 0;
  let nameColumn = 0;
  let afterDot = false;
  const nothing = (): void => {
    afterDot = false;
  };
  const sink: TokenSink = {
    word(name) {
      const isKeyword = !afterDot && language.keywords.has(name);
      if (name !== "" && (!isKeyword || language.contextual.has(name)))
        words.push({ name, line: nameLine, column: nameColumn });
      afterDot = false;
      return isKeyword;
    },
    ended: nothing,
    // A dot is reported twice: as a dot, then as a token that closes.
    closes: () => undefined,
    operator: nothing,
    open: nothing,
    close: nothing,
    separator: nothing,
    dot() {
      afterDot = true;
    },
    newline: nothing,
    lineStart: nothing,
  };
  const lexer = new Lexer(language, sink);
  let wasName = false;
  for (; at <= bytes.length; at++) {
    // A last newline ends a name at the end of the file.
    const byte = at < bytes.length ? bytes[at]! : NEWLINE;
    lexer.push(byte);
    const isName = lexer.inName;
    if (isName && !wasName) {
      nameLine = line;
      nameColumn = at - lineStart;
    }
    wasName = isName;
    if (byte === NEWLINE) {
      line++;
      lineStart = at + 1;
    }
  }
  return words;
}
