/**
 * The one log channel. The server's and the model host's lines arrive here with their source in brackets; the
 * channel's own level decides what is shown. Under a test harness (CI=true) errors go to the console as well.
 */
import * as vscode from "vscode";
import type { LogLevel } from "../server/protocol.ts";

export type LogSource = "server" | "model" | "editor";

export class Log implements vscode.Disposable {
  readonly channel = vscode.window.createOutputChannel("Narrowgauge", { log: true });

  write(
    level: LogLevel,
    source: LogSource,
    message: string,
    fields?: Readonly<Record<string, unknown>> | null,
  ): void {
    const detail =
      fields === undefined || fields === null || Object.keys(fields).length === 0
        ? ""
        : ` ${JSON.stringify(fields)}`;
    this.channel[level](`[${source}] ${message}${detail}`);
  }

  info(message: string): void {
    this.write("info", "editor", message);
  }

  error(message: string, error: unknown): void {
    this.write(
      "error",
      "editor",
      `${message}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }

  dispose(): void {
    this.channel.dispose();
  }
}
