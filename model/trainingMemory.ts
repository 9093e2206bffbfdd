/** The memory of a training run, built in a thread of its own while the network trains. */
import type { CorpusFile } from "./bytes.ts";
import type { Logger } from "./logger.ts";
import { buildMemory, type BuiltMemory } from "./memory/build.ts";

/** The memory's weights are learned from this much of the workspace, file by file, each left out in turn. */
const CALIBRATION_BYTES = 400_000;
/** … and from this much even where the network is done before. */
const CALIBRATION_LEAST_BYTES = 100_000;
const CALIBRATION_MS = 20_000;
const CALIBRATION_SHARE = 0.1;
/** What the memory takes to read a held-out byte. */
const SECONDS_PER_BYTE = 28e-6;

export interface TrainingMemoryOptions {
  readonly files: readonly CorpusFile[];
  readonly heldout: readonly CorpusFile[];
  /** Beginnings of held-out files, which the final score is of. */
  readonly sample: readonly CorpusFile[];
  readonly seed: number;
  /** Of the whole run, where they bound it. */
  readonly minutes: number | undefined;
  /** The checkpoint's memory, so that a resumed run need not calibrate again. */
  readonly stored: Uint8Array | undefined;
  readonly signal: AbortSignal | undefined;
  readonly logger: Logger;
}

export class TrainingMemory {
  readonly built: Promise<BuiltMemory>;
  isBuilt = false;
  /** What building ended with, as soon as it did; `built` rejects with it. */
  error: Error | undefined;
  readonly #stop = new AbortController();
  readonly #enough = new AbortController();
  readonly #readSeconds: number;

  constructor(o: TrainingMemoryOptions) {
    const started = performance.now();
    this.#readSeconds = SECONDS_PER_BYTE * o.sample.reduce((sum, f) => sum + f.bytes.length, 0);
    this.built = buildMemory(
      {
        files: o.files,
        calibration: {
          maxBytes: CALIBRATION_BYTES,
          leastBytes: CALIBRATION_LEAST_BYTES,
          seed: o.seed,
          budgetMs:
            o.minutes === undefined
              ? CALIBRATION_MS
              : Math.min(CALIBRATION_MS, o.minutes * 60_000 * CALIBRATION_SHARE),
        },
        scored: o.sample,
        // What was held out to measure is known to the memory in the end.
        absorbed: o.heldout,
        ...(o.stored === undefined ? {} : { stored: o.stored }),
      },
      { stop: this.#stop.signal, enough: this.#enough.signal },
    );
    o.signal?.addEventListener("abort", () => this.stop(), { once: true });
    this.built.then(
      ({ report }) => {
        this.isBuilt = true;
        o.logger.info(
          `memory built in ${((performance.now() - started) / 1000).toFixed(1)} s` +
            (report === undefined
              ? ", weights taken from the checkpoint"
              : `, calibrated on ${report.bytes} bytes of ${report.files} files`),
        );
      },
      (error: Error) => (this.error = error),
    );
  }

  /** No calibration beyond the least one, once the network will be done before the held-out files are read. */
  networkEndsIn(seconds: number | undefined): void {
    if (seconds !== undefined && seconds <= this.#readSeconds) this.#enough.abort();
  }

  /** Nobody wants it any more. */
  stop(): void {
    this.#stop.abort();
  }
}
