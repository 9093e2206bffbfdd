/**
 * What names stand for: declarations as the scanner meets them, and look-ups for all other names. A later
 * declaration replaces an earlier one; scopes that close do not bring it back.
 */

import { identityOf, packFact, SCOPE_KINDS, TOKEN_MODIFIERS, TOKEN_TYPES } from "./channels.ts";
import type { PackedFact } from "./channels.ts";
import type { Declares, Language } from "./languages.ts";
import {
  HEAD,
  hasMembers,
  isCallable,
  isMember,
  PARAMETER,
  PREVIOUS,
  PROPERTY,
  VARIABLE,
} from "./scannerState.ts";
import type { ScannerState } from "./scannerState.ts";

/** What other files say of a name; 0 = nothing. */
export type FactLookup = (name: string) => PackedFact;

export interface Environment {
  readonly path: string;
  readonly language: Language;
  readonly lookup: FactLookup;
  /** Colour of a definition's identity. */
  readonly colourOf: (identity: number) => number;
}

/** From here on the name stands for this; shows it at once. */
export function declareName(
  env: Environment,
  s: ScannerState,
  name: string,
  declares: Declares,
): void {
  const { kind } = s.frame;
  const isLocal = isCallable(kind) || declares.type === TOKEN_TYPES.parameter;
  // A local name means nothing in other files, so it has no colour of its own.
  const colour = isLocal ? 0 : env.colourOf(identityOf(env.path, name));
  if (s.declaredIsShared) {
    s.declared = new Map(s.declared);
    s.declaredIsShared = false;
  }
  s.declared.set(name, packFact(declares.type, declares.modifiers, colour));
  s.type = declares.type;
  s.modifiers = declares.modifiers | TOKEN_MODIFIERS.declaration;
  s.colour = colour;
}

/** "=>": what stands before it were parameters, and what it is assigned to is a function. */
export function arrowFollows(env: Environment, s: ScannerState): void {
  s.head = HEAD.arrow;
  if (!env.language.regexps) return;
  const { colour } = s;
  if (s.closedNames === null && s.previous === PREVIOUS.name)
    declareName(env, s, s.lastName, PARAMETER);
  for (let names = s.closedNames; names; names = names.rest)
    if (names.name !== "") declareName(env, s, names.name, PARAMETER);
  s.closedNames = null;
  if (s.bound !== "" && s.boundIn === s.frame) {
    const modifiers = TOKEN_MODIFIERS.readonly;
    declareName(env, s, s.bound, { type: TOKEN_TYPES.function, modifiers, kind: 0 });
    s.bound = "";
  }
  // Only names to come learn of this.
  s.colour = colour;
}

/** "name =" or "name :" at the start of a statement. */
export function assignmentFollows(env: Environment, s: ScannerState): void {
  if (s.lastName === "" || s.declared.has(s.lastName)) return;
  const { type, modifiers, colour } = s;
  const isMember = hasMembers(s.frame.kind) || s.previous === PREVIOUS.dot;
  declareName(env, s, s.lastName, isMember ? PROPERTY : VARIABLE);
  // The operator's own class is about to show; only names to come learn of this.
  s.type = type;
  s.modifiers = modifiers;
  s.colour = s.colour || colour;
}

/** "name(" where a member or a typed name was declared. */
export function parametersFollow(env: Environment, s: ScannerState): void {
  const isMethod = hasMembers(s.frame.kind);
  s.pendingKind = isMethod
    ? s.lastName === "constructor"
      ? SCOPE_KINDS.constructor
      : SCOPE_KINDS.method
    : SCOPE_KINDS.function;
  const type = isMethod ? TOKEN_TYPES.method : TOKEN_TYPES.function;
  declareName(env, s, s.lastName, { type, modifiers: 0, kind: s.pendingKind });
}

/** What a name that declares nothing stands for: here, else in other files. */
export function resolveName(
  env: Environment,
  s: ScannerState,
  name: string,
  afterDot: boolean,
): PackedFact {
  if (name === "") return 0;
  const here = s.declared.get(name) ?? 0;
  if (here !== 0 && (!afterDot || isMember(here & 31))) return here;
  const there = env.lookup(name);
  if (!afterDot || !env.language.regexps) return there || here;
  // A variable of this name is something else than the member asked for.
  const type = there & 31;
  const isOther = type === TOKEN_TYPES.variable || type === TOKEN_TYPES.parameter;
  return isOther ? packFact(TOKEN_TYPES.property, 0, 0) : there;
}
