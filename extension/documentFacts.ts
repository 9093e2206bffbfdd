/**
 * Answers the server's questions about what this editor's language servers know of a document: symbols, semantic
 * tokens and the definitions of some positions, within the budget the server sets. What a provider does not give
 * in time is left out; no question ever fails.
 */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import {
  DocumentFactsRequest,
  type DocumentFactsDefinition,
  type DocumentFactsParams,
  type DocumentFactsResult,
  type DocumentFactsSymbol,
} from "../server/protocol.ts";
import type { Log } from "./log.ts";

/** Definitions asked for at the same time; language servers answer one after the other anyway. */
const PARALLEL_DEFINITIONS = 8;

export function answerDocumentFacts(client: LanguageClient, log: Log): void {
  client.onRequest(DocumentFactsRequest.method, async (params: DocumentFactsParams) => {
    try {
      return await factsOf(params);
    } catch (error) {
      log.write("debug", "editor", "a document could not be asked about", {
        uri: params.uri,
        error: String(error),
      });
      return null;
    }
  });
}

async function factsOf(params: DocumentFactsParams): Promise<DocumentFactsResult | null> {
  const until = Date.now() + params.budgetMs;
  const uri = vscode.Uri.parse(params.uri);
  const document = await within(until, vscode.workspace.openTextDocument(uri));
  if (document === undefined) return null;
  const [symbols, legend, tokens] = await Promise.all([
    ask<(vscode.DocumentSymbol | vscode.SymbolInformation)[]>(
      until,
      "vscode.executeDocumentSymbolProvider",
      uri,
    ),
    ask<vscode.SemanticTokensLegend>(until, "vscode.provideDocumentSemanticTokensLegend", uri),
    ask<vscode.SemanticTokens>(until, "vscode.provideDocumentSemanticTokens", uri),
  ]);
  // A silent editor is not asked for hundreds of definitions.
  const awake = symbols !== undefined || tokens !== undefined;
  const definitions = awake ? await definitionsAt(until, uri, params.definitionsAt) : [];
  return {
    definitions,
    ...(symbols === undefined ? {} : { symbols: symbols.filter(isNested).map(symbolOf) }),
    ...(legend === undefined || tokens === undefined
      ? {}
      : {
          legend: {
            tokenTypes: [...legend.tokenTypes],
            tokenModifiers: [...legend.tokenModifiers],
          },
          semanticTokens: [...tokens.data],
        }),
  };
}

async function definitionsAt(
  until: number,
  uri: vscode.Uri,
  places: DocumentFactsParams["definitionsAt"],
): Promise<(DocumentFactsDefinition | null)[]> {
  const found: (DocumentFactsDefinition | null)[] = [];
  for (let first = 0; first < places.length && Date.now() < until; first += PARALLEL_DEFINITIONS) {
    const answers = await Promise.all(
      places
        .slice(first, first + PARALLEL_DEFINITIONS)
        .map((place) =>
          ask<(vscode.Location | vscode.LocationLink)[]>(
            until,
            "vscode.executeDefinitionProvider",
            uri,
            new vscode.Position(place.line, place.character),
          ),
        ),
    );
    found.push(...answers.map((locations) => definitionOf(locations?.[0])));
  }
  return found;
}

function definitionOf(
  location: vscode.Location | vscode.LocationLink | undefined,
): DocumentFactsDefinition | null {
  if (location === undefined) return null;
  const [uri, range] =
    "targetUri" in location
      ? [location.targetUri, location.targetSelectionRange ?? location.targetRange]
      : [location.uri, location.range];
  return { uri: uri.toString(), start: plain(range.start), end: plain(range.end) };
}

/** Flat symbol lists say nothing about nesting and come from few old providers; they are passed over. */
function isNested(
  symbol: vscode.DocumentSymbol | vscode.SymbolInformation,
): symbol is vscode.DocumentSymbol {
  return "selectionRange" in symbol;
}

function symbolOf(symbol: vscode.DocumentSymbol): DocumentFactsSymbol {
  return {
    name: symbol.name,
    // The editor counts kinds from zero, LSP from one.
    kind: symbol.kind + 1,
    range: { start: plain(symbol.range.start), end: plain(symbol.range.end) },
    selectionRange: {
      start: plain(symbol.selectionRange.start),
      end: plain(symbol.selectionRange.end),
    },
    children: symbol.children.map(symbolOf),
  };
}

function plain(position: vscode.Position): { line: number; character: number } {
  return { line: position.line, character: position.character };
}

async function ask<T>(until: number, command: string, ...args: unknown[]): Promise<T | undefined> {
  try {
    return await within(until, vscode.commands.executeCommand<T | undefined>(command, ...args));
  } catch {
    // A provider's failure is its own affair.
    return undefined;
  }
}

async function within<T>(until: number, work: Thenable<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), Math.max(0, until - Date.now()));
  });
  try {
    return (await Promise.race([work, late])) ?? undefined;
  } finally {
    clearTimeout(timer);
  }
}
