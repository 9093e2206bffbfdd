/** What the lexer remembers between bytes, the modes it can be in, and the bytes it knows by name. */

export const MODE = {
  code: 0,
  name: 1,
  number: 2,
  operator: 3,
  slash: 4,
  string: 5,
  quoteSeen: 6,
  triple: 7,
  template: 8,
  regexp: 9,
  lifetime: 10,
  lifetimeName: 11,
  lineComment: 12,
  blockComment: 13,
} as const;

/** Opens the code inside a template string; its end is an ordinary '}'. */
export const TEMPLATE_OPEN = 36;

export const NAME_LIMIT = 128;
export const TAB_COLUMNS = 4;

export const NEWLINE = 10;
export const HASH = 35;
export const DOLLAR = 36;
export const APOSTROPHE = 39;
export const STAR = 42;
export const COMMA = 44;
export const MINUS = 45;
export const DOT = 46;
export const SLASH = 47;
export const SEMICOLON = 59;
export const LESS = 60;
export const GREATER = 62;
export const BACKSLASH = 92;
export const BACKTICK = 96;
export const BRACE_OPEN = 123;
export const BRACE_CLOSE = 125;

export interface TemplateFrame {
  readonly braces: number;
  readonly parent: TemplateFrame | null;
}

/** All that the lexer carries from byte to byte, except the bytes of the name at hand. */
export interface LexerState {
  mode: number;
  quote: number;
  escaped: boolean;
  /** Length of the run that `mode` counts: quotes, operator bytes, a comment's closing bytes. */
  run: number;
  first: number;
  previous: number;
  regexpClass: boolean;
  regexpAllowed: boolean;
  braces: number;
  templates: TemplateFrame | null;
  lineBegins: boolean;
  column: number;
  nameLength: number;
  angleComment: boolean;
}

export interface LexerSnapshot {
  readonly state: LexerState;
  readonly name: Uint8Array;
}

/** Before the first byte. */
export function initialLexerState(): LexerState {
  return {
    mode: MODE.code,
    quote: 0,
    escaped: false,
    run: 0,
    first: 0,
    previous: NEWLINE,
    regexpClass: false,
    regexpAllowed: true,
    braces: 0,
    templates: null,
    lineBegins: true,
    column: 0,
    nameLength: 0,
    angleComment: false,
  };
}

export const isStringMode = (mode: number): boolean => mode >= MODE.string && mode <= MODE.regexp;
export const isCommentMode = (mode: number): boolean =>
  mode === MODE.lineComment || mode === MODE.blockComment;
