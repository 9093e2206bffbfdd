/**
 * When and how training runs: prepares the corpus, sends one `train` request to the model host, pauses and resumes
 * it, restarts it from its last checkpoint after the host died, and remembers an unfinished run across sessions.
 * The host trains beside the model in use and says in its result whether the new one was better (`promoted`). While
 * nothing trains and nobody is there, changed files are learned (`idle`); training always goes before that.
 */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HostExitError, NarrowError, type Logger } from "../model/index.ts";
import { meansNoGpu, type TrainOutcome, type TrainParams } from "./hostCalls.ts";
import type { ModelProcess } from "./modelProcess.ts";
import { IdleConsolidation, type IdleConsolidationParts } from "./idleConsolidation.ts";
import type { DeviceSummary, ModelState, StartOutcome, TrainingPoint } from "./protocol.ts";
import type { Settings } from "./settings.ts";
import {
  deviceFromLabel,
  isPreparing,
  minutesOf,
  NOT_STARTED,
  percentOf,
} from "./trainingFigures.ts";

/** What preparing yields: where the host finds the corpus and what language servers said about it. */
export type PreparedCorpus = Pick<TrainParams, "filesManifest" | "lexiconPath" | "symbolsPath">;

export interface TrainSchedulerParts {
  readonly host: Pick<ModelProcess, "request" | "forgive" | "safeMode">;
  readonly logger: Logger;
  /** File that remembers an unfinished run. */
  readonly memoFile: string;
  settings(): Promise<Settings>;
  directory(): string;
  prepare(o: {
    readonly resume: boolean;
    readonly onPhase: (phase: string) => void;
    readonly signal: AbortSignal;
  }): Promise<PreparedCorpus>;
  setState(state: ModelState): void;
  publishPoint(point: TrainingPoint): void;
  /** Training ended; reload the model if a better one was written, and show the state of rest. */
  onSettled(outcome: TrainOutcome | undefined): Promise<void>;
  answers(): boolean;
  readonly typingRestMs?: number;
  /** Of learning while idle. A model is in use, and training on this workspace was consented to. */
  mayLearn(): boolean;
  readonly listFiles: IdleConsolidationParts["listFiles"];
  readonly power: IdleConsolidationParts["power"];
  readonly onConsolidated: IdleConsolidationParts["onSettled"];
  readonly idleLookMs?: number;
}

/** After the last key, training on the CPU waits this long before it goes on. */
const TYPING_REST_MS = 3000;
/** The editor waits about twice as long for the server to stop. */
const SAVE_GRACE_MS = 2000;
const MAX_HISTORY = 4000;
const MAX_ATTEMPTS = 8;
const SEED = 1;

interface Memo {
  readonly status: "running" | "paused";
}

export class TrainScheduler {
  readonly idle: IdleConsolidation;
  private readonly parts: TrainSchedulerParts;
  private run: Promise<void> | undefined;
  private stopping: AbortController | undefined;
  private inHost = false;
  private pausedByPerson = false;
  private pausedByTyping = false;
  private typingTimer: NodeJS.Timeout | undefined;
  private hostBack: { resolve(): void; reject(error: Error): void } | undefined;
  /** Set when the host died for good; the next start by the person clears it. */
  private hostGone: Error | undefined;
  private points: TrainingPoint[] = [];
  private lastPoint: TrainingPoint | undefined;
  private deviceNow: DeviceSummary | undefined;
  private percent = 0;
  private memoWritten: Promise<void> = Promise.resolve();

  constructor(parts: TrainSchedulerParts) {
    this.parts = parts;
    this.idle = new IdleConsolidation({
      host: parts.host,
      logger: parts.logger,
      settings: () => parts.settings(),
      directory: () => parts.directory(),
      listFiles: (signal) => parts.listFiles(signal),
      power: () => parts.power(),
      mayRun: async () =>
        parts.mayLearn() && this.run === undefined && (await this.unfinished()) === undefined,
      setState: (state) => parts.setState(state),
      onSettled: async (report) => {
        // A training that was started meanwhile shows itself.
        if (this.run === undefined) await parts.onConsolidated(report);
      },
      ...(parts.idleLookMs === undefined ? {} : { lookAgainMs: parts.idleLookMs }),
    });
  }

  get running(): boolean {
    return this.run !== undefined;
  }

  get history(): readonly TrainingPoint[] {
    return this.points;
  }

  /** An unfinished run of an earlier session, if there is one. */
  async unfinished(): Promise<Memo["status"] | undefined> {
    try {
      const memo = JSON.parse(await readFile(this.parts.memoFile, "utf8")) as Partial<Memo>;
      return memo.status === "running" || memo.status === "paused" ? memo.status : undefined;
    } catch {
      return undefined;
    }
  }

  async start(how: { readonly resume: boolean }): Promise<StartOutcome> {
    if (this.run !== undefined) return { outcome: "alreadyRunning" };
    const settings = await this.parts.settings();
    if (!settings["training.enable"])
      return {
        outcome: "refused",
        message: "training is switched off for this workspace",
        hint: "the setting narrowgauge.training.enable allows it",
      };
    await this.idle.stop();
    // Two commands can arrive together; the check and the assignment have no await between them.
    if (this.run !== undefined) return { outcome: "alreadyRunning" };
    this.pausedByPerson = false;
    this.pausedByTyping = false;
    if (!how.resume) this.points = [];
    this.lastPoint = undefined;
    this.hostGone = undefined;
    this.parts.host.forgive();
    this.run = this.train(how).finally(() => {
      this.run = undefined;
    });
    return { outcome: "started" };
  }

  async pause(): Promise<boolean> {
    if (this.run === undefined) return this.idle.pause();
    this.pausedByPerson = true;
    await this.remember("paused");
    await this.applyPause();
    return true;
  }

  async resume(): Promise<StartOutcome> {
    if (this.run === undefined)
      return (await this.idle.resume()) ? { outcome: "started" } : this.start({ resume: true });
    this.pausedByPerson = false;
    this.pausedByTyping = false;
    await this.remember("running");
    await this.applyPause();
    return { outcome: "started" };
  }

  /** A key was pressed in a document. On the CPU, training steps aside for a moment, visibly. */
  typed(): void {
    this.idle.active();
    if (!this.inHost || this.deviceNow?.kind !== "cpu" || isPreparing(this.lastPoint)) return;
    void this.stepAside().catch((error: unknown) =>
      this.report("pausing for typing failed", error),
    );
  }

  onProgress(point: TrainingPoint): void {
    if (this.run === undefined) return;
    this.lastPoint = point;
    const scored = this.heldoutBpb();
    if (point.phase === "training" || (point.heldoutBpb !== null && point.heldoutBpb !== scored)) {
      this.points.push(point);
      // Older points are thinned, so that the whole run stays on the curve at a bounded size.
      if (this.points.length > MAX_HISTORY)
        this.points = this.points.filter(
          (kept, index) => index % 2 === 0 || kept.heldoutBpb !== null,
        );
    }
    this.parts.publishPoint(point);
    this.show();
  }

  /** The model host died while it may have been training. */
  onHostCrash(crash: { readonly error: Error; readonly givenUp: boolean }): void {
    if (!crash.givenUp) return;
    this.hostGone = crash.error;
    this.hostBack?.reject(crash.error);
    this.hostBack = undefined;
  }

  onHostStarted(): void {
    this.hostBack?.resolve();
    this.hostBack = undefined;
  }

  /** Ends the run but remembers it, because the editor closes. The host gets a moment to save. */
  async dispose(): Promise<void> {
    clearTimeout(this.typingTimer);
    await this.idle.dispose();
    const training = this.inHost;
    this.stopping?.abort();
    this.hostBack?.reject(new Error("the server stops"));
    if (training) {
      const saved = this.parts.host.request("stopTraining", {}).catch(() => undefined);
      await Promise.race([saved, sleep(SAVE_GRACE_MS)]);
    }
    await this.run?.catch(() => undefined);
  }

  private async train(how: { readonly resume: boolean }): Promise<void> {
    const stopping = new AbortController();
    this.stopping = stopping;
    const { signal } = stopping;
    let outcome: TrainOutcome | undefined;
    try {
      // A pause may have come while this began.
      await this.remember(this.pausedByPerson ? "paused" : "running");
      this.prepares("reading files");
      const corpus = await this.parts.prepare({
        resume: how.resume,
        signal,
        onPhase: (phase) => this.prepares(phase),
      });
      outcome = await this.trainUntilDone(corpus, how.resume, signal);
      await this.forget();
      await this.parts.onSettled(outcome);
    } catch (error) {
      if (signal.aborted) return; // The editor closes; the memo stays.
      this.report("training stopped", error);
      await this.forget();
      const known =
        error instanceof NarrowError ? error : new NarrowError("NG_TRAIN", String(error));
      this.parts.setState(
        meansNoGpu(known)
          ? { kind: "noGpu", reason: known.message }
          : {
              kind: "error",
              code: known.code,
              message: known.message,
              hint: known.hint ?? null,
            },
      );
    } finally {
      this.stopping = undefined;
    }
  }

  private async trainUntilDone(
    corpus: PreparedCorpus,
    resume: boolean,
    signal: AbortSignal,
  ): Promise<TrainOutcome> {
    for (let attempt = 1; ; attempt++) {
      const settings = await this.parts.settings();
      signal.throwIfAborted();
      try {
        this.deviceNow = undefined;
        this.lastPoint = undefined;
        this.percent = 0;
        const training = this.parts.host.request(
          "train",
          {
            ...corpus,
            out: this.parts.directory(),
            preset: settings["model.preset"],
            minutes: minutesOf(settings),
            seed: SEED,
            device: this.parts.host.safeMode ? "cpu" : settings["device.backend"],
            resume: resume || attempt > 1,
          },
          signal,
        );
        this.inHost = true;
        // A run that was paused while it prepared waits before its first step.
        if (this.pausedByPerson) await this.applyPause().catch(() => undefined);
        return await training;
      } catch (error) {
        if (!(error instanceof HostExitError) || signal.aborted || attempt >= MAX_ATTEMPTS)
          throw error;
        this.inHost = false;
        this.parts.setState({
          kind: "recovering",
          message: error.message,
          resumesTraining: true,
        });
        this.parts.logger.warn("training continues from the last checkpoint", { attempt });
        await this.hostAgain();
      } finally {
        this.inHost = false;
      }
    }
  }

  /** Resolves when the host has started after its crash; rejects when it will not. */
  private hostAgain(): Promise<void> {
    if (this.hostGone !== undefined) return Promise.reject(this.hostGone);
    return new Promise<void>((resolve, reject) => {
      this.hostBack = { resolve, reject };
    });
  }

  private async stepAside(): Promise<void> {
    clearTimeout(this.typingTimer);
    this.typingTimer = setTimeout(() => {
      this.pausedByTyping = false;
      this.applyPause().catch((error: unknown) => this.report("resuming failed", error));
    }, this.parts.typingRestMs ?? TYPING_REST_MS);
    if (this.pausedByTyping) return;
    this.pausedByTyping = true;
    await this.applyPause();
  }

  private async applyPause(): Promise<void> {
    this.show();
    if (!this.inHost) return;
    await this.parts.host.request(
      this.pausedByPerson || this.pausedByTyping ? "pause" : "resume",
      {},
    );
  }

  private show(): void {
    if (this.run === undefined) return;
    const point = this.lastPoint;
    if (point === undefined) {
      // Paused before the first step: it will wait there.
      if (this.pausedByPerson)
        this.parts.setState({
          kind: "paused",
          work: "training",
          why: "you asked",
          percent: 0,
          device: NOT_STARTED,
        });
      return;
    }
    this.deviceNow ??= deviceFromLabel(point.device, this.parts.host.safeMode);
    const device = this.deviceNow;
    // Estimates waver; what is shown does not go backwards.
    const percent = Math.max(this.percent, percentOf(point));
    this.percent = percent;
    if (this.pausedByPerson || this.pausedByTyping) {
      this.parts.setState({
        kind: "paused",
        work: "training",
        why: this.pausedByPerson ? "you asked" : "you are typing",
        percent,
        device,
      });
      return;
    }
    if (isPreparing(point)) {
      this.parts.setState({ kind: "preparing", phase: point.phase });
      return;
    }
    this.parts.setState({
      kind: "training",
      percent,
      secondsLeft: Math.round(point.secondsLeft),
      device,
      heldoutBpb: this.heldoutBpb(),
      answers: this.parts.answers(),
    });
  }

  /** The newest held-out score of the run. */
  private heldoutBpb(): number | null {
    return this.points.findLast((kept) => kept.heldoutBpb !== null)?.heldoutBpb ?? null;
  }

  private prepares(phase: string): void {
    if (!this.pausedByPerson) this.parts.setState({ kind: "preparing", phase });
  }

  private remember(status: Memo["status"]): Promise<void> {
    const { memoFile } = this.parts;
    return this.afterMemo(async () => {
      await mkdir(dirname(memoFile), { recursive: true });
      await writeFile(`${memoFile}.new`, JSON.stringify({ status } satisfies Memo));
      await rename(`${memoFile}.new`, memoFile);
    });
  }

  private forget(): Promise<void> {
    return this.afterMemo(() => rm(this.parts.memoFile, { force: true }));
  }

  /** Writes of the memo come one after the other, or the older could win. */
  private afterMemo(write: () => Promise<void>): Promise<void> {
    this.memoWritten = this.memoWritten.then(write).catch((error: unknown) => {
      this.report("the state of training could not be written", error);
    });
    return this.memoWritten;
  }

  private report(message: string, error: unknown): void {
    this.parts.logger.warn(message, {
      error: error instanceof Error ? error.message : String(error),
    });
  }
}
