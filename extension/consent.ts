/**
 * Asks once per workspace before the first training: what would be read, how much, what is left out and why.
 * The answer is remembered in the workspace's own state; "Not now" is not an answer and is not remembered.
 */
import * as vscode from "vscode";
import {
  CorpusListingRequest,
  CorpusPreviewRequest,
  type CorpusPreview,
} from "../server/protocol.ts";
import type { Client } from "./client.ts";
import { size } from "./stateText.ts";

const KEY = "consentedToTraining";
const SHOWN_REASONS = 8;

const TRAIN = "Train";
const SHOW_LIST = "Show list";
const NOT_NOW: vscode.MessageItem = { title: "Not now", isCloseAffordance: true };

/** The list is a read-only document of our own: closing it asks nothing. */
const LIST = vscode.Uri.parse("narrowgauge-list:/Files for training.txt");
const listChanged = new vscode.EventEmitter<vscode.Uri>();
let shownList = "";

export function registerList(): vscode.Disposable {
  return vscode.workspace.registerTextDocumentContentProvider(LIST.scheme, {
    onDidChange: listChanged.event,
    provideTextDocumentContent: () => shownList,
  });
}

export function hasConsent(context: vscode.ExtensionContext): boolean {
  return context.workspaceState.get<boolean>(KEY, false);
}

/** Resolves to true when training may start. */
export async function askConsent(
  context: vscode.ExtensionContext,
  client: Client,
): Promise<boolean> {
  if (hasConsent(context)) return true;
  const preview = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Window, title: "Narrowgauge: looking at the files" },
    () => client.request(CorpusPreviewRequest, {}),
  );
  const question = "Train a model on this workspace?";
  let answer = await vscode.window.showInformationMessage<vscode.MessageItem>(
    question,
    { modal: true, detail: describe(preview) },
    { title: TRAIN },
    { title: SHOW_LIST },
    NOT_NOW,
  );
  if (answer?.title === SHOW_LIST) {
    await showList(client);
    // Not modal this time, so that the list can be read before answering.
    answer = await vscode.window.showInformationMessage<vscode.MessageItem>(
      `${question} ${summary(preview)}`,
      { title: TRAIN },
      NOT_NOW,
    );
  }
  if (answer?.title !== TRAIN) return false;
  await context.workspaceState.update(KEY, true);
  return true;
}

export function describe(preview: CorpusPreview): string {
  const shown = preview.leftOut.slice(0, SHOWN_REASONS);
  const rest = preview.leftOut.slice(SHOWN_REASONS).reduce((sum, one) => sum + one.files, 0);
  return [
    summary(preview),
    "Training happens on this computer, and nothing leaves it.",
    ...(shown.length === 0
      ? ["Nothing is left out."]
      : [
          [
            "Left out:",
            ...shown.map(
              (one) =>
                `• ${one.files} × ${one.reason}${one.sizeBytes > 0 ? ` (${size(one.sizeBytes)})` : ""}`,
            ),
            ...(rest > 0 ? [`• ${rest} × other reasons`] : []),
          ].join("\n"),
        ]),
  ].join("\n\n");
}

function summary(preview: CorpusPreview): string {
  return `${preview.files} ${preview.files === 1 ? "file" : "files"}, ${size(preview.sizeBytes)}, would be read.`;
}

async function showList(client: Client): Promise<void> {
  const { text } = await client.request(CorpusListingRequest, {});
  shownList = text;
  listChanged.fire(LIST);
  const document = await vscode.workspace.openTextDocument(LIST);
  await vscode.window.showTextDocument(document, { preview: true });
}
