/** How far a training run is: steps, bytes and seconds, and the bounds that end it. A resumed run counts on. */
import type { Manifest } from "./checkpoint.ts";
import type { TrainOptions, TrainProgress } from "./trainOptions.ts";

export class TrainingClock {
  step = 0;
  steps = 0;
  bytes = 0;
  /** Bytes of the whole run. */
  target = 0;
  /** Preset auto has both bounds, others one. */
  boundByBytes: boolean;
  /** Training seconds after which the run ends. */
  limitSeconds: number | undefined;
  readonly #bytesBefore: number = 0;
  readonly #secondsBefore: number = 0;
  #started = performance.now();
  #pausedMs = 0;
  #slow = { seconds: 0, done: 0 };

  constructor(o: Pick<TrainOptions, "minutes" | "bytes">, before: Manifest | undefined) {
    const asked = o.minutes === undefined || o.bytes !== undefined ? undefined : o.minutes * 60;
    const stored = before?.targetSeconds;
    this.boundByBytes =
      before === undefined ? asked === undefined : before.targetBytes !== undefined;
    // What preset auto chose holds after a resume too.
    this.limitSeconds =
      this.boundByBytes && stored !== undefined && asked !== undefined
        ? Math.min(stored, asked)
        : (asked ?? stored);
    if (before === undefined) return;
    this.step = before.step;
    this.bytes = before.bytesSeen;
    this.#bytesBefore = before.bytesSeen;
    this.#secondsBefore = before.seconds;
  }

  /** Seconds count from now. */
  start(): void {
    this.#started = performance.now();
  }

  /** Time that does not count. */
  paused(ms: number): void {
    this.#pausedMs += ms;
  }

  get seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#started - this.#pausedMs) / 1000;
  }

  /** Bytes and seconds of this process alone. */
  own(seconds: number): { readonly bytes: number; readonly seconds: number } {
    return { bytes: this.bytes - this.#bytesBefore, seconds: seconds - this.#secondsBefore };
  }

  /** Share of the run that is done: of its bytes, or of its minutes. */
  done(): number {
    const byClock = this.limitSeconds === undefined ? 0 : this.seconds / this.limitSeconds;
    const byBytes = this.boundByBytes ? this.bytes / this.target : 0;
    return Math.min(1, Math.max(byClock, byBytes));
  }

  /** What was done up to now says nothing of the pace: the first step of a process is slow. */
  warmedUp(): void {
    this.#slow = { seconds: this.seconds, done: this.done() };
  }

  /** By how the run has gone since it was warm; undefined in its first moments. */
  get secondsLeft(): number | undefined {
    const done = this.done();
    const since = done - this.#slow.done;
    if (since <= 0.002) return done < 1 ? undefined : 0;
    return ((this.seconds - this.#slow.seconds) * (1 - done)) / since;
  }

  progress(): Omit<TrainProgress, "phase" | "loss" | "heldoutBpb" | "device"> {
    const { seconds } = this;
    return {
      step: this.step,
      steps: this.steps,
      bytes: this.bytes,
      // A run that its clock has ended is over: what it trained on is all.
      totalBytes: this.done() < 1 ? this.target : this.bytes,
      seconds,
      secondsLeft: this.secondsLeft ?? 0,
      bytesPerSecond: seconds > 0 ? this.bytes / seconds : 0,
    };
  }
}
