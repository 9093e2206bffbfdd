/**
 * Activation: builds the parts, wires them, starts the language server without waiting for it. The editor does not
 * show why an activation failed, so this does.
 */
import * as vscode from "vscode";
import { Client } from "./client.ts";
import { registerCommands } from "./commands.ts";
import { hasConsent, registerList } from "./consent.ts";
import { Log } from "./log.ts";
import { StatusBar } from "./statusBar.ts";
import { TrainingView } from "./trainingView.ts";

let client: Client | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const log = new Log();
  context.subscriptions.push(log);
  // The manifest says the same; a host that ignores it must not get further than this.
  if (!vscode.workspace.isTrusted) {
    log.info("the workspace is not trusted; nothing is started");
    return;
  }
  try {
    build(context, log);
  } catch (error) {
    log.error("activation failed", error);
    void vscode.window.showErrorMessage(
      `Narrowgauge could not start: ${error instanceof Error ? error.message : String(error)}`,
    );
    throw error;
  }
}

export async function deactivate(): Promise<void> {
  await client?.stop();
}

function build(context: vscode.ExtensionContext, log: Log): void {
  const statusBar = new StatusBar();
  const started = new Client({
    context,
    log,
    consented: () => hasConsent(context),
    onState: (state) => {
      statusBar.update(state);
      trainingView.state(state);
    },
    onPoint: (point) => trainingView.point(point),
    onConsolidation: (report) => trainingView.consolidation(report),
  });
  client = started;
  const trainingView = new TrainingView(context.extensionUri, started, log);
  context.subscriptions.push(
    statusBar,
    trainingView,
    registerList(),
    ...registerCommands({ extension: context, client: started, log, trainingView }),
    vscode.window.registerWebviewPanelSerializer(TrainingView.viewType, {
      deserializeWebviewPanel: (panel) => trainingView.adopt(panel),
    }),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("narrowgauge.nodePath")) restart(started, log);
    }),
  );
  started.start().catch((error: unknown) => log.error("start failed", error));
}

function restart(running: Client, log: Log): void {
  running.restart().catch((error: unknown) => log.error("restart failed", error));
}
