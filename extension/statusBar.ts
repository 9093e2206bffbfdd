/** Shows the model state in the status bar; one switch (stateText.ts) decides what it says. */
import * as vscode from "vscode";
import type { ModelState } from "../server/protocol.ts";
import { renderState } from "./stateText.ts";

export class StatusBar implements vscode.Disposable {
  private readonly item: vscode.StatusBarItem;

  constructor() {
    this.item = vscode.window.createStatusBarItem(
      "narrowgauge.state",
      vscode.StatusBarAlignment.Right,
      100,
    );
    this.item.name = "Narrowgauge";
    this.update({ kind: "starting" });
    this.item.show();
  }

  update(state: ModelState): void {
    const shown = renderState(state);
    this.item.text = shown.text;
    this.item.command = shown.command;
    this.item.tooltip = new vscode.MarkdownString(shown.tooltip.join("\n\n"));
    this.item.accessibilityInformation = { label: shown.spoken };
    this.item.backgroundColor =
      shown.severity === "normal"
        ? undefined
        : new vscode.ThemeColor(`statusBarItem.${shown.severity}Background`);
  }

  dispose(): void {
    this.item.dispose();
  }
}
