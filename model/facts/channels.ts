/**
 * What a fact is: one small id per byte and channel, 0 = unknown. The tables here are part of a trained
 * model's meaning, so ids are only ever added, never moved.
 * tokenType and tokenModifiers describe the last token that is known to have ended; scopeDepth and
 * scopeKind the place after the byte; colour the definition that the last identifier stands for.
 * Source of the rules against leaks: a fact at byte t is a function of bytes 0..t and of other files.
 */

export const FACT_CHANNELS = [
  { name: "tokenType", size: 32 },
  { name: "tokenModifiers", size: 16 },
  { name: "scopeDepth", size: 16 },
  { name: "scopeKind", size: 32 },
  { name: "colour", size: 4096 },
] as const;

export type FactChannelName = (typeof FACT_CHANNELS)[number]["name"];

export const N_FACT_CHANNELS = FACT_CHANNELS.length;

/** hash: every definition a colour of its own, but for collisions; spectral: related ones the same or a near one
 *  (colour.ts); both: the first, and the second's cell in a channel of its own; resolvent: the first, and those of its
 *  neighbours (nearColours.ts); off: none has any. */
export type ColourKind = "hash" | "spectral" | "both" | "resolvent" | "off";
export const COLOUR_KINDS: readonly ColourKind[] = ["hash", "spectral", "both", "resolvent", "off"];

/** Cells of the spectral colours. */
export const COLOUR_CELLS = 64;

/** Neighbours whose colours a definition shows besides its own. */
export const NEAR_COLOURS = 4;

export interface FactChannel {
  readonly name: string;
  readonly size: number;
  /** The channel whose table rows its ids name; absent: rows of its own. */
  readonly rowsOf?: FactChannelName;
}

const WITH_CELL: readonly FactChannel[] = [
  ...FACT_CHANNELS,
  { name: "cell", size: 1 + COLOUR_CELLS },
];

const WITH_NEAR: readonly FactChannel[] = [
  ...FACT_CHANNELS,
  ...Array.from({ length: NEAR_COLOURS }, (_, i) => ({
    name: `near${i}`,
    size: FACT_CHANNELS[4].size,
    rowsOf: "colour" as const,
  })),
];

/** The channels of a model with colours of this kind; the first are always the same. */
export function factChannels(kind: ColourKind = "hash"): readonly FactChannel[] {
  return kind === "both" ? WITH_CELL : kind === "resolvent" ? WITH_NEAR : FACT_CHANNELS;
}

export const factWidth = (kind?: ColourKind): number => factChannels(kind).length;

/** The standard LSP semantic token types and the lexer's own classes in one table, 1..31. */
export const TOKEN_TYPES = {
  namespace: 1,
  type: 2,
  class: 3,
  enum: 4,
  interface: 5,
  struct: 6,
  typeParameter: 7,
  parameter: 8,
  variable: 9,
  property: 10,
  enumMember: 11,
  event: 12,
  function: 13,
  method: 14,
  macro: 15,
  keyword: 16,
  modifier: 17,
  comment: 18,
  string: 19,
  number: 20,
  regexp: 21,
  operator: 22,
  decorator: 23,
  label: 24,
  punctuation: 25,
  /** A name of which nothing is known. */
  identifier: 26,
  bracketOpen: 27,
  bracketClose: 28,
  tag: 29,
  attribute: 30,
} as const;

export type TokenTypeName = keyof typeof TOKEN_TYPES;

/** Names that servers use beside the standard ones. */
const TOKEN_TYPE_ALIASES: ReadonlyMap<string, TokenTypeName> = new Map([
  ["member", "method"],
  ["module", "namespace"],
  ["selfParameter", "parameter"],
  ["clsParameter", "parameter"],
  ["builtinConstant", "variable"],
  ["builtinType", "type"],
  ["typeAlias", "type"],
  ["typeConcept", "type"],
  ["concept", "type"],
  ["union", "struct"],
  ["trait", "interface"],
  ["constant", "variable"],
  ["const", "variable"],
  ["static", "variable"],
  ["constParameter", "parameter"],
  ["field", "property"],
  ["constructor", "method"],
  ["annotation", "decorator"],
  ["attributeBracket", "decorator"],
  ["derive", "macro"],
  ["procMacro", "macro"],
  ["selfKeyword", "keyword"],
  ["selfTypeKeyword", "keyword"],
  ["boolean", "keyword"],
  ["character", "string"],
  ["lifetime", "label"],
  ["record", "class"],
  ["delegate", "type"],
  ["magicFunction", "function"],
  ["intrinsic", "keyword"],
] as const);

/** Id of a semantic token type by its legend name; 0 for a name that is not in the table. */
export function tokenTypeId(name: string): number {
  if (Object.hasOwn(TOKEN_TYPES, name)) return TOKEN_TYPES[name as TokenTypeName];
  const alias = TOKEN_TYPE_ALIASES.get(name);
  return alias === undefined ? 0 : TOKEN_TYPES[alias];
}

/** Modifiers are four flags; together they are the channel's id, and none set is 0. */
export const TOKEN_MODIFIERS = { declaration: 1, readonly: 2, static: 4, async: 8 } as const;

const MODIFIER_FLAGS: Readonly<Record<string, number>> = {
  declaration: TOKEN_MODIFIERS.declaration,
  definition: TOKEN_MODIFIERS.declaration,
  readonly: TOKEN_MODIFIERS.readonly,
  constant: TOKEN_MODIFIERS.readonly,
  static: TOKEN_MODIFIERS.static,
  abstract: TOKEN_MODIFIERS.static,
  classScope: TOKEN_MODIFIERS.static,
  async: TOKEN_MODIFIERS.async,
  // Rare together with async, and like it a thing to know at the place of use.
  defaultLibrary: TOKEN_MODIFIERS.async,
};

/** Flags of one modifier by its legend name; 0 for one that we do not carry. */
export function tokenModifierFlag(name: string): number {
  return Object.hasOwn(MODIFIER_FLAGS, name) ? MODIFIER_FLAGS[name]! : 0;
}

/** LSP SymbolKind numbers, and above them the lexer's own places. */
export const SCOPE_KINDS = {
  file: 1,
  module: 2,
  namespace: 3,
  class: 5,
  method: 6,
  property: 7,
  constructor: 9,
  enum: 10,
  interface: 11,
  function: 12,
  variable: 13,
  string: 15,
  array: 18,
  object: 19,
  struct: 23,
  typeParameter: 26,
  comment: 27,
  importList: 28,
  markup: 29,
} as const;

/** Token type of a name that was declared as a symbol of this LSP SymbolKind. */
const TYPE_OF_SYMBOL_KIND: readonly number[] = [
  0, // none
  TOKEN_TYPES.namespace, // File
  TOKEN_TYPES.namespace, // Module
  TOKEN_TYPES.namespace, // Namespace
  TOKEN_TYPES.namespace, // Package
  TOKEN_TYPES.class,
  TOKEN_TYPES.method,
  TOKEN_TYPES.property,
  TOKEN_TYPES.property, // Field
  TOKEN_TYPES.method, // Constructor
  TOKEN_TYPES.enum,
  TOKEN_TYPES.interface,
  TOKEN_TYPES.function,
  TOKEN_TYPES.variable,
  TOKEN_TYPES.variable, // Constant
  TOKEN_TYPES.string,
  TOKEN_TYPES.number,
  TOKEN_TYPES.keyword, // Boolean
  TOKEN_TYPES.variable, // Array
  TOKEN_TYPES.variable, // Object
  TOKEN_TYPES.property, // Key
  TOKEN_TYPES.keyword, // Null
  TOKEN_TYPES.enumMember,
  TOKEN_TYPES.struct,
  TOKEN_TYPES.event,
  TOKEN_TYPES.operator,
  TOKEN_TYPES.typeParameter,
];

export function tokenTypeOfSymbolKind(kind: number): number {
  return TYPE_OF_SYMBOL_KIND[kind] ?? 0;
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Identity of a definition: a 32-bit hash (FNV-1a) of "path#name", never 0. `path` is workspace-relative
 *  with '/', or the tail that `externalPath` of the server leaves for a file outside of the workspace.
 *  Lines and columns stay out, so that an edit above a definition does not rename it. */
export function identityOf(path: string, name: string): number {
  let hash = FNV_OFFSET;
  const key = `${path}#${name}`;
  for (let at = 0; at < key.length; at++) {
    const unit = key.charCodeAt(at);
    hash = Math.imul(hash ^ (unit & 0xff), FNV_PRIME);
    hash = Math.imul(hash ^ (unit >>> 8), FNV_PRIME);
  }
  return hash >>> 0 === 0 ? 1 : hash >>> 0;
}

/** Colour of an identity by its hash: 1..4095; 0 stays unknown. The lexicon decides whether this or a cell of the
 *  symbol graph (colour.ts) is used; nothing else in the encoder knows how a colour is chosen. */
export function colourOf(identity: number): number {
  if (identity === 0) return 0;
  const mixed = Math.imul(identity ^ (identity >>> 16), 0x45d9f3b);
  return 1 + (((mixed ^ (mixed >>> 15)) >>> 0) % (FACT_CHANNELS[4].size - 1));
}

/** tokenType | tokenModifiers << 5 | colour << 9; 0 = nothing known. A colour has 23 bits here; what of it goes into
 *  which channel is for the lexicon to say. */
export type PackedFact = number;

export function packFact(type: number, modifiers: number, colour: number): PackedFact {
  return type | (modifiers << 5) | (colour << 9);
}
