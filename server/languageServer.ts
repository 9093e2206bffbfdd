/**
 * The language server without its process: wires a connection to the parts. Tests speak LSP to it over in-memory
 * streams; `main.ts` gives it the real parts. Per-resource settings are pulled and cached by URI, never global.
 */
import { isAbsolute, join, relative, sep } from "node:path";
import {
  DidChangeConfigurationNotification,
  DidChangeWatchedFilesNotification,
  ResponseError,
  LSPErrorCodes,
  TextDocumentSyncKind,
  TextDocuments,
  type CancellationToken,
  type Connection,
  type InitializeParams,
  type InitializeResult,
} from "vscode-languageserver";
import { TextDocument } from "vscode-languageserver-textdocument";
import { URI } from "vscode-uri";
import { HostExitError, NarrowError, type CorpusFile } from "../model/index.ts";
import { DocumentBytes } from "./documents.ts";
import { CompletionRegistration } from "./completionRegistration.ts";
import { FileChanges, type FileSink } from "./fileChanges.ts";
import type { HostEvent, LoadedModel } from "./hostCalls.ts";
import { InlineCompletions } from "./inlineCompletion.ts";
import { createLogger } from "./log.ts";
import { ModelProcess, type BackOff } from "./modelProcess.ts";
import { ModelSession } from "./modelSession.ts";
import * as protocol from "./protocol.ts";
import { QueryService, type CreateQuery, type QueryPort } from "./queryService.ts";
import type { Settings } from "./settings.ts";
import { SettingsCache } from "./settingsCache.ts";
import { Status } from "./status.ts";
import { TrainScheduler } from "./trainScheduler.ts";
import { WorkspaceCorpus } from "./workspaceCorpus.ts";

/** Facts from the editor's language servers, written to files for the host. */
export type FactsPort = (o: {
  readonly connection: Connection;
  readonly root: string;
  readonly files: readonly CorpusFile[];
  readonly folder: string;
  /** How long training may take. */
  readonly minutes: number;
  readonly signal: AbortSignal;
  onPhase(phase: string): void;
}) => Promise<{ readonly lexiconPath?: string; readonly symbolsPath?: string }>;

export interface ServerParts {
  readonly host: {
    readonly modulePath: string;
    readonly execPath: string;
    readonly execArgv?: readonly string[];
    readonly args?: readonly string[];
    readonly protocolVersion: number;
    readonly backOff?: BackOff;
  };
  readonly createQuery: CreateQuery;
  readonly collectFacts: FactsPort;
  readonly typingRestMs?: number;
}

export const ACCEPTED_COMMAND = "narrowgauge.suggestionAccepted";

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
  private readonly logger;
  private readonly bytes = new DocumentBytes();
  private readonly settingsCache: SettingsCache;
  private readonly status: Status;
  private readonly host: ModelProcess;
  private readonly session: ModelSession;
  private readonly completions: InlineCompletions;
  private readonly changes: FileChanges;
  private readonly query = new QueryService(() => this.buildQuery());
  private readonly registration: CompletionRegistration;
  private scheduler: TrainScheduler | undefined;
  private corpus: WorkspaceCorpus | undefined;
  private storage = "";
  private consented = false;
  private modelDirectory = "";
  private watchesFiles = false;
  private disposed = false;
  /** Requests may arrive while the server still looks for a model. */
  private begun: Promise<void> = Promise.resolve();

  constructor(connection: Connection, documents: TextDocuments<TextDocument>, parts: ServerParts) {
    this.connection = connection;
    this.documents = documents;
    this.parts = parts;
    this.logger = createLogger(connection, "server");
    this.settingsCache = new SettingsCache(connection);
    this.registration = new CompletionRegistration(connection, this.logger);
    const hostLogger = createLogger(connection, "model");
    this.status = new Status((state) => {
      void connection.sendNotification(protocol.StateNotification.method, state);
    });
    this.host = new ModelProcess({
      ...parts.host,
      logger: hostLogger,
      onEvent: (event) => this.onHostEvent(event),
      onStarted: ({ first }) => this.onHostStarted(first),
      onCrash: ({ error, retryMs }) => this.onHostCrash(error, retryMs),
    });
    this.session = new ModelSession({
      host: this.host,
      logger: this.logger,
      directory: () => this.modelDirectory,
      device: async () => (await this.settings())["device.backend"],
      onAvailability: (available) => {
        if (!this.disposed) this.registration.set(available);
      },
    });
    this.completions = new InlineCompletions({
      logger: this.logger,
      bytes: this.bytes,
      document: (uri) => documents.get(uri),
      settings: (uri) => this.settings(uri),
      pathOf: (uri) => this.pathOf(uri) ?? fileName(uri),
      engine: () => (this.session.loaded === undefined ? undefined : this.session.engine),
      acceptedCommand: ACCEPTED_COMMAND,
    });
    this.changes = new FileChanges({
      logger: this.logger,
      sinks: () => this.sinks(),
      read: async (path) => this.corpus?.file(path),
      open: (path) => this.openBytes(path),
    });
  }

  listen(): void {
    const { connection, documents } = this;
    connection.onInitialize((params) => this.initialize(params));
    connection.onInitialized(() => {
      this.begun = this.begin().catch((error: unknown) => this.fail(error));
    });
    connection.onDidChangeConfiguration(() => this.settingsChanged());
    connection.onDidChangeWatchedFiles(({ changes }) => {
      for (const change of changes) this.touched(change.uri);
    });
    connection.languages.inlineCompletion.on((params, token) =>
      this.completions.provide(params, token),
    );
    connection.onRequest(protocol.CorpusPreviewRequest.method, () => this.workspace().preview());
    connection.onRequest(protocol.CorpusListingRequest.method, async () => ({
      text: await this.workspace().listing(),
    }));
    connection.onRequest(protocol.StartTrainingRequest.method, () =>
      this.training((scheduler) => scheduler.start({ resume: false })),
    );
    connection.onRequest(protocol.ResumeTrainingRequest.method, () =>
      this.training((scheduler) => scheduler.resume()),
    );
    connection.onRequest(protocol.PauseTrainingRequest.method, async () => ({
      paused: (await this.scheduler?.pause()) ?? false,
    }));
    connection.onRequest(protocol.TrainingHistoryRequest.method, () => ({
      points: this.scheduler?.history ?? [],
      state: this.status.current,
    }));
    connection.onRequest(
      protocol.QueryRequest.method,
      (params: { text: string; limit: number }, token: CancellationToken) =>
        this.query.answer(params, token),
    );
    connection.onNotification(
      protocol.CompletionAcceptedNotification.method,
      (params: { uri: string; length: number }) =>
        this.logger.debug("suggestion accepted", { length: params.length }),
    );
    documents.onDidChangeContent(({ document }) => {
      if (document.version > 1) this.scheduler?.typed();
      this.touched(document.uri);
    });
    documents.onDidClose(({ document }) => {
      this.bytes.delete(document.uri);
      this.settingsCache.delete(document.uri);
      this.touched(document.uri);
    });
    connection.onShutdown(() => this.dispose());
  }

  private initialize(params: InitializeParams): InitializeResult {
    const options = (params.initializationOptions ?? {}) as Partial<protocol.InitializationOptions>;
    const folder = params.workspaceFolders?.[0]?.uri;
    const root = folder === undefined ? undefined : URI.parse(folder).fsPath;
    this.storage = options.storagePath ?? "";
    this.consented = options.consented === true;
    this.settingsCache.canPull = params.capabilities.workspace?.configuration === true;
    this.watchesFiles =
      params.capabilities.workspace?.didChangeWatchedFiles?.dynamicRegistration === true;
    if (root !== undefined && this.storage !== "") {
      this.corpus = new WorkspaceCorpus(root, () => this.settings(folder));
      this.modelDirectory = join(this.storage, "model");
    }
    return {
      capabilities: {
        textDocumentSync: TextDocumentSyncKind.Incremental,
        // Inline completion is registered once a model can answer.
        workspace: { workspaceFolders: { supported: true } },
      },
      serverInfo: { name: "narrowgauge" },
    };
  }

  private async begin(): Promise<void> {
    if (this.settingsCache.canPull)
      await this.connection.client.register(DidChangeConfigurationNotification.type, {
        section: "narrowgauge",
      });
    if (this.watchesFiles)
      await this.connection.client.register(DidChangeWatchedFilesNotification.type, {
        watchers: [{ globPattern: "**/*" }],
      });
    if (this.corpus === undefined) {
      this.status.set({ kind: "notTrained", reason: "open a folder to train on it" });
      return;
    }
    await this.chooseDirectory();
    const scheduler = this.createScheduler(this.corpus);
    this.scheduler = scheduler;
    await this.loadAndShow();
    const unfinished = this.consented ? await scheduler.unfinished() : undefined;
    if (unfinished === "running" && !scheduler.running) await scheduler.start({ resume: true });
    else if (unfinished === "paused")
      this.status.set({
        kind: "paused",
        why: "editor was closed",
        percent: 0,
        device: await this.device(),
      });
  }

  private createScheduler(corpus: WorkspaceCorpus): TrainScheduler {
    return new TrainScheduler({
      host: this.host,
      logger: this.logger,
      memoFile: join(this.storage, "training.json"),
      settings: () => this.settings(),
      directory: () => this.modelDirectory,
      prepare: async ({ onPhase, signal }) => {
        onPhase("reading files");
        const { manifest, files } = await corpus.writeManifest(this.storage, signal);
        let facts: Awaited<ReturnType<FactsPort>> = {};
        try {
          facts = await this.parts.collectFacts({
            connection: this.connection,
            root: corpus.root,
            files,
            folder: this.storage,
            minutes: (await this.settings())["training.budgetMinutes"],
            signal,
            onPhase,
          });
        } catch (error) {
          // Facts help, but a model without them is still a model.
          this.logger.warn("language servers could not be asked", { error: String(error) });
        }
        return { filesManifest: manifest, ...facts };
      },
      setState: (state) => this.status.set(state),
      publishPoint: (point) => {
        void this.connection.sendNotification(protocol.TrainingPointNotification.method, point);
      },
      onSettled: async (outcome) => {
        // The symbols were collected anew; the next query builds on them.
        this.query.forget();
        if (outcome !== undefined)
          this.logger.info(
            outcome.promoted
              ? "training finished; the new model is in use"
              : "training finished; the earlier model predicts held-out files better and stays",
            { heldoutBpb: outcome.heldoutBpb },
          );
        await this.loadAndShow();
      },
      answers: () => this.session.loaded !== undefined,
      device: () => this.device(),
      ...(this.parts.typingRestMs === undefined ? {} : { typingRestMs: this.parts.typingRestMs }),
    });
  }

  private async loadAndShow(): Promise<void> {
    const result = await this.session.load();
    this.completions.forget();
    if (result.outcome === "loaded") {
      this.status.set(this.readyState(result.model));
    } else if (result.outcome === "none") {
      this.status.set({ kind: "notTrained", reason: "no model of this workspace yet" });
    } else if (isNoGpu(result.error)) {
      this.status.set({ kind: "noGpu", reason: result.error.message });
    } else {
      this.fail(result.error);
    }
  }

  private readyState(model: LoadedModel): protocol.ModelState {
    return {
      kind: "ready",
      device: { ...model.device, safeMode: this.host.safeMode },
      model: { params: model.params, heldoutBpb: model.heldoutBpb, preset: model.preset },
    };
  }

  private onHostEvent(event: HostEvent): void {
    switch (event.event) {
      case "progress":
        this.scheduler?.onProgress(event.progress);
        break;
      case "log":
        createLogger(this.connection, "model")[event.level](event.message);
        break;
      case "checkpoint":
        this.logger.debug("checkpoint written", { step: event.step });
        break;
      default:
        event satisfies never;
    }
  }

  private onHostStarted(first: boolean): void {
    this.scheduler?.onHostStarted();
    // The first start was asked for by whoever loads or trains; after a crash the model has to come back.
    if (first) return;
    this.session
      .load()
      .then((result) => {
        if (result.outcome === "loaded" && this.scheduler?.running !== true)
          this.status.set(this.readyState(result.model));
      })
      .catch((error: unknown) => this.fail(error));
  }

  private onHostCrash(error: NarrowError, retryMs: number | null): void {
    const training = this.scheduler?.running === true;
    this.session.lost();
    if (retryMs === null) this.fail(error);
    else this.status.set({ kind: "recovering", message: error.message, resumesTraining: training });
    this.scheduler?.onHostCrash({ error, givenUp: retryMs === null });
  }

  private async buildQuery(): Promise<QueryPort> {
    const corpus = this.workspace();
    const { files } = await corpus.walk();
    return this.parts.createQuery({
      root: corpus.root,
      folder: this.storage,
      // An open document counts as it is now, not as it was saved.
      files: files.map((file) => ({ ...file, bytes: this.openBytes(file.path) ?? file.bytes })),
      embed: (texts) => this.embed(texts),
    });
  }

  private async embed(texts: readonly Uint8Array[]): Promise<readonly Float32Array[]> {
    if (this.session.loaded === undefined)
      throw new HostExitError("NG_NO_MODEL", "no model is loaded");
    const { vectors } = await this.host.request("embed", {
      texts: texts.map((text) => Buffer.from(text).toString("base64")),
    });
    return vectors.map((vector) => Float32Array.from(vector));
  }

  private sinks(): readonly FileSink[] {
    const sinks: FileSink[] = [];
    if (this.query.sink !== undefined) sinks.push(this.query.sink);
    if (this.session.loaded !== undefined)
      sinks.push({
        setFile: (path, bytes) =>
          this.host.tell("setFile", { path, bytes: Buffer.from(bytes).toString("base64") }),
        removeFile: (path) => this.host.tell("removeFile", { path }),
      });
    return sinks;
  }

  private touched(uri: string): void {
    const path = this.pathOf(uri);
    if (path !== undefined) this.changes.touched(path);
  }

  private openBytes(path: string): Uint8Array | undefined {
    if (this.corpus === undefined) return undefined;
    const document = this.documents.get(URI.file(join(this.corpus.root, path)).toString());
    return document === undefined ? undefined : this.bytes.of(document).bytes;
  }

  /** Workspace-relative path with "/"; undefined outside the workspace. */
  private pathOf(uri: string): string | undefined {
    const parsed = URI.parse(uri);
    if (this.corpus === undefined || parsed.scheme !== "file") return undefined;
    const path = relative(this.corpus.root, parsed.fsPath);
    if (path === "" || path.startsWith("..") || isAbsolute(path)) return undefined;
    return path.split(sep).join("/");
  }

  private workspace(): WorkspaceCorpus {
    if (this.corpus === undefined)
      throw new ResponseError(
        LSPErrorCodes.RequestFailed,
        "no folder is open; open a folder first",
      );
    return this.corpus;
  }

  private async training(
    act: (scheduler: TrainScheduler) => Promise<protocol.StartOutcome>,
  ): Promise<protocol.StartOutcome> {
    await this.begun;
    if (this.scheduler === undefined)
      return {
        outcome: "refused",
        message: "no folder is open",
        hint: "open a folder to train on",
      };
    return act(this.scheduler);
  }

  private settings(uri?: string): Promise<Settings> {
    return this.settingsCache.of(uri);
  }

  /** The one place where a changed configuration takes effect. */
  private settingsChanged(): void {
    const before = this.settingsCache.clear();
    void Promise.all([before, this.settings()])
      .then(async ([old, now]) => {
        if (old === undefined || this.scheduler === undefined) return;
        const moved =
          old["device.backend"] !== now["device.backend"] ||
          old["model.checkpointDirectory"] !== now["model.checkpointDirectory"];
        if (!moved || this.scheduler.running) return;
        await this.chooseDirectory();
        await this.loadAndShow();
      })
      .catch((error: unknown) => this.fail(error));
  }

  private async chooseDirectory(): Promise<void> {
    const chosen = (await this.settings())["model.checkpointDirectory"];
    this.modelDirectory =
      chosen !== "" && isAbsolute(chosen) && this.corpus !== undefined
        ? join(chosen, folderName(this.corpus.root))
        : join(this.storage, "model");
  }

  private async device(): Promise<protocol.DeviceSummary> {
    const loaded = this.session.loaded?.device;
    if (loaded !== undefined) return { ...loaded, safeMode: this.host.safeMode };
    const wanted = (await this.settings())["device.backend"];
    return {
      kind: wanted === "cpu" ? "cpu" : "gpu",
      name: wanted,
      reason: "not started",
      safeMode: this.host.safeMode,
    };
  }

  private fail(error: unknown): void {
    const known =
      error instanceof NarrowError ? error : new NarrowError("NG_SERVER", String(error));
    this.logger.error(known.message, { code: known.code });
    this.status.set({
      kind: "error",
      code: known.code,
      message: known.message,
      hint: known.hint ?? null,
    });
  }

  private async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.changes.dispose();
    this.status.dispose();
    const ending = this.scheduler?.dispose();
    await this.host.dispose();
    await ending;
  }
}

function isNoGpu(error: NarrowError): boolean {
  return error.code.includes("GPU") || error.code.includes("DEVICE_UNAVAILABLE");
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
