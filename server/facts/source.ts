/**
 * What is asked of anything that knows code: the editor's own providers, a language server that we spawned,
 * or a parser. All answers take one form, so that the lexicon and the query engine do not see where they
 * came from. A source may know less than asked; it may never make the caller wait past its deadline.
 */

export interface SourceFile {
  /** Workspace-relative, separators are '/'. */
  readonly path: string;
  readonly absolutePath: string;
  readonly bytes: Uint8Array;
  readonly languageId: string;
}

/** Where a name is defined: `path` as in SourceFile, or the tail of a path outside of the workspace. */
export interface DefinitionPlace {
  readonly path: string;
  readonly name: string;
}

/** One meaning of one name in one file. */
export interface IdentifierEvidence {
  readonly name: string;
  /** Ids and flags of the model's fact tables; 0 = not known. */
  readonly tokenType: number;
  readonly modifiers: number;
  readonly definition: DefinitionPlace | undefined;
  readonly count: number;
}

/** Lines and characters are zero-based, characters in UTF-16 units, as in LSP. */
export interface SymbolEntry {
  readonly name: string;
  /** LSP SymbolKind. */
  readonly kind: number;
  /** Names of the enclosing symbols, outermost first, joined with '.'. */
  readonly container: string | undefined;
  readonly path: string;
  readonly startLine: number;
  readonly startCharacter: number;
  readonly endLine: number;
  /** Inside a function or method: not to be seen from other files. */
  readonly local?: true;
}

export type SymbolTable = SymbolEntry[];

export interface FileEvidence {
  readonly identifiers: readonly IdentifierEvidence[];
  readonly symbols: readonly SymbolEntry[];
  /** Identifiers asked about, and of these resolved to a definition. */
  readonly asked: number;
  readonly resolved: number;
}

/** What a source may spend on one file. */
export interface EvidenceBudget {
  /** By performance.now(). Until here the source may ask about names; after it, it returns what it has. */
  readonly deadline: number;
  /** Until here it may wait for the file's symbols and tokens: to give up on these wastes a server's work. */
  readonly patience: number;
  /** Most definitions to ask for. */
  readonly definitions: number;
  /** Higher first: names that many files use are worth more. 0: not worth a question in this file. */
  priority(name: string): number;
  /** Called for each name that the source asks about. */
  asked(name: string): void;
}

export interface FactSource {
  /** For people: "typescript-language-server", "tree-sitter". */
  readonly name: string;
  /** How many files it likes to be told of at once, by `prepare`, before it is asked about each. */
  readonly batch?: number;
  prepare?(files: readonly SourceFile[]): void;
  /** Undefined when nothing can be said. Rejects with SourceGone when no file will ever be answered again. */
  evidence(
    file: SourceFile,
    budget: EvidenceBudget,
    signal: AbortSignal,
  ): Promise<FileEvidence | undefined>;
  dispose(): Promise<void>;
}

/** The source has stopped for good: the server died, or hangs. The message is the reason for people. */
export class SourceGone extends Error {
  override readonly name = "SourceGone";
}
