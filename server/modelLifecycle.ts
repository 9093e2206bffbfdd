/**
 * One workspace's model from nothing to answers: the host process, the loaded model, training, and the state the
 * person sees. Knows nothing of LSP; the language server hands it what it needs and asks it for results.
 */
import { join } from "node:path";
import { HostExitError, NarrowError, type Logger } from "../model/index.ts";
import type { FileSink } from "./fileChanges.ts";
import type { HostEvent } from "../model/protocol.ts";
import { Embedder } from "./embedder.ts";
import { meansNoGpu, type LoadedModel } from "./hostCalls.ts";
import type { CompletionEngine } from "./inlineCompletion.ts";
import { ModelProcess, type ModelProcessOptions } from "./modelProcess.ts";
import { ModelSession } from "./modelSession.ts";
import { power, type Power } from "./power.ts";
import type {
  ConsolidationReport,
  DeviceSummary,
  ModelState,
  RestoreOutcome,
  TrainingHistory,
  TrainingPoint,
} from "./protocol.ts";
import type { Settings } from "./settings.ts";
import { Status } from "./status.ts";
import { joinHistory, readConsolidations, readHistory } from "./trainingHistory.ts";
import { TrainScheduler, type PreparedCorpus } from "./trainScheduler.ts";

export type HostOptions = Pick<
  ModelProcessOptions,
  "modulePath" | "execPath" | "execArgv" | "args" | "protocolVersion" | "backOff"
>;

export interface ModelLifecycleParts {
  readonly host: HostOptions;
  readonly logger: Logger;
  readonly modelLogger: Logger;
  /** Private folder of the workspace. */
  readonly storage: string;
  readonly typingRestMs?: number;
  /** The same list in a place of its own, as training may be reading the other. */
  readonly listFilesNow: (signal: AbortSignal) => Promise<string>;
  /** How long after a model was loaded its memory is brought up to the files on disk. */
  readonly refreshAfterMs?: number;
  readonly idleLookMs?: number;
  settings(): Promise<Settings>;
  /** Where the model lives, as the settings have it now. */
  directory(settings: Settings): string;
  prepare(o: {
    readonly resume: boolean;
    readonly onPhase: (phase: string) => void;
    readonly signal: AbortSignal;
  }): Promise<PreparedCorpus>;
  /** Writes the list of files alone. */
  listFiles(signal: AbortSignal): Promise<string>;
  /** What the machine runs on; read from the system where it is left out. */
  readonly power?: () => Promise<Power>;
  publishState(state: ModelState): void;
  publishPoint(point: TrainingPoint): void;
  publishConsolidation(report: ConsolidationReport): void;
  /** A model can answer now, or no longer. */
  onAvailability(available: boolean): void;
  /** Another model answers now; what was derived from the one before no longer holds. */
  onModelChanged(): void;
}

const REFRESH_AFTER_MS = 3_000;

export class ModelLifecycle {
  private readonly parts: ModelLifecycleParts;
  private readonly status: Status;
  private readonly host: ModelProcess;
  private readonly session: ModelSession;
  private readonly embedder = new Embedder((texts) => this.vectorsOf(texts));
  readonly scheduler: TrainScheduler;
  private modelDirectory: string;
  private consented = false;
  private disposed = false;
  private refreshing: { timer: NodeJS.Timeout; abort: AbortController } | undefined;

  constructor(parts: ModelLifecycleParts) {
    this.parts = parts;
    this.modelDirectory = join(parts.storage, "model");
    this.status = new Status((state) => parts.publishState(state));
    this.host = new ModelProcess({
      ...parts.host,
      logger: parts.modelLogger,
      onEvent: (event) => this.onHostEvent(event),
      onStarted: ({ first }) => this.onHostStarted(first),
      onCrash: ({ error, retryMs }) => this.onHostCrash(error, retryMs),
    });
    this.session = new ModelSession({
      host: this.host,
      logger: parts.logger,
      directory: () => this.modelDirectory,
      device: async () => (await parts.settings())["device.backend"],
      onAvailability: (available) => {
        if (!this.disposed) parts.onAvailability(available);
      },
    });
    this.scheduler = new TrainScheduler({
      host: this.host,
      logger: parts.logger,
      memoFile: join(parts.storage, "training.json"),
      settings: () => parts.settings(),
      directory: () => this.modelDirectory,
      prepare: (o) => parts.prepare(o),
      setState: (state) => this.status.set(state),
      publishPoint: (point) => parts.publishPoint(point),
      onSettled: async (outcome) => {
        if (outcome !== undefined)
          parts.logger.info(
            outcome.promoted
              ? "training finished; the new model is in use"
              : "training finished; the earlier model predicts held-out files better and stays",
            { heldoutBpb: outcome.heldoutBpb },
          );
        await this.loadAndShow();
      },
      answers: () => this.session.loaded !== undefined,
      mayLearn: () => this.consented && this.session.loaded !== undefined,
      listFiles: (signal) => parts.listFiles(signal),
      power: parts.power ?? power,
      onConsolidated: (report) => this.consolidated(report),
      ...(parts.idleLookMs === undefined ? {} : { idleLookMs: parts.idleLookMs }),
      ...(parts.typingRestMs === undefined ? {} : { typingRestMs: parts.typingRestMs }),
    });
  }

  get state(): ModelState {
    return this.status.current;
  }

  /** Undefined while no model can answer. */
  get engine(): CompletionEngine | undefined {
    return this.session.loaded === undefined ? undefined : this.session.engine;
  }

  /** The model's memory, if one is loaded; it has to hear of changed files. */
  get sink(): FileSink | undefined {
    if (this.session.loaded === undefined) return undefined;
    return {
      setFile: (path, bytes) => {
        this.host.tell("setFile", { path, bytes: Buffer.from(bytes).toString("base64") });
        this.scheduler.idle.fileChanged();
      },
      removeFile: (path) => this.host.tell("removeFile", { path }),
    };
  }

  /** The curves of the run at work, or of the model in use; earlier sessions included. */
  async history(): Promise<TrainingHistory> {
    const { running, history } = this.scheduler;
    const before = await readHistory(this.modelDirectory, running ? "running" : "finished");
    return {
      points: joinHistory(before, history),
      consolidations: await readConsolidations(this.modelDirectory),
      state: this.state,
    };
  }

  /** Loads what is there; goes on with an unfinished training if this person consented to it. */
  async begin(o: { readonly consented: boolean }): Promise<void> {
    if (o.consented) this.consent();
    await this.reload();
    const last = (await readConsolidations(this.modelDirectory)).at(-1);
    // Files may have changed while nothing watched them; what a person took back is not learned again unasked.
    if (last?.outcome !== "restored") this.scheduler.idle.fileChanged();
    const unfinished = o.consented ? await this.scheduler.unfinished() : undefined;
    if (unfinished === "running" && !this.scheduler.running)
      await this.scheduler.start({ resume: true });
    else if (unfinished === "paused")
      this.status.set({
        kind: "paused",
        work: "training",
        why: "editor was closed",
        percent: 0,
        device: await this.device(),
      });
  }

  /** The person said yes to training on this workspace, now or earlier. */
  consent(): void {
    this.consented = true;
  }

  /** Puts the version before in the place of the model in use. */
  async restoreVersion(): Promise<RestoreOutcome> {
    if (this.scheduler.running)
      return { outcome: "refused", message: "a training is running; go back when it has ended" };
    await this.scheduler.idle.stop();
    const { restored } = await this.host.request("restoreVersion", { dir: this.modelDirectory });
    if (!restored) return { outcome: "none" };
    this.scheduler.idle.forgetChanges();
    const last = (await readConsolidations(this.modelDirectory)).at(-1);
    if (last !== undefined) this.parts.publishConsolidation(last);
    await this.loadAndShow();
    return { outcome: "restored" };
  }

  /** The settings say where the model lives and what it runs on; they may have changed. */
  async reload(): Promise<void> {
    this.modelDirectory = this.parts.directory(await this.parts.settings());
    await this.loadAndShow();
  }

  /** Rejects while no model is loaded. */
  embed(texts: readonly Uint8Array[]): Promise<readonly Float32Array[]> {
    return this.embedder.embed(texts);
  }

  /** Shows a failure and logs it. */
  fail(error: unknown): void {
    const known =
      error instanceof NarrowError ? error : new NarrowError("NG_SERVER", String(error));
    this.parts.logger.error(known.message, { code: known.code });
    this.status.set({
      kind: "error",
      code: known.code,
      message: known.message,
      hint: known.hint ?? null,
    });
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.stopRefreshing();
    this.status.dispose();
    await this.scheduler.dispose();
    await this.host.dispose();
  }

  private async consolidated(report: ConsolidationReport | undefined): Promise<void> {
    if (report?.outcome === "accepted" || report?.outcome === "refused")
      this.parts.publishConsolidation(report);
    if (report?.outcome === "accepted") await this.loadAndShow();
    else this.atRest();
  }

  /** Shows the model in use again where a consolidation was shown. */
  private atRest(): void {
    const { current } = this.status;
    const shown = current.kind === "paused" ? current.work : current.kind;
    const model = this.session.loaded;
    if ((shown === "consolidating" || shown === "consolidation") && model !== undefined)
      this.status.set(this.readyState(model));
  }

  private async loadAndShow(): Promise<void> {
    const result = await this.session.load();
    this.embedder.forget();
    this.parts.onModelChanged();
    if (result.outcome === "loaded") {
      this.status.set(this.readyState(result.model));
      this.refreshSoon();
    } else if (result.outcome === "none")
      this.status.set({ kind: "notTrained", reason: "no model of this workspace yet" });
    else if (result.error instanceof HostExitError && this.status.current.kind === "recovering")
      return; // It is being started again, and loads the model then.
    else if (meansNoGpu(result.error))
      this.status.set({ kind: "noGpu", reason: result.error.message });
    else this.fail(result.error);
  }

  /** The files may have changed while nothing watched them; completions come first. */
  private refreshSoon(): void {
    this.stopRefreshing();
    const abort = new AbortController();
    const timer = setTimeout(() => {
      this.refresh(abort.signal).catch((error: unknown) => {
        if (!abort.signal.aborted)
          this.parts.logger.warn("the memory could not be brought up to date", {
            error: String(error),
          });
      });
    }, this.parts.refreshAfterMs ?? REFRESH_AFTER_MS);
    timer.unref();
    this.refreshing = { timer, abort };
  }

  private stopRefreshing(): void {
    clearTimeout(this.refreshing?.timer);
    this.refreshing?.abort.abort();
    this.refreshing = undefined;
  }

  private async refresh(signal: AbortSignal): Promise<void> {
    if (!this.consented || this.session.loaded === undefined) return;
    const filesManifest = await this.parts.listFilesNow(signal);
    signal.throwIfAborted();
    const { changed = 0, removed = 0 } = await this.host.request(
      "refresh",
      { filesManifest },
      signal,
    );
    this.parts.logger.info("the memory is up to date with the files", { changed, removed });
  }

  private async vectorsOf(texts: readonly string[]): Promise<readonly (readonly number[])[]> {
    if (this.session.loaded === undefined)
      throw new HostExitError("NG_NO_MODEL", "no model is loaded");
    const { vectors } = await this.host.request("embed", { texts: [...texts] });
    return vectors;
  }

  private readyState(model: LoadedModel): ModelState {
    return {
      kind: "ready",
      device: { ...model.device, safeMode: this.host.safeMode },
      model: { params: model.params, heldoutBpb: model.heldoutBpb, preset: model.preset },
    };
  }

  private onHostEvent(event: HostEvent): void {
    switch (event.event) {
      case "progress":
        this.scheduler.onProgress(event.progress as TrainingPoint);
        break;
      case "log":
        this.parts.modelLogger[event.level](event.message);
        break;
      case "consolidating":
        this.scheduler.idle.onProgress(event.progress);
        break;
      case "checkpoint":
        this.parts.logger.debug("checkpoint written", { step: event.step });
        break;
      default:
        event satisfies never;
    }
  }

  private onHostStarted(first: boolean): void {
    this.scheduler.onHostStarted();
    // The first start was asked for by whoever loads or trains; after a crash the model has to come back.
    if (first) return;
    this.session
      .load()
      .then((result) => {
        if (result.outcome === "loaded") this.refreshSoon();
        if (this.scheduler.running) return;
        if (result.outcome === "loaded") this.status.set(this.readyState(result.model));
        else if (result.outcome === "failed" && !(result.error instanceof HostExitError))
          this.fail(result.error);
      })
      .catch((error: unknown) => this.fail(error));
  }

  private onHostCrash(error: HostExitError, retryMs: number | null): void {
    this.session.lost();
    if (retryMs === null) this.fail(error);
    else
      this.status.set({
        kind: "recovering",
        message: error.message,
        resumesTraining: this.scheduler.running,
      });
    this.scheduler.onHostCrash({ error, givenUp: retryMs === null });
  }

  private async device(): Promise<DeviceSummary> {
    const loaded = this.session.loaded?.device;
    if (loaded !== undefined) return { ...loaded, safeMode: this.host.safeMode };
    const wanted = (await this.parts.settings())["device.backend"];
    return {
      kind: wanted === "cpu" ? "cpu" : "gpu",
      name: wanted,
      reason: "not started",
      safeMode: this.host.safeMode,
    };
  }
}
