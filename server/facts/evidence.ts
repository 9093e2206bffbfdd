/**
 * From what a language server answers (semantic tokens, symbols, definitions) to evidence about names. The
 * same for a server that we spawned and for the editor's providers: only the asking differs.
 */

import { fileURLToPath } from "node:url";
import { relative } from "node:path";
import {
  TOKEN_MODIFIERS,
  tokenModifierFlag,
  tokenTypeId,
  tokenTypeOfSymbolKind,
} from "../../model/index.ts";
import { wordsOf } from "../../model/index.ts";
import type {
  DefinitionPlace,
  EvidenceBudget,
  FileEvidence,
  IdentifierEvidence,
  SourceFile,
  SymbolEntry,
} from "./source.ts";
import { TextPositions } from "./textPositions.ts";

export interface Position {
  readonly line: number;
  readonly character: number;
}

export interface Legend {
  readonly tokenTypes: readonly string[];
  readonly tokenModifiers: readonly string[];
}

/** One meaning of a name: the places where the server says the same of it. */
export interface NameGroup {
  readonly name: string;
  readonly tokenType: number;
  readonly modifiers: number;
  readonly count: number;
  /** The best place to ask at: a use rather than the declaration, where the two can be told apart. */
  readonly askAt: Position;
  /** Every place is a declaration, so there is nothing to ask. */
  readonly isDeclaration: boolean;
}

const key = (line: number, character: number): number => line * 65_536 + character;

/** LSP's relative token encoding to type and flags by place. Unknown types are left out. */
export function decodeTokens(
  legend: Legend,
  data: ArrayLike<number>,
): Map<number, { type: number; modifiers: number }> {
  const types = legend.tokenTypes.map(tokenTypeId);
  const flags = legend.tokenModifiers.map(tokenModifierFlag);
  const tokens = new Map<number, { type: number; modifiers: number }>();
  let line = 0;
  let character = 0;
  for (let at = 0; at + 4 < data.length; at += 5) {
    if (data[at]! > 0) character = 0;
    line += data[at]!;
    character += data[at + 1]!;
    const type = types[data[at + 3]!] ?? 0;
    if (type === 0) continue;
    let modifiers = 0;
    flags.forEach((flag, bit) => {
      if ((data[at + 4]! >>> bit) & 1) modifiers |= flag;
    });
    tokens.set(key(line, character), { type, modifiers });
  }
  return tokens;
}

/** The names of a file grouped by meaning, most wanted first. */
export function groupNames(
  file: SourceFile,
  tokens: ReadonlyMap<number, { type: number; modifiers: number }> | undefined,
  symbols: readonly SymbolEntry[],
  budget: Pick<EvidenceBudget, "priority">,
): NameGroup[] {
  const positions = new TextPositions(file.bytes);
  const groups = new Map<string, { -readonly [K in keyof NameGroup]: NameGroup[K] }>();
  const declared = new Map(symbols.map((s) => [key(s.startLine, s.startCharacter), s.kind]));
  for (const word of wordsOf(file.path, file.bytes)) {
    const at = { line: word.line, character: positions.character(word.line, word.column) };
    const token = tokens?.get(key(at.line, at.character));
    const kind = declared.get(key(at.line, at.character));
    const type = token?.type ?? (kind === undefined ? 0 : tokenTypeOfSymbolKind(kind));
    const modifiers = (token?.modifiers ?? 0) & ~TOKEN_MODIFIERS.declaration;
    const isDeclaration =
      kind !== undefined || ((token?.modifiers ?? 0) & TOKEN_MODIFIERS.declaration) !== 0;
    // Without tokens all places of a name are taken for one thing; the declaration gives its type.
    const id = tokens ? `${word.name} ${type} ${modifiers}` : word.name;
    const group = groups.get(id);
    if (!group) {
      groups.set(id, {
        name: word.name,
        tokenType: type,
        modifiers,
        count: 1,
        askAt: at,
        isDeclaration,
      });
      continue;
    }
    group.count++;
    if (group.tokenType === 0) group.tokenType = type;
    if (group.isDeclaration || !isDeclaration) {
      group.isDeclaration &&= isDeclaration;
      group.askAt = at;
    }
  }
  return [...groups.values()].sort(
    (a, b) => budget.priority(b.name) - budget.priority(a.name) || b.count - a.count,
  );
}

/** Path as the lexicon knows it: relative to the root, or the telling tail of a path outside of it. */
export function placePath(uri: string, root: string): string | undefined {
  if (!uri.startsWith("file:")) return undefined;
  let absolute: string;
  try {
    absolute = fileURLToPath(uri);
  } catch {
    return undefined;
  }
  const inside = relative(root, absolute).replaceAll("\\", "/");
  if (inside !== "" && !inside.startsWith("../") && !/^[a-z]:/i.test(inside)) {
    const modules = inside.lastIndexOf("node_modules/");
    return modules < 0 ? inside : inside.slice(modules);
  }
  return externalPath(absolute.replaceAll("\\", "/"));
}

/** The part of a library's path that is the same on every machine. */
export function externalPath(path: string): string {
  for (const mark of [
    "/node_modules/",
    "/typeshed-fallback/",
    "/site-packages/",
    "/registry/src/",
  ]) {
    const at = path.lastIndexOf(mark);
    if (at >= 0) return `external/${path.slice(at + mark.length)}`;
  }
  return `external/${path.split("/").slice(-2).join("/")}`;
}

const NAME = /^[\p{L}_$][\p{L}\p{N}_$]*/u;

/** Name of the thing defined at a place: the word there, or `asked` where a place has no word of its own. */
export function nameAt(
  text: TextPositions | undefined,
  at: Position,
  end: Position,
  asked: string,
): string {
  if (!text || (at.line === end.line && at.character === end.character)) return asked;
  // A range over several lines is a whole body, not a name.
  if (at.line !== end.line) return asked;
  const found = NAME.exec(text.lineText(at.line).slice(at.character))?.[0];
  return found === undefined || found.length !== end.character - at.character ? asked : found;
}

export interface Resolution {
  readonly definition: DefinitionPlace | undefined;
  /** From a hover, where there are no tokens. */
  readonly tokenType?: number;
  readonly modifiers?: number;
}

export function buildEvidence(o: {
  readonly file: SourceFile;
  readonly groups: readonly NameGroup[];
  readonly symbols: readonly SymbolEntry[];
  readonly resolutions: ReadonlyMap<NameGroup, Resolution>;
}): FileEvidence {
  const merged = new Map<string, IdentifierEvidence>();
  let resolved = 0;
  for (const group of o.groups) {
    const resolution = o.resolutions.get(group);
    const definition =
      resolution?.definition ??
      (group.isDeclaration ? { path: o.file.path, name: group.name } : undefined);
    if (resolution?.definition) resolved++;
    const tokenType = group.tokenType || (resolution?.tokenType ?? 0);
    if (tokenType === 0 && !definition) continue;
    const modifiers = group.modifiers | (resolution?.modifiers ?? 0);
    const id = `${group.name} ${tokenType} ${modifiers} ${definition?.path} ${definition?.name}`;
    const count = (merged.get(id)?.count ?? 0) + group.count;
    merged.set(id, { name: group.name, tokenType, modifiers, definition, count });
  }
  return {
    identifiers: [...merged.values()],
    symbols: o.symbols,
    asked: o.resolutions.size,
    resolved,
  };
}

/** LSP's DocumentSymbol tree or SymbolInformation list. */
export interface RawSymbol {
  readonly name: string;
  readonly kind: number;
  readonly range?: { readonly start: Position; readonly end: Position };
  readonly selectionRange?: { readonly start: Position; readonly end: Position };
  readonly location?: { readonly range: { readonly start: Position; readonly end: Position } };
  readonly containerName?: string;
  readonly children?: readonly RawSymbol[];
}

const FUNCTION_KINDS = new Set([6, 9, 12]);
const MAX_SYMBOLS_PER_FILE = 5000;

/** Flattens symbols, outermost first. Names with signatures ("get(url)") are cut to the name. */
export function flattenSymbols(path: string, symbols: readonly RawSymbol[]): SymbolEntry[] {
  const result: SymbolEntry[] = [];
  const visit = (symbol: RawSymbol, container: string | undefined, isLocal: boolean): void => {
    const range = symbol.range ?? symbol.location?.range;
    if (!range || result.length >= MAX_SYMBOLS_PER_FILE) return;
    const at = symbol.selectionRange?.start ?? range.start;
    const name = /^[^\s(<]+/.exec(symbol.name)?.[0];
    // Servers name callbacks too: "map() callback", "<function>". They are places without a name.
    const isNamed = name !== undefined && !symbol.name.endsWith(" callback");
    if (isNamed)
      result.push({
        name,
        kind: symbol.kind,
        container: container ?? symbol.containerName,
        path,
        startLine: at.line,
        startCharacter: at.character,
        endLine: range.end.line,
        ...(isLocal ? { local: true as const } : {}),
      });
    const inside = isNamed ? (container ? `${container}.${name}` : name) : container;
    const isInsideLocal = isLocal || FUNCTION_KINDS.has(symbol.kind);
    for (const child of symbol.children ?? []) visit(child, inside, isInsideLocal);
  };
  for (const symbol of symbols) visit(symbol, undefined, false);
  return result;
}
