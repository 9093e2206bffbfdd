/**
 * The language server without its process: wires a connection to the parts. Tests speak LSP to it over in-memory
 * streams; `main.ts` gives it the real parts. One folder is served, the first of the workspace.
 */
import { isAbsolute, join, relative, sep } from "node:path";
import {
  DidChangeConfigurationNotification,
  DidChangeWatchedFilesNotification,
  LSPErrorCodes,
  ResponseError,
  TextDocumentSyncKind,
  TextDocuments,
  type CancellationToken,
  type Connection,
  type InitializeParams,
  type InitializeResult,
} from "vscode-languageserver";
import { TextDocument } from "vscode-languageserver-textdocument";
import { URI } from "vscode-uri";
import type { CorpusFile, Logger } from "../model/index.ts";
import { CompletionRegistration } from "./completionRegistration.ts";
import { readableText } from "./corpus/readable.ts";
import { DocumentBytes } from "./documents.ts";
import { FileChanges, type FileSink } from "./fileChanges.ts";
import { InlineCompletions } from "./inlineCompletion.ts";
import { fileUriOf, scriptBeforeCell } from "./notebookCells.ts";
import { OfferedNames } from "./offeredNames.ts";
import { createLogger } from "./log.ts";
import { ModelLifecycle, type HostOptions } from "./modelLifecycle.ts";
import type { Power } from "./power.ts";
import * as protocol from "./protocol.ts";
import { QueryService, type CreateQuery, type QueryPort } from "./queryService.ts";
import type { Settings } from "./settings.ts";
import { SettingsCache } from "./settingsCache.ts";
import type { PreparedCorpus, TrainScheduler } from "./trainScheduler.ts";
import { WorkspaceCorpus } from "./workspaceCorpus.ts";

/** Facts from the editor's language servers, written to files for the host. */
export type FactsPort = (o: {
  readonly connection: Connection;
  readonly root: string;
  readonly files: readonly CorpusFile[];
  readonly folder: string;
  /** How long training may take. */
  readonly minutes: number;
  /** The run goes on where an earlier one stopped. */
  readonly resume: boolean;
  readonly signal: AbortSignal;
  readonly onPhase: (phase: string) => void;
}) => Promise<Pick<PreparedCorpus, "lexiconPath" | "symbolsPath">>;

export interface ServerParts {
  readonly host: HostOptions;
  readonly createQuery: CreateQuery;
  readonly collectFacts: FactsPort;
  readonly typingRestMs?: number;
  readonly idleLookMs?: number;
  readonly refreshAfterMs?: number;
  /** What the machine runs on; read from the system where it is left out. */
  readonly power?: () => Promise<Power>;
}

export const ACCEPTED_COMMAND = "narrowgauge.suggestionAccepted";

/** Built in `initialize`, when the folder is known. */
interface Workspace {
  readonly corpus: WorkspaceCorpus;
  readonly model: ModelLifecycle;
  readonly query: QueryService;
  readonly storage: string;
}

const NO_FOLDER = "open a folder to train on it";

export function createLanguageServer(connection: Connection, parts: ServerParts): void {
  const documents = new TextDocuments(TextDocument);
  const server = new LanguageServer(connection, documents, parts);
  server.listen();
  documents.listen(connection);
  connection.listen();
}

class LanguageServer {
  private readonly connection: Connection;
  private readonly documents: TextDocuments<TextDocument>;
  private readonly parts: ServerParts;
  private readonly logger: Logger;
  private readonly bytes = new DocumentBytes();
  private readonly settings: SettingsCache;
  private readonly completions: InlineCompletions;
  private readonly changes: FileChanges;
  private readonly registration: CompletionRegistration;
  private readonly offered: OfferedNames;
  private workspace: Workspace | undefined;
  private consented = false;
  private watchesFiles = false;
  /** Requests may arrive while the server still looks for a model. */
  private begun: Promise<void> = Promise.resolve();

  constructor(connection: Connection, documents: TextDocuments<TextDocument>, parts: ServerParts) {
    this.connection = connection;
    this.documents = documents;
    this.parts = parts;
    this.logger = createLogger(connection, "server");
    this.settings = new SettingsCache(connection);
    this.registration = new CompletionRegistration(connection, this.logger);
    this.offered = new OfferedNames(connection);
    this.completions = new InlineCompletions({
      logger: this.logger,
      bytes: this.bytes,
      document: (uri) => documents.get(uri),
      settings: (uri) => this.settings.of(uri),
      pathOf: (uri) => this.pathOf(fileUriOf(uri)) ?? fileName(uri),
      earlier: (uri) => scriptBeforeCell(uri, this.documents.all()),
      offered: (uri, position, linePrefix) => this.offered.at(uri, position, linePrefix),
      engine: () => this.workspace?.model.engine,
      acceptedCommand: ACCEPTED_COMMAND,
    });
    this.changes = new FileChanges({
      logger: this.logger,
      sinks: () => this.sinks(),
      read: async (path) => this.workspace?.corpus.file(path),
      inside: async (path) => (await this.workspace?.corpus.inside(path)) ?? [],
      open: (path) => this.openBytes(path),
    });
  }

  listen(): void {
    const { connection } = this;
    connection.onInitialize((params) => this.initialize(params));
    connection.onInitialized(() => {
      this.begun = this.begin().catch((error: unknown) => this.fail(error));
    });
    connection.onDidChangeConfiguration(() => this.settingsChanged());
    connection.onDidChangeWatchedFiles(({ changes }) => {
      for (const change of changes) this.touched(change.uri);
    });
    connection.languages.inlineCompletion.on((params, token) => {
      this.workspace?.model.scheduler.idle.active();
      return this.completions.provide(params, token);
    });
    connection.onShutdown(async () => {
      this.changes.dispose();
      await this.workspace?.model.dispose();
    });
    this.listenToDocuments();
    this.listenToExtension();
  }

  private listenToDocuments(): void {
    this.documents.onDidChangeContent(({ document }) => {
      // The first version is the opening, not a key.
      if (document.version > 1) this.workspace?.model.scheduler.typed();
      this.touched(document.uri);
    });
    this.documents.onDidClose(({ document }) => {
      this.bytes.delete(document.uri);
      this.settings.delete(document.uri);
      this.touched(document.uri);
    });
  }

  private listenToExtension(): void {
    const { connection } = this;
    connection.onRequest(protocol.CorpusPreviewRequest.method, () => this.open().corpus.preview());
    connection.onRequest(protocol.CorpusListingRequest.method, async () => ({
      text: await this.open().corpus.listing(),
    }));
    connection.onRequest(protocol.StartTrainingRequest.method, () =>
      this.training((scheduler) => scheduler.start({ resume: false })),
    );
    connection.onRequest(protocol.ResumeTrainingRequest.method, () =>
      this.training((scheduler) => scheduler.resume()),
    );
    connection.onRequest(protocol.PauseTrainingRequest.method, async () => ({
      paused: (await this.workspace?.model.scheduler.pause()) ?? false,
    }));
    connection.onRequest(protocol.RestoreVersionRequest.method, async () => {
      await this.begun;
      return this.open().model.restoreVersion();
    });
    connection.onRequest(
      protocol.TrainingHistoryRequest.method,
      (): Promise<protocol.TrainingHistory> | protocol.TrainingHistory =>
        this.workspace?.model.history() ?? {
          points: [],
          consolidations: [],
          state: { kind: "notTrained", reason: NO_FOLDER },
        },
    );
    connection.onRequest(
      protocol.QueryRequest.method,
      (params: { text: string; limit: number }, token: CancellationToken) => {
        this.workspace?.model.scheduler.idle.active();
        return this.open().query.answer(params, token);
      },
    );
    connection.onNotification(
      protocol.CompletionAcceptedNotification.method,
      (params: { uri: string; length: number }) =>
        this.logger.debug("suggestion accepted", { length: params.length }),
    );
  }

  private initialize(params: InitializeParams): InitializeResult {
    const options = (params.initializationOptions ?? {}) as Partial<protocol.InitializationOptions>;
    const folder = params.workspaceFolders?.[0]?.uri;
    this.consented = options.consented === true;
    this.settings.canPull = params.capabilities.workspace?.configuration === true;
    this.watchesFiles =
      params.capabilities.workspace?.didChangeWatchedFiles?.dynamicRegistration === true;
    if (folder !== undefined && options.storagePath !== undefined && options.storagePath !== "")
      this.workspace = this.openWorkspace(folder, options.storagePath);
    return {
      capabilities: {
        textDocumentSync: TextDocumentSyncKind.Incremental,
        // Inline completion is registered once a model can answer.
        workspace: { workspaceFolders: { supported: true } },
      },
      serverInfo: { name: "narrowgauge" },
    };
  }

  private openWorkspace(folder: string, storage: string): Workspace {
    const corpus = new WorkspaceCorpus(URI.parse(folder).fsPath, () => this.settings.of(folder));
    const query = new QueryService(() => this.buildQuery());
    const model = new ModelLifecycle({
      host: this.parts.host,
      logger: this.logger,
      modelLogger: createLogger(this.connection, "model"),
      storage,
      settings: () => this.settings.of(folder),
      directory: (settings) => modelDirectory(settings, corpus.root, storage),
      prepare: async (o) => {
        const prepared = await this.prepare(o);
        // The symbols were collected anew; the next query builds on them.
        query.forget();
        return prepared;
      },
      publishState: (state) => this.send(protocol.StateNotification, state),
      listFiles: async (signal) => (await corpus.writeManifest(storage, signal)).manifest,
      listFilesNow: async (signal) =>
        (await corpus.writeManifest(join(storage, "now"), signal)).manifest,
      ...(this.parts.refreshAfterMs === undefined
        ? {}
        : { refreshAfterMs: this.parts.refreshAfterMs }),
      ...(this.parts.power === undefined ? {} : { power: this.parts.power }),
      publishConsolidation: (report) => this.send(protocol.ConsolidationNotification, report),
      publishPoint: (point) => this.send(protocol.TrainingPointNotification, point),
      onAvailability: (available) => this.registration.set(available),
      onModelChanged: () => this.completions.forget(),
      ...(this.parts.idleLookMs === undefined ? {} : { idleLookMs: this.parts.idleLookMs }),
      ...(this.parts.typingRestMs === undefined ? {} : { typingRestMs: this.parts.typingRestMs }),
    });
    return { corpus, model, query, storage };
  }

  private async begin(): Promise<void> {
    const { client } = this.connection;
    if (this.settings.canPull)
      await client.register(DidChangeConfigurationNotification.type, { section: "narrowgauge" });
    if (this.watchesFiles)
      await client.register(DidChangeWatchedFilesNotification.type, {
        watchers: [{ globPattern: "**/*" }],
      });
    if (this.workspace === undefined)
      this.send(protocol.StateNotification, { kind: "notTrained", reason: NO_FOLDER });
    else await this.workspace.model.begin({ consented: this.consented });
  }

  /** Writes down for the host what to train on: the files, and what language servers know of them. */
  private async prepare(o: {
    readonly resume: boolean;
    readonly onPhase: (phase: string) => void;
    readonly signal: AbortSignal;
  }): Promise<PreparedCorpus> {
    const { corpus, storage } = this.open();
    o.onPhase("reading files");
    const { manifest, files } = await corpus.writeManifest(storage, o.signal);
    let facts: Awaited<ReturnType<FactsPort>> = {};
    try {
      facts = await this.parts.collectFacts({
        connection: this.connection,
        root: corpus.root,
        files,
        folder: storage,
        minutes: (await this.settings.of())["training.budgetMinutes"],
        ...o,
      });
    } catch (error) {
      // Facts help, but a model without them is still a model.
      this.logger.warn("language servers could not be asked", { error: String(error) });
    }
    return { filesManifest: manifest, ...facts };
  }

  private async buildQuery(): Promise<QueryPort> {
    const { corpus, storage, model } = this.open();
    const { files } = await corpus.walk();
    return this.parts.createQuery({
      root: corpus.root,
      folder: storage,
      // An open document counts as it is now, not as it was saved.
      files: files.map((file) => ({ ...file, bytes: this.openBytes(file.path) ?? file.bytes })),
      embed: (texts) => model.embed(texts),
    });
  }

  private sinks(): readonly FileSink[] {
    const sinks = [this.workspace?.query.sink, this.workspace?.model.sink];
    return sinks.filter((sink) => sink !== undefined);
  }

  private touched(uri: string): void {
    const path = this.pathOf(uri);
    if (path !== undefined) this.changes.touched(path);
  }

  private openBytes(path: string): Uint8Array | undefined {
    if (this.workspace === undefined) return undefined;
    const uri = URI.file(join(this.workspace.corpus.root, path)).toString();
    const document = this.documents.get(uri);
    return document === undefined ? undefined : readableText(path, this.bytes.of(document).bytes);
  }

  /** Workspace-relative path with "/"; undefined outside the workspace. */
  private pathOf(uri: string): string | undefined {
    const parsed = URI.parse(uri);
    if (this.workspace === undefined || parsed.scheme !== "file") return undefined;
    const path = relative(this.workspace.corpus.root, parsed.fsPath);
    if (path === "" || path.startsWith("..") || isAbsolute(path)) return undefined;
    return path.split(sep).join("/");
  }

  private open(): Workspace {
    if (this.workspace === undefined)
      throw new ResponseError(
        LSPErrorCodes.RequestFailed,
        "no folder is open; open a folder first",
      );
    return this.workspace;
  }

  private async training(
    act: (scheduler: TrainScheduler) => Promise<protocol.StartOutcome>,
  ): Promise<protocol.StartOutcome> {
    await this.begun;
    if (this.workspace === undefined)
      return { outcome: "refused", message: "no folder is open", hint: NO_FOLDER };
    // The extension asks for consent before it asks for training.
    this.workspace.model.consent();
    return act(this.workspace.model.scheduler);
  }

  /** The one place where a changed configuration takes effect. */
  private settingsChanged(): void {
    const before = this.settings.clear();
    Promise.all([before, this.settings.of()])
      .then(async ([old, now]) => {
        const model = this.workspace?.model;
        if (old === undefined || model === undefined || model.scheduler.running) return;
        const moved =
          old["device.backend"] !== now["device.backend"] ||
          old["model.checkpointDirectory"] !== now["model.checkpointDirectory"];
        if (moved) await model.reload();
      })
      .catch((error: unknown) => this.fail(error));
  }

  private send<Params>(message: protocol.NotificationMessage<Params>, params: Params): void {
    // The connection may be gone while the process ends.
    this.connection.sendNotification(message.method, params).catch(() => undefined);
  }

  private fail(error: unknown): void {
    if (this.workspace !== undefined) this.workspace.model.fail(error);
    else this.logger.error(String(error));
  }
}

function modelDirectory(settings: Settings, root: string, storage: string): string {
  const chosen = settings["model.checkpointDirectory"];
  return chosen !== "" && isAbsolute(chosen)
    ? join(chosen, folderName(root))
    : join(storage, "model");
}

function fileName(uri: string): string {
  const { path } = URI.parse(uri);
  return path.slice(path.lastIndexOf("/") + 1);
}

/** A readable folder name that two workspaces of the same name do not share. */
function folderName(root: string): string {
  const name = root.slice(root.lastIndexOf(sep) + 1).replace(/[^\w.-]/g, "_");
  let hash = 0;
  for (const character of root) hash = (Math.imul(hash, 31) + character.codePointAt(0)!) | 0;
  return `${name}-${(hash >>> 0).toString(16)}`;
}
