/**
 * Turns bytes into facts, one byte at a time: what token ended, how deep the place is and in what kind of
 * symbol, and what the names declared so far in this file are. Its state after byte t depends on bytes 0..t,
 * the path, and what `lookup` says about other files; nothing here may ever read ahead.
 * A snapshot is cheap and stays valid whatever is pushed later, so rejected drafts can be taken back.
 */

import { colourOf, TOKEN_TYPES, SCOPE_KINDS } from "./channels.ts";
import { CONTROL_WORDS, languageOf } from "./languages.ts";
import type { Language } from "./languages.ts";
import { Lexer } from "./lexer.ts";
import type { TokenSink } from "./lexer.ts";
import { isCommentMode, isStringMode, TEMPLATE_OPEN } from "./lexerState.ts";
import type { LexerSnapshot } from "./lexerState.ts";
import {
  declareName,
  arrowFollows,
  assignmentFollows,
  parametersFollow,
  resolveName,
} from "./names.ts";
import type { FactLookup, Environment } from "./names.ts";
import {
  PREVIOUS,
  HEAD,
  PAREN,
  BRACKET,
  BRACE,
  SEMICOLON,
  EQUALS,
  COLON,
  AT,
  STAR,
  AMPERSAND,
  GREATER,
  MAX_DEPTH,
  MAX_DEPTH_BUCKET,
  MAX_UNCLOSED,
  PARAMETER,
  VARIABLE,
  SCOPE_WORDS,
  REGEXP_NEVER_AFTER,
  ROOT,
  hasMembers,
  isCallable,
  isMember,
  initialState,
  endStatement,
  braceKind,
  declaredHere,
} from "./scannerState.ts";
import type { Frame, ScannerState } from "./scannerState.ts";

export interface ScannerSnapshot {
  readonly lexer: LexerSnapshot;
  readonly state: ScannerState;
}

/** Writes a colour into its channel and, where there are any, those behind it. */
export type WriteColour = (colour: number, out: Uint16Array, at: number) => void;

export class FactScanner implements TokenSink {
  readonly #env: Environment;
  readonly #spread: WriteColour;
  readonly #language: Language;
  readonly #lexer: Lexer;
  #s: ScannerState;

  constructor(
    path: string,
    lookup: FactLookup,
    colour: (identity: number) => number = colourOf,
    spread: WriteColour = (known, out, at) => {
      out[at] = known;
    },
  ) {
    this.#spread = spread;
    this.#language = languageOf(path);
    this.#env = { path, language: this.#language, lookup, colourOf: colour };
    this.#lexer = new Lexer(this.#language, this);
    this.#s = initialState();
  }

  /** What kind of token the last byte stands in: a MODE of the lexer. */
  get mode(): number {
    return this.#lexer.mode;
  }

  push(byte: number): void {
    const s = this.#s;
    if (s.deferred !== 0) {
      s.type = s.deferred;
      s.modifiers = 0;
      s.deferred = 0;
    }
    this.#lexer.push(byte);
  }

  /** Writes the facts after the last pushed byte, one number per channel, from `at` on. */
  write(out: Uint16Array, at: number): void {
    const s = this.#s;
    out[at] = s.type;
    out[at + 1] = s.modifiers;
    out[at + 2] = 1 + Math.min(s.frame.depth, MAX_DEPTH_BUCKET - 1);
    out[at + 3] = this.#scopeKind(s);
    this.#spread(s.colour, out, at + 4);
  }

  snapshot(): ScannerSnapshot {
    this.#s.declaredIsShared = true;
    return { lexer: this.#lexer.snapshot(), state: { ...this.#s } };
  }

  restore(snapshot: ScannerSnapshot): void {
    this.#lexer.restore(snapshot.lexer);
    this.#s = { ...snapshot.state };
  }

  #scopeKind(s: ScannerState): number {
    const mode = this.#lexer.mode;
    if (isStringMode(mode)) return SCOPE_KINDS.string;
    if (isCommentMode(mode)) return SCOPE_KINDS.comment;
    return s.importing ? SCOPE_KINDS.importList : s.frame.kind;
  }

  // What the lexer reports.

  word(name: string, next: number): boolean {
    const s = this.#s;
    const language = this.#language;
    const afterDot = s.previous === PREVIOUS.dot;
    if (!afterDot && language.keywords.has(name)) {
      const isName =
        language.contextual.has(name) && !s.statementBegins && s.previous !== PREVIOUS.keyword;
      if (!isName) {
        this.#keyword(s, name);
        return !REGEXP_NEVER_AFTER.has(name);
      }
    }
    this.#name(s, name, { afterDot, next });
    return false;
  }

  ended(type: number): void {
    const s = this.#s;
    s.type = type;
    s.modifiers = 0;
    s.deferred = 0;
    this.#literal(s, type);
  }

  closes(type: number): void {
    const s = this.#s;
    s.deferred = type;
    this.#literal(s, type);
  }

  operator(first: number, last: number, length: number): void {
    const s = this.#s;
    const isAssignment = first === EQUALS && length === 1;
    const isColonEquals = first === COLON && last === EQUALS && length === 2;
    if (last === GREATER && first === EQUALS && length === 2) arrowFollows(this.#env, s);
    else if (isAssignment) s.head = HEAD.none;
    const declares = this.#language.assignDeclares;
    if (
      declares === "equals" &&
      s.assignable &&
      (isAssignment || (first === COLON && length === 1))
    )
      assignmentFollows(this.#env, s);
    if (declares === "colonEquals" && isColonEquals && s.previous === PREVIOUS.name)
      declareName(this.#env, s, s.lastName, VARIABLE);
    // Generators, pointers and references stand between a declaring word and its name.
    const isPrefix = first === STAR || first === AMPERSAND;
    if (!isPrefix) {
      s.pending = null;
      s.parameterBegins = false;
    }
    s.tentative = false;
    s.statementBegins = false;
    s.assignable = false;
    s.lineFirst = false;
    s.previous = first === AT && length === 1 ? PREVIOUS.at : PREVIOUS.operator;
  }

  open(byte: number): void {
    const s = this.#s;
    let kind = s.frame.kind;
    let parameters = false;
    let head: number = s.head;
    const beginsItem = s.parameterBegins;
    let mayBeParameters = false;
    if (byte === PAREN) {
      if (s.tentative && s.previous === PREVIOUS.name) parametersFollow(this.#env, s);
      parameters = isCallable(s.pendingKind);
      head = parameters || s.previous === PREVIOUS.name ? HEAD.call : HEAD.none;
      if (s.previous === PREVIOUS.keyword) {
        // A dynamic import is an ordinary call.
        if (this.#language.regexps) s.importing = false;
        if (!parameters) head = HEAD.control;
      }
      const follows = s.previous === PREVIOUS.name || s.previous === PREVIOUS.closeParen;
      mayBeParameters = this.#language.regexps && !parameters && !follows;
    } else if (byte === BRACE) kind = braceKind(s, this.#language);
    else if (byte === BRACKET && this.#language.name === "json") kind = SCOPE_KINDS.array;
    if (s.frame.depth < MAX_DEPTH) {
      const isPattern = byte !== PAREN && byte !== TEMPLATE_OPEN;
      let binds = isPattern && s.previous === PREVIOUS.keyword ? s.pending : null;
      if (isPattern && beginsItem && s.frame.parameters) binds = PARAMETER;
      if (isPattern && beginsItem && s.frame.mayBeParameters) mayBeParameters = true;
      s.frame = {
        open: byte,
        kind,
        depth: s.frame.depth + 1,
        column: s.frame.column,
        parameters,
        binds,
        importing: s.importing,
        // A body uses up what its header announced; a list in the header does not.
        pendingKind: byte === BRACE ? 0 : s.pendingKind,
        pending: byte === PAREN ? s.pending : null,
        head,
        control: s.control,
        mayBeParameters,
        outerNames: s.names,
        parent: s.frame,
      };
    }
    if (byte === PAREN) s.names = null;
    s.closedNames = null;
    s.pendingKind = 0;
    s.pending = null;
    s.head = HEAD.none;
    s.parameterBegins = parameters || mayBeParameters;
    s.tentative = false;
    s.assignable = false;
    s.lineFirst = false;
    s.statementBegins = byte === BRACE;
    if (byte === BRACE) s.control = false;
    s.previous = PREVIOUS.open;
  }

  close(byte: number): void {
    const s = this.#s;
    s.assignable = false;
    s.tentative = false;
    s.lineFirst = false;
    s.parameterBegins = false;
    const open = byte === 41 ? PAREN : byte === 93 ? BRACKET : BRACE;
    let match: Frame | null = s.frame;
    for (let skipped = 0; match && skipped < MAX_UNCLOSED; skipped++) {
      if (match.open === open || (open === BRACE && match.open === TEMPLATE_OPEN)) break;
      match = match.parent;
    }
    if (match && (match.open === open || match.open === TEMPLATE_OPEN)) {
      s.frame = match.parent ?? ROOT;
      s.importing = match.importing;
      s.pendingKind = match.pendingKind;
      s.pending = match.pending;
      s.head = open === PAREN ? match.head : HEAD.none;
      s.control = open === BRACE ? false : match.control;
      if (open === PAREN) {
        s.closedNames = match.mayBeParameters ? s.names : null;
        s.names = match.outerNames;
      }
    }
    s.statementBegins = open === BRACE;
    s.previous = open === PAREN ? PREVIOUS.closeParen : PREVIOUS.closeOther;
  }

  separator(byte: number): void {
    const s = this.#s;
    if (byte === SEMICOLON) endStatement(s);
    else {
      s.tentative = false;
      s.head = HEAD.none;
      s.statementBegins = s.frame.kind === SCOPE_KINDS.enum;
      s.parameterBegins = s.frame.parameters || s.frame.mayBeParameters;
      s.closedNames = null;
    }
    s.assignable = false;
    s.previous = PREVIOUS.separator;
  }

  dot(): void {
    const s = this.#s;
    // Three dots before a parameter leave it at its place.
    if (s.previous === PREVIOUS.name) s.parameterBegins = false;
    s.statementBegins = false;
    s.tentative = false;
    s.previous = s.previous === PREVIOUS.open || s.parameterBegins ? s.previous : PREVIOUS.dot;
  }

  newline(): void {
    const s = this.#s;
    s.tentative = false;
    const open = s.frame.open;
    if (open === PAREN || open === BRACKET) return;
    if (s.importing && open === BRACE && s.frame.importing) return;
    if (this.#language.scopes === "brackets") {
      if (s.previous === PREVIOUS.operator || s.previous === PREVIOUS.dot) return;
      if (s.previous === PREVIOUS.separator || s.previous === PREVIOUS.open) return;
      if (s.previous === PREVIOUS.keyword && s.pending) return;
      // The body of a declaration may open on the next line.
      const { pendingKind, head } = s;
      endStatement(s);
      s.pendingKind = pendingKind;
      s.head = head;
      return;
    }
    const { pendingKind } = s;
    endStatement(s);
    s.pendingKind = pendingKind;
  }

  lineStart(column: number): void {
    const s = this.#s;
    s.lineFirst = true;
    if (this.#language.scopes === "brackets") return;
    let frame = s.frame;
    if (frame.open !== 0) return;
    while (frame.parent && frame.column > column) frame = frame.parent;
    if (column > frame.column && frame.depth < MAX_DEPTH)
      frame = {
        ...ROOT,
        kind: s.pendingKind || frame.kind,
        depth: frame.depth + 1,
        column,
        parent: frame,
      };
    s.frame = frame;
    s.pendingKind = 0;
  }

  // Statements and names.

  #literal(s: ScannerState, type: number): void {
    if (type !== TOKEN_TYPES.string && type !== TOKEN_TYPES.number && type !== TOKEN_TYPES.regexp)
      return;
    s.previous = PREVIOUS.literal;
    s.statementBegins = false;
    s.parameterBegins = false;
    s.assignable = false;
    s.tentative = false;
    s.lineFirst = false;
  }

  #keyword(s: ScannerState, name: string): void {
    const language = this.#language;
    s.type = TOKEN_TYPES.keyword;
    s.modifiers = 0;
    s.tentative = false;
    s.assignable = false;
    const isModifier = language.modifiers.has(name);
    const declares = language.declares.get(name);
    if (language.scopes === "indent" && s.lineFirst && declares?.kind) this.#leaveBrackets(s);
    if (!isModifier || declares) {
      if (s.statementBegins && language.imports.has(name)) s.importing = true;
      if (declares) {
        s.pending = s.importing ? null : declares;
        if (declares.kind === SCOPE_KINDS.function && hasMembers(s.frame.kind))
          s.pendingKind = SCOPE_KINDS.method;
        else if (declares.kind) s.pendingKind = declares.kind;
      } else {
        const scope = SCOPE_WORDS.get(name);
        if (scope !== undefined) s.pendingKind = scope;
        else if (s.statementBegins && CONTROL_WORDS.has(name)) s.control = true;
      }
      s.statementBegins = false;
    }
    s.lineFirst = false;
    s.previous = PREVIOUS.keyword;
  }

  #name(
    s: ScannerState,
    name: string,
    o: { readonly afterDot: boolean; readonly next: number },
  ): void {
    const { afterDot } = o;
    const declares = afterDot ? null : declaredHere(s, this.#language);
    const isSelfMember =
      afterDot && s.statementBegins === false && s.lastName === "self" && s.lineFirst;
    s.assignable =
      this.#language.assignDeclares === "equals" &&
      (isSelfMember || (s.statementBegins && !afterDot));
    const isKey =
      s.frame.kind === SCOPE_KINDS.object &&
      o.next === COLON &&
      (s.previous === PREVIOUS.open || s.previous === PREVIOUS.separator);
    if (s.frame.mayBeParameters && s.parameterBegins && !afterDot)
      s.names = { name, rest: s.names };
    if (declares && name !== "") {
      if (s.pending && declares.type === TOKEN_TYPES.variable) {
        s.bound = name;
        s.boundIn = s.frame;
      }
      declareName(this.#env, s, name, declares);
    } else if (isKey) {
      const fact = this.#env.lookup(name);
      s.type = TOKEN_TYPES.property;
      s.modifiers = 0;
      s.colour = isMember(fact & 31) ? fact >>> 9 : 0;
    } else {
      const decorates = s.previous === PREVIOUS.at;
      const fact = resolveName(this.#env, s, name, afterDot);
      s.type = decorates ? TOKEN_TYPES.decorator : fact & 31 || TOKEN_TYPES.identifier;
      s.modifiers = (fact >>> 5) & 15;
      s.colour = fact >>> 9;
      s.tentative = false;
    }
    if (s.previous === PREVIOUS.keyword || s.pending) s.pending = null;
    // "self" stays first on its line until the member after the dot is known.
    s.lineFirst = s.lineFirst && name === "self";
    s.statementBegins = false;
    s.parameterBegins = false;
    s.lastName = name;
    s.previous = PREVIOUS.name;
  }

  /** A line that begins with a declaring word is not inside brackets: one was left open above. */
  #leaveBrackets(s: ScannerState): void {
    while (s.frame.open !== 0 && s.frame.parent) s.frame = s.frame.parent;
  }
}
