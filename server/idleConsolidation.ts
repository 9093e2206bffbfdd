/**
 * Learns changed files while nobody uses the editor: waits until it has rested for some minutes, asks the model host to
 * consolidate, and drops the run at once when somebody is back. A run is short and starts from the model in use, so one
 * that was dropped is simply done again at the next rest. Nothing of it is ever an error that a person has to see.
 */
import type { Logger } from "../model/index.ts";
import type { ConsolidatingProgress, ConsolidationReport } from "../model/protocol.ts";
import type { ModelProcess } from "./modelProcess.ts";
import type { Power } from "./power.ts";
import type { ModelState } from "./protocol.ts";
import type { Settings } from "./settings.ts";
import { deviceFromLabel } from "./trainingFigures.ts";

export interface IdleConsolidationParts {
  readonly host: Pick<ModelProcess, "request" | "safeMode">;
  readonly logger: Logger;
  settings(): Promise<Settings>;
  directory(): string;
  /** Writes down for the host which files there are; the path of that list. */
  listFiles(signal: AbortSignal): Promise<string>;
  power(): Promise<Power>;
  /** A model is in use, its training was consented to, and no other is running or waits to go on. */
  mayRun(): Promise<boolean>;
  setState(state: ModelState): void;
  /** A run ended: with a report, or without one when it was dropped or failed. */
  onSettled(report: ConsolidationReport | undefined): Promise<void>;
  readonly lookAgainMs?: number;
}

/** After a change, and when it could not run for another reason than life. */
const LOOK_AGAIN_MS = 60_000;
/** Where each phase begins and ends, in percent of the whole. */
const PHASES = {
  choosing: [0, 15],
  measuring: [15, 25],
  comparing: [25, 55],
  learning: [55, 85],
  checking: [85, 100],
} as const;

interface Run {
  readonly abort: AbortController;
  readonly done: Promise<void>;
  paused: boolean;
  progress: ConsolidatingProgress | undefined;
}

export class IdleConsolidation {
  private readonly parts: IdleConsolidationParts;
  private run: Run | undefined;
  private timer: NodeJS.Timeout | undefined;
  private lastActivity = Date.now();
  /** Files may have changed since the last run. */
  private changes = false;
  private readonly lookAgainMs: number;
  private disposed = false;

  constructor(parts: IdleConsolidationParts) {
    this.parts = parts;
    this.lookAgainMs = parts.lookAgainMs ?? LOOK_AGAIN_MS;
  }

  get running(): boolean {
    return this.run !== undefined;
  }

  /** Somebody uses the editor: typed, or waits for an answer. */
  active(): void {
    this.lastActivity = Date.now();
    // One that a person paused rests until they resume it.
    if (this.run?.paused === false) this.run.abort.abort();
  }

  /** A file of the workspace is not what it was. */
  fileChanged(): void {
    this.changes = true;
    if (this.run === undefined) this.look(this.lookAgainMs);
  }

  /** The person does not want what was learned of the present changes; later ones count again. */
  forgetChanges(): void {
    this.changes = false;
  }

  onProgress(progress: ConsolidatingProgress): void {
    if (this.run === undefined) return;
    this.run.progress = progress;
    this.show();
  }

  /** False where nothing runs. */
  async pause(): Promise<boolean> {
    if (this.run === undefined) return false;
    this.run.paused = true;
    this.show();
    await this.parts.host.request("pause", {});
    return true;
  }

  /** False where nothing runs. */
  async resume(): Promise<boolean> {
    if (this.run === undefined) return false;
    this.run.paused = false;
    this.show();
    await this.parts.host.request("resume", {});
    return true;
  }

  /** Drops the run that is under way; the changes stay to be learned. */
  async stop(): Promise<void> {
    this.run?.abort.abort();
    await this.run?.done;
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    clearTimeout(this.timer);
    await this.stop();
  }

  private look(afterMs: number): void {
    if (this.disposed || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.consider().catch((error: unknown) => this.report("idle learning failed", error));
    }, afterMs);
    this.timer.unref();
  }

  /** Begins a run if this is the moment, and otherwise looks again later. */
  private async consider(): Promise<void> {
    if (!this.changes || this.run !== undefined) return;
    const seen = this.lastActivity;
    const settings = await this.parts.settings();
    const minutes = settings["training.idleMinutes"];
    // Switched off; the next change looks again.
    if (minutes === 0 || !settings["training.enable"]) return;
    const rest = seen + minutes * 60_000 - Date.now();
    if (rest > 0) {
      this.look(rest);
      return;
    }
    const free = (await this.parts.mayRun()) && (await this.parts.power()) !== "battery";
    if (!free || this.lastActivity !== seen) this.look(this.lookAgainMs);
    else if (!this.disposed) this.begin(settings["device.backend"]);
  }

  private begin(device: "auto" | "gpu" | "cpu"): void {
    const abort = new AbortController();
    this.changes = false;
    this.run = {
      abort,
      paused: false,
      progress: undefined,
      done: this.consolidate(this.parts.host.safeMode ? "cpu" : device, abort.signal),
    };
  }

  private async consolidate(device: "auto" | "gpu" | "cpu", signal: AbortSignal): Promise<void> {
    let report: ConsolidationReport | undefined;
    try {
      const filesManifest = await this.parts.listFiles(signal);
      report = await this.parts.host.request(
        "consolidate",
        { dir: this.parts.directory(), filesManifest, device, seed: SEED },
        signal,
      );
    } catch (error) {
      // What failed is not tried again before something changes.
      if (!signal.aborted) this.report("what changed could not be learned", error);
    }
    this.run = undefined;
    if (signal.aborted || report?.outcome === "aborted") {
      report = undefined;
      this.fileChanged();
    } else if (this.changes) this.look(this.lookAgainMs);
    // The next one has to wait for a rest of its own.
    this.lastActivity = Date.now();
    if (!this.disposed)
      await this.parts
        .onSettled(report)
        .catch((error: unknown) => this.report("the model could not be loaded again", error));
  }

  private show(): void {
    const progress = this.run?.progress;
    if (this.run === undefined || progress === undefined) return;
    const { phase, share } = progress;
    const [from, to] = PHASES[phase];
    const percent = Math.floor(from + share * (to - from));
    const device = deviceFromLabel(progress.device, this.parts.host.safeMode);
    this.parts.setState(
      this.run.paused
        ? { kind: "paused", work: "consolidation", why: "you asked", percent, device }
        : { kind: "consolidating", percent, device },
    );
  }

  private report(message: string, error: unknown): void {
    this.parts.logger.warn(message, {
      error: error instanceof Error ? error.message : String(error),
    });
  }
}

const SEED = 1;
