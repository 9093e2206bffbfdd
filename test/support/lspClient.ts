/**
 * Speaks LSP to a server over in-memory streams: a client with documents from marked strings (`foo(|)`), settings it
 * is asked for, dynamic registrations and every notification kept in order.
 */
import { PassThrough } from "node:stream";
import {
  createConnection,
  createProtocolConnection,
  InlineCompletionTriggerKind,
  type InlineCompletionItem,
  type ProtocolConnection,
  type RegistrationParams,
  type UnregistrationParams,
} from "vscode-languageserver/node";
import { URI } from "vscode-uri";
import { createLanguageServer, type ServerParts } from "../../server/languageServer.ts";
import type {
  ConsolidationReport,
  ModelState,
  NotificationMessage,
  RequestMessage,
  TrainingPoint,
} from "../../server/protocol.ts";

export interface LogLine {
  readonly level: string;
  readonly source: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | null;
}

export interface Cursor {
  readonly uri: string;
  readonly position: { readonly line: number; readonly character: number };
}

export class LspClient {
  readonly connection: ProtocolConnection;
  readonly states: ModelState[] = [];
  readonly points: TrainingPoint[] = [];
  readonly consolidations: ConsolidationReport[] = [];
  readonly logs: LogLine[] = [];
  readonly registered = new Map<string, string>();
  settings: Record<string, unknown>;
  private readonly waiting = new Set<() => void>();
  private readonly versions = new Map<string, number>();

  constructor(connection: ProtocolConnection, settings: Record<string, unknown>) {
    this.connection = connection;
    this.settings = settings;
    connection.onNotification("narrowgauge/state", (state: ModelState) => {
      this.states.push(state);
      this.changed();
    });
    connection.onNotification("narrowgauge/trainingPoint", (point: TrainingPoint) => {
      this.points.push(point);
      this.changed();
    });
    connection.onNotification("narrowgauge/consolidation", (report: ConsolidationReport) => {
      this.consolidations.push(report);
      this.changed();
    });
    connection.onNotification("narrowgauge/log", (line: LogLine) => {
      this.logs.push(line);
      this.changed();
    });
    connection.onRequest("workspace/configuration", ({ items }: { items: unknown[] }) =>
      items.map(() => this.settings),
    );
    connection.onRequest("client/registerCapability", ({ registrations }: RegistrationParams) => {
      for (const { id, method } of registrations) this.registered.set(id, method);
      this.changed();
    });
    connection.onRequest(
      "client/unregisterCapability",
      ({ unregisterations }: UnregistrationParams) => {
        for (const { id } of unregisterations) this.registered.delete(id);
        this.changed();
      },
    );
    connection.listen();
  }

  get state(): ModelState | undefined {
    return this.states.at(-1);
  }

  offers(method: string): boolean {
    return [...this.registered.values()].includes(method);
  }

  /** Resolves when the condition holds; it is looked at again after each message from the server. */
  async until(what: string, condition: () => boolean, timeoutMs = 15_000): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(look);
        reject(
          new Error(
            `${what} did not happen; state ${JSON.stringify(this.state)}, last log lines ${JSON.stringify(this.logs.slice(-5))}`,
          ),
        );
      }, timeoutMs);
      const look = () => {
        if (!condition()) return;
        clearTimeout(timer);
        this.waiting.delete(look);
        resolve();
      };
      this.waiting.add(look);
    });
  }

  untilState(kind: ModelState["kind"], timeoutMs?: number): Promise<void> {
    return this.until(`state ${kind}`, () => this.state?.kind === kind, timeoutMs);
  }

  request<Params, Result>(
    message: RequestMessage<Params, Result>,
    params: Params,
  ): Promise<Result> {
    return this.connection.sendRequest<Result>(message.method, params);
  }

  notify<Params>(message: NotificationMessage<Params>, params: Params): Promise<void> {
    return this.connection.sendNotification(message.method, params);
  }

  /** Opens or replaces a document; `|` marks the cursor. */
  async write(uri: string, marked: string): Promise<Cursor> {
    const at = marked.indexOf("|");
    const text = at < 0 ? marked : marked.slice(0, at) + marked.slice(at + 1);
    const before = text.slice(0, Math.max(at, 0));
    const version = (this.versions.get(uri) ?? 0) + 1;
    this.versions.set(uri, version);
    if (version === 1)
      await this.connection.sendNotification("textDocument/didOpen", {
        textDocument: { uri, languageId: "plaintext", version, text },
      });
    else
      await this.connection.sendNotification("textDocument/didChange", {
        textDocument: { uri, version },
        contentChanges: [{ text }],
      });
    return {
      uri,
      position: {
        line: before.split("\n").length - 1,
        character: before.length - before.lastIndexOf("\n") - 1,
      },
    };
  }

  complete(
    cursor: Cursor,
    context: Record<string, unknown> = { triggerKind: InlineCompletionTriggerKind.Automatic },
  ): Promise<InlineCompletionItem[] | null> {
    return this.connection.sendRequest<InlineCompletionItem[] | null>(
      "textDocument/inlineCompletion",
      { textDocument: { uri: cursor.uri }, position: cursor.position, context },
    );
  }

  async close(): Promise<void> {
    await this.connection.sendRequest("shutdown");
    this.connection.dispose();
  }

  private changed(): void {
    for (const look of [...this.waiting]) look();
  }
}

/** Starts a server on in-memory streams and initializes it for one folder. */
export async function startServer(o: {
  readonly parts: ServerParts;
  readonly root: string | undefined;
  readonly storagePath: string;
  readonly consented: boolean;
  readonly settings?: Record<string, unknown>;
}): Promise<LspClient> {
  const toServer = new PassThrough();
  const toClient = new PassThrough();
  createLanguageServer(createConnection(toServer, toClient), o.parts);
  const client = new LspClient(createProtocolConnection(toClient, toServer), o.settings ?? {});
  await client.connection.sendRequest("initialize", {
    processId: null,
    rootUri: null,
    capabilities: {
      workspace: {
        configuration: true,
        didChangeConfiguration: { dynamicRegistration: true },
        didChangeWatchedFiles: { dynamicRegistration: true },
      },
      textDocument: { inlineCompletion: { dynamicRegistration: true } },
    },
    workspaceFolders:
      o.root === undefined ? null : [{ uri: URI.file(o.root).toString(), name: "test" }],
    initializationOptions: { storagePath: o.storagePath, consented: o.consented },
  });
  await client.connection.sendNotification("initialized", {});
  return client;
}
