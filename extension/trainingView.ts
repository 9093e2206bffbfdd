/**
 * The training view: a webview with the live curves. Scripts run only with this page's nonce, nothing is loaded
 * from elsewhere, and the page keeps its own state, so that the panel is cheap when hidden.
 */
import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import {
  TrainingHistoryRequest,
  type ConsolidationReport,
  type FromTrainingView,
  type ModelState,
  type ToTrainingView,
  type TrainingPoint,
} from "../server/protocol.ts";
import type { Client } from "./client.ts";
import type { Log } from "./log.ts";

const COMMANDS: Readonly<Record<(FromTrainingView & { type: "command" })["command"], string>> = {
  train: "narrowgauge.train",
  pause: "narrowgauge.pauseTraining",
  resume: "narrowgauge.resumeTraining",
  showLog: "narrowgauge.showLog",
};

export class TrainingView implements vscode.Disposable {
  static readonly viewType = "narrowgauge.training";
  private readonly extensionUri: vscode.Uri;
  private readonly client: Client;
  private readonly log: Log;
  private panel: vscode.WebviewPanel | undefined;

  constructor(extensionUri: vscode.Uri, client: Client, log: Log) {
    this.extensionUri = extensionUri;
    this.client = client;
    this.log = log;
  }

  async show(): Promise<void> {
    if (this.panel !== undefined) {
      this.panel.reveal(undefined, true);
      return;
    }
    const panel = vscode.window.createWebviewPanel(
      TrainingView.viewType,
      "Narrowgauge Training",
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
      {},
    );
    await this.adopt(panel);
  }

  /** Takes over a panel: a new one, or one the editor restored after a reload. */
  async adopt(panel: vscode.WebviewPanel): Promise<void> {
    this.panel = panel;
    panel.onDidDispose(() => {
      if (this.panel === panel) this.panel = undefined;
    });
    panel.webview.options = {
      enableScripts: true,
      localResourceRoots: [
        vscode.Uri.joinPath(this.extensionUri, "dist"),
        vscode.Uri.joinPath(this.extensionUri, "media"),
      ],
    };
    panel.webview.onDidReceiveMessage((message: FromTrainingView) => this.received(message));
    panel.webview.html = await this.page(panel.webview);
  }

  point(point: TrainingPoint): void {
    this.post({ type: "point", point });
  }

  consolidation(report: ConsolidationReport): void {
    this.post({ type: "consolidation", report });
  }

  state(state: ModelState): void {
    this.post({ type: "state", state });
  }

  dispose(): void {
    this.panel?.dispose();
  }

  private received(message: FromTrainingView): void {
    if (message.type === "command") {
      void vscode.commands.executeCommand(COMMANDS[message.command]);
      return;
    }
    this.client
      .request(TrainingHistoryRequest, {})
      .then((history) => this.post({ type: "history", ...history }))
      .catch((error: unknown) => this.log.error("the training history could not be read", error));
  }

  private post(message: ToTrainingView): void {
    // False means hidden or gone; the page asks for the history when it is shown again.
    this.panel?.webview.postMessage(message).then(undefined, () => undefined);
  }

  private async page(webview: vscode.Webview): Promise<string> {
    const media = vscode.Uri.joinPath(this.extensionUri, "media");
    const template = new TextDecoder().decode(
      await vscode.workspace.fs.readFile(vscode.Uri.joinPath(media, "trainingView.html")),
    );
    const fill: Readonly<Record<string, string>> = {
      nonce: randomBytes(16).toString("base64url"),
      cspSource: webview.cspSource,
      style: webview.asWebviewUri(vscode.Uri.joinPath(media, "trainingView.css")).toString(),
      script: webview
        .asWebviewUri(vscode.Uri.joinPath(this.extensionUri, "dist", "trainingView.js"))
        .toString(),
    };
    return template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => fill[name] ?? "");
  }
}
