/** What is looked at while a run trains: whether it still learns, and how the network does on held-out files. */
import type { CorpusFile } from "./bytes.ts";
import { CheckpointError } from "./errors.ts";
import { meanBits } from "./heldout.ts";
import type { Predictor } from "./model.ts";
import type { Trainer } from "./trainer.ts";

/** More steps than a loss scale can be halved. */
const SCALINGS = 20;

/** What a watch reads. */
export interface Watched {
  loss(): Promise<number>;
  readonly optimizer: Pick<Trainer["optimizer"], "lossScaling">;
}

export class LossWatch {
  readonly #trainer: Watched;
  #step: number;
  #overflows = 0;

  constructor(trainer: Watched, step: number) {
    this.#trainer = trainer;
    this.#step = step;
  }

  /** The last step's loss. Throws where it, or the gradients since the last look, are no numbers. */
  async look(step: number): Promise<number> {
    const [loss, { overflows }] = await Promise.all([
      this.#trainer.loss(),
      this.#trainer.optimizer.lossScaling(),
    ]);
    if (!Number.isFinite(loss))
      throw new CheckpointError(
        "NG_DIVERGED",
        `the loss became ${loss} at step ${step}`,
        "resume from the last checkpoint, or lower the learning rate",
      );
    // A loss scale is halved until gradients are finite; where that never happens, no step is taken any more.
    const taken = step - this.#step;
    if (taken >= SCALINGS && overflows - this.#overflows >= taken)
      throw new CheckpointError(
        "NG_DIVERGED",
        `the last ${taken} steps had gradients that are no numbers, and were skipped`,
        "resume from the last checkpoint, lower the learning rate, or train with precision=f32",
      );
    this.#step = step;
    this.#overflows = overflows;
    return loss;
  }
}

/** Where a run was when its loss was asked for. */
interface Looked {
  readonly step: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly factor: number;
}

/** A look that may go on while the run does. */
export class Look {
  /** Never rejects: `seen` throws. */
  readonly end: Promise<void>;
  #seen: (Looked & { readonly loss: number }) | undefined;
  #error: Error | undefined;

  constructor(watch: LossWatch, at: Looked) {
    this.end = watch.look(at.step).then(
      (loss) => {
        this.#seen = { ...at, loss };
      },
      (error: unknown) => {
        this.#error = error instanceof Error ? error : new Error(String(error));
      },
    );
  }

  /** What was seen, once it was; throws where the look has failed. */
  seen(): (Looked & { readonly loss: number }) | undefined {
    if (this.#error !== undefined) throw this.#error;
    return this.#seen;
  }
}

/** The network's score on the beginnings of held-out files, as often as its share of the time allows. */
export class HeldoutCurve {
  readonly #predictor: Pick<Predictor, "score" | "prepareScoring">;
  readonly #files: readonly CorpusFile[];
  readonly #share: number;
  #last = 0;
  #ms = 0;
  #state: "compiling" | "ready" | Error = "compiling";
  /** Never rejects: `due` throws. */
  readonly compiled: Promise<void>;

  /** Compiles meanwhile: a GPU trains on, and the final score needs the same kernels. `share`: of the time that the
   *  curve may take. */
  constructor(
    predictor: Pick<Predictor, "score" | "prepareScoring">,
    files: readonly CorpusFile[],
    share: number,
  ) {
    this.#predictor = predictor;
    this.#files = files;
    this.#share = share;
    this.compiled = (files.length === 0 ? Promise.resolve() : predictor.prepareScoring()).then(
      () => {
        this.#state = "ready";
      },
      (error: unknown) => {
        this.#state = error instanceof Error ? error : new Error(String(error));
      },
    );
  }

  /** Throws where compiling has failed. */
  get due(): boolean {
    if (this.#state instanceof Error) throw this.#state;
    return (
      this.#state === "ready" &&
      this.#files.length > 0 &&
      (this.#last === 0 || this.#ms < this.#share * (performance.now() - this.#last))
    );
  }

  async measure(): Promise<number> {
    const from = performance.now();
    const bits: Float32Array[] = [];
    for (const f of this.#files)
      bits.push((await this.#predictor.score({ ...f, memory: "off", network: "on" })).bits);
    this.#last = performance.now();
    this.#ms = this.#last - from;
    return meanBits(bits) ?? Number.NaN;
  }
}
