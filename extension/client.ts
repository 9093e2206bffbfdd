/**
 * The language client: starts the server on a real Node over IPC, restarts it with at most one restart in flight
 * and one queued, and passes its notifications on. Two lifetimes: what belongs to the client dies with it.
 */
import * as vscode from "vscode";
import {
  LanguageClient,
  RevealOutputChannelOn,
  State,
  TransportKind,
  type LanguageClientOptions,
  type NodeModule,
} from "vscode-languageclient/node";
import {
  ConsolidationNotification,
  LogNotification,
  StateNotification,
  TrainingPointNotification,
  type ConsolidationReport,
  type InitializationOptions,
  type ModelState,
  type NotificationMessage,
  type RequestMessage,
  type TrainingPoint,
} from "../server/protocol.ts";
import { answerDocumentFacts } from "./documentFacts.ts";
import { answerOfferedNames } from "./offeredNames.ts";
import type { Log } from "./log.ts";
import { findNode } from "./nodePath.ts";

export interface ClientParts {
  readonly context: vscode.ExtensionContext;
  readonly log: Log;
  readonly consented: () => boolean;
  onState(state: ModelState): void;
  onPoint(point: TrainingPoint): void;
  onConsolidation(report: ConsolidationReport): void;
}

const STOP_TIMEOUT_MS = 4000;

export class Client implements vscode.Disposable {
  private readonly parts: ClientParts;
  private client: LanguageClient | undefined;
  private restarting: Promise<void> | undefined;
  private queued: Promise<void> | undefined;

  constructor(parts: ClientParts) {
    this.parts = parts;
  }

  get running(): boolean {
    return this.client?.state === State.Running;
  }

  request<Params, Result>(
    message: RequestMessage<Params, Result>,
    params: Params,
    token?: vscode.CancellationToken,
  ): Promise<Result> {
    if (this.client === undefined)
      return Promise.reject(new Error("the language server is not running"));
    return this.client.sendRequest<Result>(message.method, params, token);
  }

  notify<Params>(message: NotificationMessage<Params>, params: Params): void {
    this.client?.sendNotification(message.method, params).catch(() => undefined);
  }

  restart(): Promise<void> {
    if (this.restarting === undefined) {
      this.restarting = this.stop()
        .then(() => this.start())
        .finally(() => {
          this.restarting = undefined;
        });
      return this.restarting;
    }
    this.queued ??= this.restarting
      .catch(() => undefined)
      .then(() => {
        this.queued = undefined;
        return this.restart();
      });
    return this.queued;
  }

  async start(): Promise<void> {
    const { context, log } = this.parts;
    const node = findNode({
      extensionPath: context.extensionPath,
      setting: vscode.workspace.getConfiguration("narrowgauge").get<string>("nodePath", ""),
    });
    if ("problem" in node) {
      this.fail(node.problem);
      return;
    }
    log.info(`language server on ${node.path} (${node.source})`);
    const module: NodeModule = {
      module: context.asAbsolutePath("dist/server.mjs"),
      runtime: node.path,
      transport: TransportKind.ipc,
      // What the model host measures about this machine serves every workspace.
      options: {
        env: {
          NARROWGAUGE_CACHE: process.env["NARROWGAUGE_CACHE"] ?? context.globalStorageUri.fsPath,
        },
      },
    };
    const client = new LanguageClient(
      "narrowgauge",
      "Narrowgauge",
      { run: module, debug: module },
      this.options(),
    );
    this.client = client;
    client.onDidChangeState(({ newState }) => {
      if (newState === State.Starting) this.parts.onState({ kind: "starting" });
      if (newState === State.Stopped && this.client === client && this.restarting === undefined)
        this.fail("the language server stopped; the log has its last words");
    });
    client.onNotification(StateNotification.method, (state: ModelState) =>
      this.parts.onState(state),
    );
    client.onNotification(TrainingPointNotification.method, (point: TrainingPoint) =>
      this.parts.onPoint(point),
    );
    client.onNotification(ConsolidationNotification.method, (report: ConsolidationReport) =>
      this.parts.onConsolidation(report),
    );
    client.onNotification(
      LogNotification.method,
      ({ level, source, message, fields }: ParamsOf<typeof LogNotification>) =>
        log.write(level, source, message, fields),
    );
    answerDocumentFacts(client, log);
    answerOfferedNames(client);
    try {
      await client.start();
    } catch (error) {
      log.error("the language server could not be started", error);
      this.fail("the language server could not be started; the log says why");
    }
  }

  async stop(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    if (client?.needsStop() !== true) return;
    await client.dispose(STOP_TIMEOUT_MS).catch(() => undefined);
  }

  dispose(): void {
    void this.stop();
  }

  private options(): LanguageClientOptions {
    const { context, log, consented } = this.parts;
    return {
      documentSelector: [
        { scheme: "file" },
        { scheme: "untitled" },
        { scheme: "vscode-notebook-cell" },
      ],
      outputChannel: log.channel,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      // A function: the server may be started again after consent was given.
      initializationOptions: (): InitializationOptions => ({
        storagePath: context.storageUri?.fsPath ?? "",
        consented: consented(),
      }),
      // Failing to initialize is shown in the status bar; another try by itself would fail the same way.
      initializationFailedHandler: () => false,
    };
  }

  private fail(message: string): void {
    this.parts.onState({ kind: "error", code: "NG_CLIENT", message, hint: null });
  }
}

type ParamsOf<M> = M extends NotificationMessage<infer Params> ? Params : never;
