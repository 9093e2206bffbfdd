/**
 * The two streams of the command line: results on standard output, everything else on standard error. On a
 * terminal the progress is one line that is rewritten; elsewhere it is a plain line now and then, so that
 * logs stay readable.
 */
import type { LogFields, Logger, TrainProgress } from "../../model/index.ts";

export interface Terminal {
  /** One line on standard output. */
  out(line: string): void;
  /** Raw text on standard error. */
  err(text: string): void;
  readonly isTty: boolean;
  readonly columns: number;
  /** Aborted by the first Ctrl+C. */
  readonly signal: AbortSignal;
  /** Shows warnings, or everything, of the runtime. */
  readonly debug: boolean;
}

/** Plain lines come this often where there is no terminal. */
const PLAIN_EVERY_MS = 5_000;
const REDRAW_EVERY_MS = 100;
/** The figures matter more than the bar where the line is short. */
const BAR_CELLS = { wide: 24, narrow: 8, from: 100 };

export class ProgressLine {
  readonly #terminal: Terminal;
  #drawn = 0;
  #lastPhase = "";
  #open = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  update(progress: TrainProgress): void {
    // A training by minutes ends by the clock, not by its bytes.
    const seconds = progress.seconds + progress.secondsLeft;
    const share =
      progress.secondsLeft > 0
        ? progress.seconds / seconds
        : progress.bytes / Math.max(1, progress.totalBytes);
    this.show(progress.phase, Math.min(1, share), [
      progress.bytesPerSecond > 0 ? rate(progress.bytesPerSecond) : "",
      progress.loss > 0 ? `loss ${progress.loss.toFixed(3)}` : "",
      progress.heldoutBpb === undefined ? "" : `held out ${progress.heldoutBpb.toFixed(3)}`,
      progress.secondsLeft > 0 ? `${clock(progress.secondsLeft)} left` : "",
    ]);
  }

  show(phase: string, share: number, parts: readonly string[]): void {
    const now = performance.now();
    const due = now - this.#drawn > (this.#terminal.isTty ? REDRAW_EVERY_MS : PLAIN_EVERY_MS);
    if (!due && phase === this.#lastPhase && share < 1) return;
    if (!due && share >= 1 && phase === this.#lastPhase && !this.#terminal.isTty) return;
    this.#drawn = now;
    this.#lastPhase = phase;
    const percent = `${Math.floor(share * 100)} %`.padStart(5);
    const tail = parts.filter((part) => part !== "").join("  ");
    if (!this.#terminal.isTty) {
      this.#terminal.err(`${phase} ${percent.trim()}${tail === "" ? "" : `  ${tail}`}\n`);
      return;
    }
    const cells = this.#terminal.columns >= BAR_CELLS.from ? BAR_CELLS.wide : BAR_CELLS.narrow;
    const full = Math.round(share * cells);
    const bar = `[${"#".repeat(full)}${".".repeat(cells - full)}]`;
    const line = `${phase.padEnd(10)} ${bar} ${percent}  ${tail}`;
    this.#terminal.err(`\r\x1b[K${line.slice(0, Math.max(20, this.#terminal.columns - 1))}`);
    this.#open = true;
  }

  /** Ends the line, so that what follows starts on its own. */
  close(): void {
    if (this.#open) this.#terminal.err("\n");
    this.#open = false;
    this.#lastPhase = "";
  }
}

/** What the runtime logs: warnings always, the rest only when asked for. */
export function terminalLogger(terminal: Terminal, progress?: ProgressLine): Logger {
  const write =
    (level: string, shown: boolean) =>
    (message: string, fields?: LogFields): void => {
      if (!shown) return;
      progress?.close();
      const extra = fields === undefined ? "" : ` ${JSON.stringify(fields)}`;
      terminal.err(`${level}: ${message}${extra}\n`);
    };
  return {
    trace: write("trace", false),
    debug: write("debug", terminal.debug),
    info: write("info", terminal.debug),
    warn: write("warning", true),
    error: write("error", true),
  };
}

export function rate(bytesPerSecond: number): string {
  return `${size(bytesPerSecond)}/s`;
}

/** Decimal units, as disks and training budgets are counted. */
export function size(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(2)} MB`;
  if (bytes >= 1e3) return `${(bytes / 1e3).toFixed(1)} kB`;
  return `${Math.round(bytes)} B`;
}

export function clock(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(s / 60);
  const rest = String(s % 60).padStart(2, "0");
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

export function bpb(value: number | null | undefined): string {
  return value === null || value === undefined ? "not measured" : `${value.toFixed(4)} bpb`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;
}
