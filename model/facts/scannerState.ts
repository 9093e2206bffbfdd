/**
 * What the scanner remembers between bytes: the open scopes as a linked list that is never changed in place
 * (so that snapshots share it), and what the statement at hand has announced.
 */

import { FACT_CHANNELS, SCOPE_KINDS, TOKEN_TYPES } from "./channels.ts";
import type { PackedFact } from "./channels.ts";
import type { Declares, Language } from "./languages.ts";

export const PREVIOUS = {
  nothing: 0,
  name: 1,
  keyword: 2,
  closeParen: 3,
  closeOther: 4,
  dot: 5,
  operator: 6,
  open: 7,
  separator: 8,
  literal: 9,
  at: 10,
} as const;

/** What stands before '{': a call-like head, a control statement, an arrow. */
export const HEAD = { none: 0, call: 1, control: 2, arrow: 3 } as const;

export const PAREN = 40;
export const BRACKET = 91;
export const BRACE = 123;
export const SEMICOLON = 59;
export const EQUALS = 61;
export const COLON = 58;
export const AT = 64;
export const STAR = 42;
export const AMPERSAND = 38;
export const GREATER = 62;

/** Deeper nesting is not followed: it is not code. */
export const MAX_DEPTH = 256;
export const MAX_DEPTH_BUCKET = FACT_CHANNELS[2].size - 1;
/** How many unclosed brackets a closing one may end. */
export const MAX_UNCLOSED = 32;

export const PARAMETER: Declares = { type: TOKEN_TYPES.parameter, modifiers: 0, kind: 0 };
export const PROPERTY: Declares = { type: TOKEN_TYPES.property, modifiers: 0, kind: 0 };
export const VARIABLE: Declares = { type: TOKEN_TYPES.variable, modifiers: 0, kind: 0 };
export const ENUM_MEMBER: Declares = { type: TOKEN_TYPES.enumMember, modifiers: 0, kind: 0 };

/** Words that open a scope though they declare nothing themselves (Go's `type T struct`). */
export const SCOPE_WORDS: ReadonlyMap<string, number> = new Map([
  ["struct", SCOPE_KINDS.struct],
  ["interface", SCOPE_KINDS.interface],
  ["class", SCOPE_KINDS.class],
]);

export const REGEXP_NEVER_AFTER = new Set([
  "this",
  "super",
  "null",
  "true",
  "false",
  "undefined",
  "self",
]);

export interface Frame {
  /** The bracket's byte; 0 for a level of indentation. */
  readonly open: number;
  readonly kind: number;
  readonly depth: number;
  /** Column of the lines inside, for levels of indentation. */
  readonly column: number;
  readonly parameters: boolean;
  readonly binds: Declares | null;
  readonly importing: boolean;
  readonly pendingKind: number;
  readonly pending: Declares | null;
  readonly head: number;
  readonly control: boolean;
  /** A list that turns out to be parameters if an arrow follows it, or a pattern in such a list. */
  readonly mayBeParameters: boolean;
  /** Names of the enclosing such list so far. */
  readonly outerNames: NameList | null;
  readonly parent: Frame | null;
}

export interface NameList {
  readonly name: string;
  readonly rest: NameList | null;
}

export interface ScannerState {
  type: number;
  modifiers: number;
  colour: number;
  /** Type of a token that ended with the last byte; shows from the next byte on. */
  deferred: number;
  frame: Frame;
  pendingKind: number;
  pending: Declares | null;
  head: number;
  statementBegins: boolean;
  control: boolean;
  importing: boolean;
  previous: number;
  parameterBegins: boolean;
  /** The last name may yet turn out to be a method or an assigned variable. */
  tentative: boolean;
  assignable: boolean;
  lineFirst: boolean;
  lastName: string;
  /** Names of the list at hand, and of the one that was closed last, that an arrow makes parameters. */
  names: NameList | null;
  closedNames: NameList | null;
  /** A variable being declared, and where: an arrow makes it a function. */
  bound: string;
  boundIn: Frame;
  /** Names declared so far. Shared with snapshots until the next declaration. */
  declared: Map<string, PackedFact>;
  declaredIsShared: boolean;
}

export const ROOT: Frame = {
  open: 0,
  kind: SCOPE_KINDS.file,
  depth: 0,
  column: 0,
  parameters: false,
  binds: null,
  importing: false,
  pendingKind: 0,
  pending: null,
  head: HEAD.none,
  control: false,
  mayBeParameters: false,
  outerNames: null,
  parent: null,
};

export const hasMembers = (kind: number): boolean =>
  kind === SCOPE_KINDS.class ||
  kind === SCOPE_KINDS.interface ||
  kind === SCOPE_KINDS.struct ||
  kind === SCOPE_KINDS.enum;

export const isCallable = (kind: number): boolean =>
  kind === SCOPE_KINDS.function || kind === SCOPE_KINDS.method || kind === SCOPE_KINDS.constructor;

/** Stands behind a dot, as a rule. */
export const isMemberType = (type: number): boolean =>
  type === TOKEN_TYPES.method || type === TOKEN_TYPES.property || type === TOKEN_TYPES.enumMember;

export const isMember = (type: number): boolean =>
  type === TOKEN_TYPES.method ||
  type === TOKEN_TYPES.property ||
  type === TOKEN_TYPES.enumMember ||
  type === TOKEN_TYPES.function ||
  type === TOKEN_TYPES.class;

/** Before the first byte. */
export function initialState(): ScannerState {
  return {
    type: 0,
    modifiers: 0,
    colour: 0,
    deferred: 0,
    frame: ROOT,
    pendingKind: 0,
    pending: null,
    head: HEAD.none,
    statementBegins: true,
    control: false,
    importing: false,
    previous: PREVIOUS.nothing,
    parameterBegins: false,
    tentative: false,
    assignable: false,
    lineFirst: true,
    lastName: "",
    names: null,
    closedNames: null,
    bound: "",
    boundIn: ROOT,
    declared: new Map(),
    declaredIsShared: false,
  };
}

/** A statement is over: what it announced is void. */
export function endStatement(s: ScannerState): void {
  s.statementBegins = true;
  s.control = false;
  s.importing = false;
  s.pendingKind = 0;
  s.pending = null;
  s.head = HEAD.none;
  s.tentative = false;
  s.assignable = false;
  s.closedNames = null;
  s.bound = "";
}

/** Kind of the scope that a "{" opens, from what its statement has said so far. */
export function braceKind(s: ScannerState, language: Language): number {
  if (language.name === "json") return SCOPE_KINDS.object;
  if (s.pendingKind !== 0) return s.pendingKind;
  if (s.head === HEAD.arrow && s.previous === PREVIOUS.operator) return SCOPE_KINDS.function;
  const { kind } = s.frame;
  if (s.head === HEAD.call && !s.control && language.memberNames)
    return hasMembers(kind) || kind === SCOPE_KINDS.object ? SCOPE_KINDS.method : kind;
  const isValue =
    s.previous === PREVIOUS.operator ||
    s.previous === PREVIOUS.open ||
    s.previous === PREVIOUS.separator ||
    (s.previous === PREVIOUS.keyword && s.control);
  if (isValue && !s.importing && !s.statementBegins && language.regexps) return SCOPE_KINDS.object;
  return kind;
}

/** What the name at hand declares by its place, if anything. */
export function declaredHere(s: ScannerState, language: Language): Declares | null {
  if (s.importing) return null;
  const { frame } = s;
  if (s.pending)
    return s.pendingKind === SCOPE_KINDS.method && s.pending.type === TOKEN_TYPES.function
      ? { ...s.pending, type: TOKEN_TYPES.method }
      : s.pending;
  if (frame.binds) return frame.binds;
  const { typeFirst, memberNames } = language;
  if (frame.parameters) {
    if (typeFirst) return s.previous === PREVIOUS.name ? PARAMETER : null;
    return s.parameterBegins ? PARAMETER : null;
  }
  if (frame.open === BRACE && s.statementBegins) {
    if (frame.kind === SCOPE_KINDS.enum) return ENUM_MEMBER;
    if (memberNames && hasMembers(frame.kind)) {
      s.tentative = true;
      return PROPERTY;
    }
  }
  const isTyped =
    s.previous === PREVIOUS.name ||
    (s.previous === PREVIOUS.keyword && !s.control && !s.statementBegins && s.pendingKind === 0);
  if (typeFirst && isTyped && !s.control && frame.open !== PAREN && frame.open !== BRACKET) {
    s.tentative = true;
    return hasMembers(frame.kind) ? PROPERTY : VARIABLE;
  }
  return null;
}
