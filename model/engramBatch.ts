/**
 * A training batch's view of the n-gram memory: its table rows after dropout, and the same rows counted from 0 in
 * order of appearance, so that gradients and updates touch what the batch touched and not the whole table.
 */
import type { ModelConfig } from "./config.ts";
import type { EngramIndex } from "./engramIndex.ts";
import { invertIds, NO_ROW } from "./kernels/embedBytes.ts";
import { Random } from "./random.ts";
import type { Window } from "./windows.ts";

/** Streams of Random for dropout lie apart from the sampler's. */
const DROPOUT_STREAM = 0x40000000;

export class EngramBatch {
  /** u32 [positions, contexts]: rows of the table, NO_ROW where nothing is looked up. */
  readonly ids: Uint32Array;
  /** The same as entries of `touched`. */
  readonly entries: Uint32Array;
  /** [1 + capacity]: how many rows the batch touches, and which. */
  readonly touched: Uint32Array;
  /** The inverse of `entries` (invertIds). */
  readonly listStart: Uint32Array;
  readonly list: Uint32Array;
  readonly #config: ModelConfig;
  readonly #index: EngramIndex;
  /** Entry of each table row, right where `touched` agrees. */
  readonly #entryOf: Uint32Array;

  /** `batch` windows of `rows` positions. */
  constructor(config: ModelConfig, index: EngramIndex, batch: number, rows: number) {
    const capacity = batch * rows * index.contexts;
    this.#config = config;
    this.#index = index;
    this.ids = new Uint32Array(capacity);
    this.entries = new Uint32Array(capacity);
    this.touched = new Uint32Array(1 + capacity);
    this.listStart = new Uint32Array(capacity + 1);
    this.list = new Uint32Array(capacity);
    this.#entryOf = new Uint32Array(index.tableRows);
  }

  /** Looks the windows up. */
  set(windows: readonly Window[]): void {
    const each = this.#config.context * this.#index.contexts;
    this.ids.fill(NO_ROW);
    windows.forEach((w, i) => this.#index.rows(w.symbols, this.ids, i * each));
  }

  /** Takes rows away: a share of all contexts for a whole window each, and the same share of what is left one by
   *  one. A pure function of seed and step. */
  drop(seed: number, step: number): void {
    const rate = this.#config.engramDropout;
    if (rate === 0) return;
    const random = new Random(seed, DROPOUT_STREAM + step);
    const K = this.#index.contexts;
    const each = this.#config.context * K;
    for (let first = 0; first < this.ids.length; first += each)
      for (let k = 0; k < K; k++) {
        const whole = random.uniform() < rate;
        for (let i = first + k; i < first + each; i += K)
          if (whole || random.uniform() < rate) this.ids[i] = NO_ROW;
      }
  }

  /** What the backward pass and the update need. */
  invert(): void {
    const { ids, entries, touched, listStart, list } = this;
    const entryOf = this.#entryOf;
    let count = 0;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (id === NO_ROW) {
        entries[i] = NO_ROW;
        continue;
      }
      let entry = entryOf[id]!;
      if (entry >= count || touched[1 + entry] !== id) {
        entry = count++;
        entryOf[id] = entry;
        touched[1 + entry] = id;
      }
      entries[i] = entry;
    }
    touched[0] = count;
    invertIds({ ids: entries, tableRows: count, listStart, list });
    // Entries behind the last have empty lists.
    listStart.fill(listStart[count]!, count);
  }
}
