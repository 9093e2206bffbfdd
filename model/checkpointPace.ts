/** When a run is saved before it ends. */

/** Work that may be lost when the process dies: so much, or more where checkpoints would take more than this share of
 *  the time, or where the run ends soon and saves then. */
const CHECKPOINT_SECONDS = 20;
const CHECKPOINT_SHARE = 0.02;
const NO_CHECKPOINT_SECONDS = 10;

export class CheckpointPace {
  readonly #now: () => number;
  #savedAt: number;
  #tookMs = 0;

  /** `now`: milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#savedAt = now();
  }

  /** Of a run that ends in so many seconds, where that is known. */
  isDue(secondsLeft: number | undefined): boolean {
    const everyMs = Math.max(CHECKPOINT_SECONDS * 1000, this.#tookMs / CHECKPOINT_SHARE);
    return (
      this.#now() - this.#savedAt > everyMs && (secondsLeft ?? Infinity) >= NO_CHECKPOINT_SECONDS
    );
  }

  async saving(save: () => Promise<void>): Promise<void> {
    const from = this.#now();
    await save();
    this.#savedAt = this.#now();
    this.#tookMs = this.#savedAt - from;
  }
}
