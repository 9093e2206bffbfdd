/**
 * Windows of symbols in the form the network takes: embedding rows, patch maps, targets. One class serves
 * training and scoring, so both present text in the same way. Symbols are 0..255 and the markers of bytes.ts.
 */
import { maxPatches, type ModelConfig } from "./config.ts";
import { factWidth } from "./facts/channels.ts";
import { invertIds, NO_ROW } from "./kernels/embedBytes.ts";
import { SKIP } from "./kernels/crossEntropy.ts";
import { embeddingLayout, type EmbeddingLayout } from "./params.ts";
import { NO_PATCH, patchWindow } from "./patches.ts";
import { invariant } from "./errors.ts";

/** Embedding rows per position: the byte and its facts. */
export const idChannels = (c: Pick<ModelConfig, "colour">): number => 1 + factWidth(c.colour);
export { SKIP };

export interface Window {
  /** Up to N symbols; shorter windows are padded behind. */
  readonly symbols: ArrayLike<number>;
  /** [symbols, channels], 0 = unknown; absent = all unknown. */
  readonly facts?: Uint16Array | undefined;
  /** Symbol to predict after each position, or SKIP. */
  readonly targets?: ArrayLike<number>;
  /** Class of the token behind each symbol, 0 = none: what the auxiliary head learns. */
  readonly classes?: Uint8Array | undefined;
}

/** Writes the embedding rows of position t of a window into ids[at …]. */
export function writeIds(
  ids: Uint32Array,
  at: number,
  { offsets }: EmbeddingLayout,
  o: { readonly symbol: number; readonly facts: Uint16Array | undefined; readonly t: number },
): void {
  ids[at] = o.symbol;
  const width = offsets.length - 1;
  for (let k = 0; k < width; k++) {
    const id = o.facts === undefined ? 0 : o.facts[o.t * width + k]!;
    ids[at + 1 + k] = id === 0 ? NO_ROW : offsets[k + 1]! + id;
  }
}

export class WindowBatch {
  readonly batch: number;
  readonly rows: number;
  readonly patchRows: number;
  readonly ids: Uint32Array;
  readonly targets: Uint32Array;
  readonly ends: Uint32Array;
  readonly newest: Uint32Array;
  readonly endOf: Uint32Array;
  readonly start: Uint32Array;
  readonly listStart: Uint32Array;
  readonly list: Uint32Array;
  /** Positions with a target. */
  scored = 0;
  readonly #config: ModelConfig;
  readonly #layout: EmbeddingLayout;
  readonly #padded: Uint16Array;

  /** patchRows: rows of the trunk per window. Where a window has more patches, nothing behind them has a target. */
  constructor(
    config: ModelConfig,
    batch: number,
    rows: number,
    patchRows = maxPatches(config, rows),
  ) {
    this.#config = config;
    this.batch = batch;
    this.rows = rows;
    this.patchRows = patchRows;
    const n = batch * rows;
    this.#layout = embeddingLayout(config);
    const channels = idChannels(config);
    this.listStart = new Uint32Array(this.#layout.rows + 1);
    this.ids = new Uint32Array(n * channels);
    this.targets = new Uint32Array(n);
    this.ends = new Uint32Array(batch * this.patchRows);
    this.newest = new Uint32Array(n);
    this.endOf = new Uint32Array(n);
    this.start = new Uint32Array(batch * this.patchRows + 1);
    this.list = new Uint32Array(n * channels);
    this.#padded = new Uint16Array(rows);
  }

  set(windows: readonly Window[]): void {
    invariant(
      windows.length <= this.batch,
      `${windows.length} windows in a batch of ${this.batch}`,
    );
    this.scored = 0;
    for (let w = 0; w < this.batch; w++) this.#fill(w, windows[w]);
  }

  #fill(w: number, window: Window | undefined): void {
    const { rows, patchRows } = this;
    const symbols = this.#padded.fill(0);
    const length = window?.symbols.length ?? 0;
    invariant(length <= rows, `a window of ${length} symbols in rows of ${rows}`);
    for (let t = 0; t < length; t++) symbols[t] = window!.symbols[t]!;
    const base = w * rows;
    const channels = idChannels(this.#config);
    const map = patchWindow(this.#config, symbols, patchRows);
    for (let t = 0; t < rows; t++) {
      const facts = t < length ? window!.facts : undefined;
      writeIds(this.ids, (base + t) * channels, this.#layout, { symbol: symbols[t]!, facts, t });
      const target = t < Math.min(length, map.full) ? (window!.targets?.[t] ?? SKIP) : SKIP;
      this.targets[base + t] = target;
      if (target !== SKIP) this.scored++;
    }
    const patchBase = w * patchRows;
    for (let t = 0; t < rows; t++) {
      this.newest[base + t] = map.newest[t]! + patchBase;
      this.endOf[base + t] = map.endOf[t] === NO_PATCH ? NO_ROW : map.endOf[t]! + patchBase;
    }
    for (let p = 0; p < patchRows; p++) {
      this.ends[patchBase + p] = map.ends[p] === NO_PATCH ? NO_ROW : map.ends[p]! + base;
      this.start[patchBase + p] = map.start[p]! + base;
    }
    this.start[(w + 1) * patchRows] = base + rows;
  }

  /** The embedding's inverted ids, needed by the backward pass only. */
  invert(): void {
    invertIds({
      ids: this.ids,
      tableRows: this.#layout.rows,
      listStart: this.listStart,
      list: this.list,
    });
  }
}
