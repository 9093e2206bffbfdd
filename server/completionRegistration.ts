/** Tells the editor about the completion capability while a model can answer, and only then. */
import { InlineCompletionRequest, type Connection, type Disposable } from "vscode-languageserver";
import type { Logger } from "../model/index.ts";

export class CompletionRegistration {
  private readonly connection: Pick<Connection, "client">;
  private readonly logger: Logger;
  private registration: Promise<Disposable> | undefined;

  constructor(connection: Pick<Connection, "client">, logger: Logger) {
    this.connection = connection;
    this.logger = logger;
  }

  set(available: boolean): void {
    if (available) {
      this.registration ??= this.connection.client.register(InlineCompletionRequest.type, {
        documentSelector: [
          { scheme: "file" },
          { scheme: "untitled" },
          { scheme: "vscode-notebook-cell" },
        ],
      });
      this.registration.catch((error: unknown) =>
        this.logger.warn("completion could not be registered", { error: String(error) }),
      );
      return;
    }
    const registration = this.registration;
    this.registration = undefined;
    registration?.then((disposable) => disposable.dispose()).catch(() => undefined);
  }
}
