/**
 * What the server asks the editor about one document: the editor's own providers know it already, so no
 * second language server is started. The server sends it, the extension answers from
 * `vscode.executeDocumentSymbolProvider`, `vscode.provideDocumentSemanticTokens(Legend)` and
 * `vscode.executeDefinitionProvider`; and what it offers at a cursor, from
 * `vscode.executeCompletionItemProvider`. Nothing here imports anything: both ends include this file.
 */

export interface DocumentFactsPosition {
  readonly line: number;
  /** UTF-16 units. */
  readonly character: number;
}

export interface DocumentFactsParams {
  readonly uri: string;
  /** After this time the answer is sent with what is there. */
  readonly budgetMs: number;
  /** Places whose definitions are wanted, most wanted first. */
  readonly definitionsAt: readonly DocumentFactsPosition[];
}

export interface DocumentFactsSymbol {
  readonly name: string;
  /** LSP SymbolKind, which is the editor's kind plus one. */
  readonly kind: number;
  readonly range: { readonly start: DocumentFactsPosition; readonly end: DocumentFactsPosition };
  readonly selectionRange: {
    readonly start: DocumentFactsPosition;
    readonly end: DocumentFactsPosition;
  };
  readonly children?: readonly DocumentFactsSymbol[];
}

export interface DocumentFactsDefinition {
  readonly uri: string;
  /** The name's own range, where the provider tells it. */
  readonly start: DocumentFactsPosition;
  readonly end: DocumentFactsPosition;
}

export interface DocumentFactsResult {
  readonly legend?: {
    readonly tokenTypes: readonly string[];
    readonly tokenModifiers: readonly string[];
  };
  /** LSP's relative encoding. */
  readonly semanticTokens?: readonly number[];
  /** Absent when no provider answered: not ready yet, or none. */
  readonly symbols?: readonly DocumentFactsSymbol[];
  /** As long as `definitionsAt` or shorter; null where nothing was found. */
  readonly definitions: readonly (DocumentFactsDefinition | null)[];
}

/** Server → client. The result is null when the document cannot be opened. */
export const DocumentFactsRequest = {
  method: "narrowgauge/documentFacts",
} as const satisfies { readonly method: `narrowgauge/${string}` };

export interface OfferedNamesParams {
  readonly uri: string;
  readonly position: DocumentFactsPosition;
  /** After this time the answer is null. */
  readonly budgetMs: number;
}

export interface OfferedItem {
  readonly label: string;
  /** What typing is compared with, where it is not the label. */
  readonly filterText?: string;
  /** What would be written, where it is not the label. */
  readonly insertText?: string;
  /** 1: that is a snippet, with placeholders. */
  readonly isSnippet?: 1;
  /** LSP CompletionItemKind, which is the editor's kind plus one; 0 where it is not told. */
  readonly kind: number;
  /** What the list is sorted by, where it is not the label. */
  readonly sortText?: string;
}

export interface OfferedNamesResult {
  readonly items: readonly OfferedItem[];
  /** More typing may bring other items. */
  readonly isIncomplete: boolean;
}

/** Server → client: what the language servers offer at a cursor; null where nothing came in time. */
export const OfferedNamesRequest = {
  method: "narrowgauge/offeredNames",
} as const satisfies { readonly method: `narrowgauge/${string}` };
