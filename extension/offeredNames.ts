/**
 * Answers the server's question what this editor's language servers offer at a cursor. They are asked as the suggestion
 * list asks them; what does not come within the budget is not waited for, and no question ever fails.
 */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import {
  OfferedNamesRequest,
  type OfferedItem,
  type OfferedNamesParams,
  type OfferedNamesResult,
} from "../server/protocol.ts";

/** Longer lists hold everything that can be imported, and say little. */
const MAX_ITEMS = 2000;

export function answerOfferedNames(client: LanguageClient): void {
  client.onRequest(OfferedNamesRequest.method, async (params: OfferedNamesParams) => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), params.budgetMs);
    });
    try {
      return await Promise.race([offered(params), late]);
    } catch {
      // A provider's failure is its own affair.
      return null;
    } finally {
      clearTimeout(timer);
    }
  });
}

async function offered(params: OfferedNamesParams): Promise<OfferedNamesResult | null> {
  const list = await vscode.commands.executeCommand<vscode.CompletionList | undefined>(
    "vscode.executeCompletionItemProvider",
    vscode.Uri.parse(params.uri),
    new vscode.Position(params.position.line, params.position.character),
  );
  if (list === undefined) return null;
  const items = list.items.slice(0, MAX_ITEMS).map((item) => ({
    label: typeof item.label === "string" ? item.label : item.label.label,
    ...(item.filterText === undefined ? {} : { filterText: item.filterText }),
    ...written(item.insertText),
    kind: item.kind === undefined ? 0 : item.kind + 1,
    ...(item.sortText === undefined ? {} : { sortText: item.sortText }),
  }));
  return { items, isIncomplete: list.isIncomplete === true || list.items.length > MAX_ITEMS };
}

function written(
  text: string | vscode.SnippetString | undefined,
): Partial<Pick<OfferedItem, "insertText" | "isSnippet">> {
  if (text === undefined) return {};
  return typeof text === "string" ? { insertText: text } : { insertText: text.value, isSnippet: 1 };
}
