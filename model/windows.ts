/**
 * Windows of symbols in the form the network takes: embedding rows, patch maps, targets. One class serves
 * training and scoring, so both present text in the same way. Symbols are 0..255 and the markers of bytes.ts.
 */
import { maxPatches, type ModelConfig } from "./config.ts";
import { factWidth } from "./facts/channels.ts";
import { invertIds, NO_ROW } from "./kernels/embedBytes.ts";
import { SKIP } from "./kernels/crossEntropy.ts";
import { embeddingLayout, type EmbeddingLayout } from "./params.ts";
import { fillPatches } from "./patches.ts";
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

/** Writes the embedding rows of symbols from … to − 1 into ids[at …]; facts [symbols, channels], 0 = unknown. */
export function writeIds(
  ids: Uint32Array,
  at: number,
  { offsets }: EmbeddingLayout,
  o: {
    readonly symbols: ArrayLike<number>;
    readonly facts: Uint16Array | undefined;
    readonly from: number;
    readonly to: number;
  },
): void {
  const { symbols, facts, from, to } = o;
  const width = offsets.length - 1;
  let i = at;
  let fact = from * width;
  for (let t = from; t < to; t++) {
    ids[i++] = symbols[t]!;
    for (let k = 1; k <= width; k++) {
      const id = facts === undefined ? 0 : facts[fact++]!;
      ids[i++] = id === 0 ? NO_ROW : offsets[k]! + id;
    }
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
    const { rows, patchRows, targets } = this;
    const symbols = this.#padded;
    const length = window?.symbols.length ?? 0;
    invariant(length <= rows, `a window of ${length} symbols in rows of ${rows}`);
    if (window !== undefined) symbols.set(window.symbols);
    symbols.fill(0, length);
    const base = w * rows;
    const { full } = fillPatches(this.#config, symbols, patchRows, {
      ...{ ends: this.ends, newest: this.newest, endOf: this.endOf, start: this.start },
      ...{ row: base, patch: w * patchRows },
    });
    const channels = idChannels(this.#config);
    writeIds(this.ids, base * channels, this.#layout, {
      ...{ symbols, facts: window?.facts, from: 0, to: length },
    });
    // Padding is a symbol like any other, of which nothing is known.
    writeIds(this.ids, (base + length) * channels, this.#layout, {
      ...{ symbols, facts: undefined, from: length, to: rows },
    });
    const given = window?.targets;
    const last = given === undefined ? 0 : Math.min(length, full, given.length);
    for (let t = 0; t < last; t++) {
      const target = given![t]!;
      targets[base + t] = target;
      if (target !== SKIP) this.scored++;
    }
    targets.fill(SKIP, base + last, base + rows);
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
