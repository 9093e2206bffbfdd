/** Settings per resource, pulled from the client once and kept until the configuration changes. Never a global. */
import type { Connection } from "vscode-languageserver";
import { settingsFrom, type Settings } from "./settings.ts";

export class SettingsCache {
  private readonly connection: Pick<Connection, "workspace">;
  private readonly byUri = new Map<string, Promise<Settings>>();
  /** Clients that cannot be asked get the defaults. */
  canPull = false;

  constructor(connection: Pick<Connection, "workspace">) {
    this.connection = connection;
  }

  /** Settings of a document, or of the window when no document is named. */
  of(uri?: string): Promise<Settings> {
    if (!this.canPull) return Promise.resolve(settingsFrom({}));
    const key = uri ?? "";
    let settings = this.byUri.get(key);
    if (settings === undefined) {
      settings = this.connection.workspace
        .getConfiguration({
          section: "narrowgauge",
          ...(uri === undefined ? {} : { scopeUri: uri }),
        })
        .then(settingsFrom, () => settingsFrom({}));
      this.byUri.set(key, settings);
    }
    return settings;
  }

  delete(uri: string): void {
    this.byUri.delete(uri);
  }

  /** Forgets everything; answers what the window had before, if it was ever asked. */
  clear(): Promise<Settings> | undefined {
    const before = this.byUri.get("");
    this.byUri.clear();
    return before;
  }
}
