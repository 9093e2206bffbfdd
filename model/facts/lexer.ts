/**
 * A left-to-right lexer over bytes for many languages at once. It never looks ahead and never fails: broken
 * code gives poorer tokens, and an unclosed string ends with its line. What it finds goes to a sink, in order.
 * Two ends of a token: `ended` when the byte at hand shows that the token before it is complete, `closes`
 * when the byte at hand is the token's own last byte.
 */

import {
  BLANK,
  classTable,
  CLOSE,
  DIGIT,
  NAME_PART,
  NAME_START,
  OPEN,
  OPERATOR,
  QUOTE,
} from "./byteClasses.ts";
import { TOKEN_TYPES } from "./channels.ts";
import type { Language } from "./languages.ts";
import {
  MODE,
  TEMPLATE_OPEN,
  NAME_LIMIT,
  TAB_COLUMNS,
  NEWLINE,
  HASH,
  DOLLAR,
  APOSTROPHE,
  STAR,
  COMMA,
  MINUS,
  DOT,
  SLASH,
  SEMICOLON,
  LESS,
  GREATER,
  BACKSLASH,
  BACKTICK,
  BRACE_OPEN,
  BRACE_CLOSE,
  initialLexerState,
} from "./lexerState.ts";
import type { LexerState, LexerSnapshot } from "./lexerState.ts";

export interface TokenSink {
  /** A complete word and the byte after it; the answer says whether a regular expression may follow. */
  word(name: string, next: number): boolean;
  ended(type: number): void;
  closes(type: number): void;
  operator(first: number, last: number, length: number): void;
  open(byte: number): void;
  close(byte: number): void;
  separator(byte: number): void;
  dot(): void;
  newline(): void;
  lineStart(column: number): void;
}

const decoder = new TextDecoder();

export class Lexer {
  readonly #language: Language;
  readonly #classes: Uint8Array;
  readonly #sink: TokenSink;
  readonly #name = new Uint8Array(NAME_LIMIT);
  #state: LexerState = initialLexerState();

  constructor(language: Language, sink: TokenSink) {
    this.#language = language;
    this.#classes = classTable(language);
    this.#sink = sink;
  }

  get mode(): number {
    return this.#state.mode;
  }

  /** Whether the last byte belongs to a word that may go on. */
  get inName(): boolean {
    return this.#state.mode === MODE.name;
  }

  push(byte: number): void {
    const s = this.#state;
    if (!this.#continues(s, byte)) this.#start(s, byte);
    s.previous = byte;
  }

  snapshot(): LexerSnapshot {
    const kept = Math.min(this.#state.nameLength, NAME_LIMIT);
    return { state: { ...this.#state }, name: this.#name.slice(0, kept) };
  }

  restore(snapshot: LexerSnapshot): void {
    this.#state = { ...snapshot.state };
    this.#name.set(snapshot.name);
  }

  /** Gives the byte to the token at hand. False: that token is over, and the byte begins something new. */
  #continues(s: LexerState, byte: number): boolean {
    switch (s.mode) {
      case MODE.code:
        return false;
      case MODE.name:
        if (this.#classes[byte]! & NAME_PART) {
          if (s.nameLength < NAME_LIMIT) this.#name[s.nameLength] = byte;
          s.nameLength++;
          return true;
        }
        s.mode = MODE.code;
        s.regexpAllowed = this.#sink.word(this.#nameText(s.nameLength), byte);
        return false;
      case MODE.number:
        if (this.#classes[byte]! & NAME_PART || byte === DOT) return true;
        return this.#over(s, TOKEN_TYPES.number, false);
      case MODE.operator:
        return this.#operator(s, byte);
      case MODE.slash:
        return this.#slash(s, byte);
      case MODE.string:
      case MODE.template:
        return this.#string(s, byte);
      case MODE.quoteSeen:
        return this.#quoteSeen(s, byte);
      case MODE.triple:
        if (s.escaped) s.escaped = false;
        else if (byte === BACKSLASH) s.escaped = true;
        else if (byte !== s.quote) s.run = 0;
        else if (++s.run === 3) this.#closed(s, TOKEN_TYPES.string);
        return true;
      case MODE.regexp:
        return this.#regexp(s, byte);
      case MODE.lifetime:
        return this.#lifetime(s, byte);
      case MODE.lifetimeName:
        if (this.#classes[byte]! & NAME_PART) return true;
        return this.#over(s, TOKEN_TYPES.label, false);
      case MODE.lineComment:
        if (byte !== NEWLINE) return true;
        return this.#over(s, TOKEN_TYPES.comment, s.regexpAllowed);
      default:
        return this.#blockComment(s, byte);
    }
  }

  #start(s: LexerState, byte: number): void {
    const language = this.#language;
    const what = this.#classes[byte]!;
    if (byte === NEWLINE) {
      s.lineBegins = true;
      s.column = 0;
      this.#sink.newline();
      return;
    }
    if (what & BLANK) {
      if (s.lineBegins && byte !== 13) s.column += byte === 9 ? TAB_COLUMNS : 1;
      return;
    }
    if (byte === HASH && language.hashComments && !(this.#classes[s.previous]! & NAME_PART)) {
      // A comment's own column says nothing about scopes.
      s.mode = MODE.lineComment;
      return;
    }
    if (s.lineBegins) {
      s.lineBegins = false;
      this.#sink.lineStart(s.column);
    }
    if (what & NAME_START) {
      s.mode = MODE.name;
      this.#name[0] = byte;
      s.nameLength = 1;
    } else if (what & DIGIT) {
      s.mode = MODE.number;
    } else if (what & QUOTE) {
      this.#quote(s, byte);
    } else if (byte === APOSTROPHE && language.lifetimes) {
      s.mode = MODE.lifetime;
      s.run = 0;
    } else if (byte === SLASH && language.slashComments) {
      s.mode = MODE.slash;
    } else if (byte === SEMICOLON && language.semicolonComments) {
      s.mode = MODE.lineComment;
    } else if (what & OPERATOR) {
      s.mode = MODE.operator;
      s.first = byte;
      s.run = 1;
    } else {
      this.#punctuation(s, byte, what);
    }
  }

  #punctuation(s: LexerState, byte: number, what: number): void {
    s.regexpAllowed = true;
    if (what & OPEN) {
      if (byte === BRACE_OPEN) s.braces++;
      this.#sink.open(byte);
      this.#sink.closes(TOKEN_TYPES.bracketOpen);
    } else if (what & CLOSE) {
      s.regexpAllowed = false;
      this.#sink.close(byte);
      this.#sink.closes(TOKEN_TYPES.bracketClose);
      if (byte !== BRACE_CLOSE) return;
      if (s.templates && s.templates.braces === s.braces) {
        s.templates = s.templates.parent;
        s.mode = MODE.template;
        s.quote = BACKTICK;
      }
      if (s.braces > 0) s.braces--;
    } else {
      if (byte === DOT) this.#sink.dot();
      else if (byte === SEMICOLON || byte === COMMA) this.#sink.separator(byte);
      this.#sink.closes(TOKEN_TYPES.punctuation);
    }
  }

  #quote(s: LexerState, byte: number): void {
    s.quote = byte;
    s.escaped = false;
    s.run = 1;
    if (byte === BACKTICK) s.mode = MODE.template;
    else if (this.#language.tripleQuotes) s.mode = MODE.quoteSeen;
    else s.mode = MODE.string;
  }

  #quoteSeen(s: LexerState, byte: number): boolean {
    if (byte === s.quote) {
      if (++s.run < 3) return true;
      s.mode = MODE.triple;
      s.run = 0;
      return true;
    }
    // Two quotes and something else: an empty string.
    if (s.run === 2) return this.#over(s, TOKEN_TYPES.string, false);
    s.mode = MODE.string;
    return this.#string(s, byte);
  }

  #string(s: LexerState, byte: number): boolean {
    if (s.escaped) s.escaped = false;
    else if (byte === BACKSLASH) s.escaped = true;
    else if (byte === s.quote) this.#closed(s, TOKEN_TYPES.string);
    else if (s.mode === MODE.template) {
      if (byte === BRACE_OPEN && s.previous === DOLLAR && this.#language.templates) {
        s.braces++;
        s.templates = { braces: s.braces, parent: s.templates };
        s.mode = MODE.code;
        s.regexpAllowed = true;
        this.#sink.open(TEMPLATE_OPEN);
        this.#sink.closes(TOKEN_TYPES.bracketOpen);
      }
    } else if (byte === NEWLINE) return this.#over(s, TOKEN_TYPES.string, false);
    return true;
  }

  #operator(s: LexerState, byte: number): boolean {
    if (this.#classes[byte]! & OPERATOR) {
      const language = this.#language;
      if (byte === MINUS && s.previous === MINUS) {
        if (language.dashComments) {
          s.mode = MODE.lineComment;
          return true;
        }
        if (language.angleComments && s.first === LESS && s.run === 3) {
          s.mode = MODE.blockComment;
          s.angleComment = true;
          s.run = 0;
          return true;
        }
      }
      if (byte !== SLASH || !language.slashComments) {
        s.run++;
        return true;
      }
    }
    s.mode = MODE.code;
    // After '<' a slash closes a tag.
    s.regexpAllowed = s.previous !== LESS;
    this.#sink.operator(s.first, s.previous, s.run);
    this.#sink.ended(TOKEN_TYPES.operator);
    return false;
  }

  #slash(s: LexerState, byte: number): boolean {
    if (byte === SLASH) {
      s.mode = MODE.lineComment;
      return true;
    }
    if (byte === STAR) {
      s.mode = MODE.blockComment;
      s.angleComment = false;
      s.run = 0;
      return true;
    }
    if (this.#language.regexps && s.regexpAllowed) {
      s.mode = MODE.regexp;
      s.regexpClass = false;
      s.escaped = false;
      return this.#regexp(s, byte);
    }
    s.mode = MODE.operator;
    s.first = SLASH;
    s.run = 1;
    return this.#operator(s, byte);
  }

  #regexp(s: LexerState, byte: number): boolean {
    if (byte === NEWLINE) return this.#over(s, TOKEN_TYPES.operator, true);
    if (s.escaped) s.escaped = false;
    else if (byte === BACKSLASH) s.escaped = true;
    else if (byte === 91) s.regexpClass = true;
    else if (byte === 93) s.regexpClass = false;
    else if (byte === SLASH && !s.regexpClass) this.#closed(s, TOKEN_TYPES.regexp);
    return true;
  }

  #lifetime(s: LexerState, byte: number): boolean {
    s.run++;
    if (s.run === 1) {
      if (byte === BACKSLASH || byte >= 0x80) {
        s.mode = MODE.string;
        s.quote = APOSTROPHE;
        s.escaped = byte === BACKSLASH;
      }
      return byte !== NEWLINE || this.#over(s, TOKEN_TYPES.label, false);
    }
    if (byte === APOSTROPHE) {
      this.#closed(s, TOKEN_TYPES.string);
      return true;
    }
    s.mode = MODE.lifetimeName;
    return this.#continues(s, byte);
  }

  #blockComment(s: LexerState, byte: number): boolean {
    const runs = s.angleComment ? MINUS : STAR;
    const ends = s.angleComment ? GREATER : SLASH;
    if (byte === runs) s.run++;
    else if (byte === ends && s.run >= (s.angleComment ? 2 : 1)) {
      s.mode = MODE.code;
      this.#sink.closes(TOKEN_TYPES.comment);
    } else s.run = 0;
    return true;
  }

  /** The token ended before this byte. */
  #over(s: LexerState, type: number, regexpAllowed: boolean): false {
    s.mode = MODE.code;
    s.regexpAllowed = regexpAllowed;
    this.#sink.ended(type);
    return false;
  }

  /** The token ends with this byte. */
  #closed(s: LexerState, type: number): void {
    s.mode = MODE.code;
    s.regexpAllowed = false;
    this.#sink.closes(type);
  }

  /** Names over the limit come back empty: they are known to nobody. */
  #nameText(length: number): string {
    if (length > NAME_LIMIT) return "";
    const name = this.#name;
    let text = "";
    for (let at = 0; at < length; at++) {
      if (name[at]! >= 0x80) return decoder.decode(name.subarray(0, length));
      text += String.fromCharCode(name[at]!);
    }
    return text;
  }
}
