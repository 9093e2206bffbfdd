/**
 * Query Codebase: a quick pick with live results. Each keystroke replaces the request before it; arrows preview a
 * place without leaving the box, Enter opens it, Escape goes back to where one was.
 */
import * as vscode from "vscode";
import { QueryRequest, type QueryHit } from "../server/protocol.ts";
import type { Client } from "./client.ts";
import type { Log } from "./log.ts";
import { cellAtLine } from "./notebookPlace.ts";

const DEBOUNCE_MS = 120;
const LIMIT = 50;

interface HitItem extends vscode.QuickPickItem {
  readonly hit?: QueryHit;
}

const ICONS: Readonly<Record<QueryHit["kind"], string>> = {
  definition: "symbol-class",
  reference: "references",
  symbol: "symbol-method",
  text: "search",
  meaning: "sparkle",
};

export function queryCodebase(client: Client, log: Log): void {
  new QueryPick(client, log).show();
}

class QueryPick {
  private readonly client: Client;
  private readonly log: Log;
  private readonly pick = vscode.window.createQuickPick<HitItem>();
  private readonly origin = vscode.window.activeTextEditor;
  private readonly originView = this.origin && {
    uri: this.origin.document.uri,
    selection: this.origin.selection,
    column: this.origin.viewColumn,
  };
  private timer: NodeJS.Timeout | undefined;
  private pending: vscode.CancellationTokenSource | undefined;
  private readonly highlight = vscode.window.createTextEditorDecorationType({
    backgroundColor: new vscode.ThemeColor("editor.rangeHighlightBackground"),
    isWholeLine: true,
  });
  private closed = false;
  private accepted = false;
  private previewed = false;
  /** The list makes its first entry active by itself; only a move by the person previews. */
  private settledItem: HitItem | undefined;

  constructor(client: Client, log: Log) {
    this.client = client;
    this.log = log;
  }

  show(): void {
    const { pick } = this;
    pick.title = "Query Codebase";
    pick.placeholder = "An identifier, or words for what you look for";
    // The server's order is the order. The property exists in every editor; its type does not.
    (pick as vscode.QuickPick<HitItem> & { sortByLabel?: boolean }).sortByLabel = false;
    pick.onDidChangeValue((value) => this.changed(value));
    pick.onDidChangeActive(([item]) => this.moved(item));
    pick.onDidAccept(() => this.accept());
    pick.onDidHide(() => this.hidden());
    const selected =
      this.origin === undefined || this.origin.selection.isEmpty
        ? ""
        : this.origin.document.getText(this.origin.selection);
    if (selected !== "" && !selected.includes("\n")) {
      pick.value = selected;
      this.changed(selected);
    }
    pick.show();
  }

  private changed(value: string): void {
    clearTimeout(this.timer);
    this.pending?.cancel();
    if (value.trim() === "") {
      this.pick.busy = false;
      this.pick.items = [];
      return;
    }
    this.pick.busy = true;
    this.timer = setTimeout(() => {
      this.ask(value).catch((error: unknown) => this.log.error("query failed", error));
    }, DEBOUNCE_MS);
  }

  private async ask(value: string): Promise<void> {
    const source = new vscode.CancellationTokenSource();
    this.pending = source;
    try {
      const hits = await this.client.request(
        QueryRequest,
        { text: value, limit: LIMIT },
        source.token,
      );
      if (source.token.isCancellationRequested) return;
      this.settledItem = undefined;
      this.pick.items =
        hits.length === 0
          ? [{ label: "$(circle-slash) Nothing found", description: value, alwaysShow: true }]
          : hits.map(itemOf);
    } catch (error) {
      if (source.token.isCancellationRequested) return;
      this.pick.items = [
        { label: "$(error) The query failed", detail: messageOf(error), alwaysShow: true },
      ];
      throw error;
    } finally {
      if (this.pending === source) {
        this.pending = undefined;
        this.pick.busy = false;
      }
      source.dispose();
    }
  }

  private moved(item: HitItem | undefined): void {
    if (item === undefined) return;
    if (this.settledItem === undefined) {
      this.settledItem = item;
      return;
    }
    if (item.hit === undefined || item === this.settledItem) return;
    this.settledItem = item;
    this.previewed = true;
    this.preview(item.hit).catch((error: unknown) => this.log.error("preview failed", error));
  }

  private async preview(hit: QueryHit): Promise<void> {
    const editor = await open(hit, { preserveFocus: true, preview: true });
    // The selection would be hard to see without the focus.
    if (!this.closed) editor?.setDecorations(this.highlight, [rangeOf(hit)]);
  }

  private accept(): void {
    const hit = (this.pick.activeItems[0] ?? this.pick.selectedItems[0])?.hit;
    if (hit === undefined) return;
    this.accepted = true;
    this.pick.hide();
    open(hit, { preserveFocus: false, preview: false }).catch((error: unknown) =>
      this.log.error("the place could not be opened", error),
    );
  }

  private hidden(): void {
    clearTimeout(this.timer);
    this.pending?.cancel();
    this.closed = true;
    this.highlight.dispose();
    this.pick.dispose();
    if (this.accepted || !this.previewed || this.originView === undefined) return;
    const { uri, selection, column } = this.originView;
    vscode.window
      .showTextDocument(uri, { selection, ...(column === undefined ? {} : { viewColumn: column }) })
      .then(undefined, (error: unknown) => this.log.error("going back failed", error));
  }
}

function itemOf(hit: QueryHit): HitItem {
  return {
    label: `$(${ICONS[hit.kind]}) ${hit.preview.trim().replaceAll("$(", "$ (") || hit.path}`,
    // Below the line, where a long one cannot push it out of sight.
    detail: `${hit.path}:${hit.startLine + 1} · ${hit.why}`,
    alwaysShow: true,
    hit,
  };
}

/** Puts the cursor at the start of the place; of a notebook its cell is shown, and there is no text editor. */
async function open(
  hit: QueryHit,
  how: { readonly preserveFocus: boolean; readonly preview: boolean },
): Promise<vscode.TextEditor | undefined> {
  if (hit.path.endsWith(".ipynb")) {
    const notebook = await vscode.workspace.openNotebookDocument(vscode.Uri.parse(hit.uri));
    const texts = notebook.getCells().map((cell) => cell.document.getText());
    const cell = cellAtLine(texts, hit.startLine);
    const range = new vscode.NotebookRange(cell, cell + 1);
    const shown = await vscode.window.showNotebookDocument(notebook, {
      ...how,
      selections: [range],
    });
    shown.revealRange(range, vscode.NotebookEditorRevealType.InCenterIfOutsideViewport);
    return undefined;
  }
  const start = new vscode.Position(hit.startLine, hit.startCharacter);
  const editor = await vscode.window.showTextDocument(vscode.Uri.parse(hit.uri), {
    ...how,
    selection: new vscode.Range(start, start),
  });
  editor.revealRange(rangeOf(hit), vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  return editor;
}

function rangeOf(hit: QueryHit): vscode.Range {
  return new vscode.Range(hit.startLine, hit.startCharacter, hit.endLine, hit.endCharacter);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
