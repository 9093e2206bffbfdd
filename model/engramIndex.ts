/**
 * Which contexts have a row in the n-gram memory: an exact table per order, one owner per row, chosen once when
 * training starts from how many *files* a context occurs in. A context of a training file occurs in that file
 * itself, so one that has a row because it is in m files is in m − 1 others whichever file is left out: with m of
 * at least two, nothing that only the file at hand holds is ever looked up. All other contexts of an order share
 * its row 0. Source: Engram (arXiv 2601.07372) for the hashed tables; the owner check replaces its several hashes.
 */
import type { CorpusFile } from "./bytes.ts";
import type { ModelConfig } from "./config.ts";
import { engramContextCount, EngramContexts, SHORTEST_ORDER } from "./engramContexts.ts";
import { CheckpointError } from "./errors.ts";
import { NO_ROW } from "./kernels/embedBytes.ts";

type EngramConfig = Pick<ModelConfig, "engramRows" | "engramLongest" | "engramFiles">;

/** Byte orders up to this one need two files; longer contexts, which name a place, need `engramFiles`. */
const SHORT_ORDER = 4;
const LEAST_FILES = 2;
/** Of more text than this, every m-th file is counted: enough to find what is frequent, and never too much. */
const MAX_COUNTED_BYTES = 4 << 20;
const WAYS = 4;
const MIN_SETS = 1 << 12;
const MAX_SETS = 1 << 19;

/** Distinct files per context, in sets of a few ways; where a set is full the rarest entry makes room. */
class FileCounts {
  readonly keys: Uint32Array;
  readonly files: Uint16Array;
  readonly #last: Int32Array;
  readonly #mask: number;

  constructor(sets: number) {
    this.keys = new Uint32Array(sets * WAYS);
    this.files = new Uint16Array(sets * WAYS);
    this.#last = new Int32Array(sets * WAYS);
    this.#mask = sets - 1;
  }

  add(key: number, file: number): void {
    const { keys, files } = this;
    const first = (key & this.#mask) * WAYS;
    let rarest = first;
    for (let i = first; i < first + WAYS; i++) {
      if (keys[i] === key) {
        if (this.#last[i] === file) return;
        this.#last[i] = file;
        if (files[i]! < 0xffff) files[i]!++;
        return;
      }
      if (files[i]! < files[rarest]!) rarest = i;
    }
    keys[rarest] = key;
    files[rarest] = 1;
    this.#last[rarest] = file;
  }
}

export class EngramIndex {
  /** Contexts per position, and rows of all tables together. */
  readonly contexts: number;
  readonly tableRows: number;
  readonly #config: EngramConfig;
  /** [contexts, rows]: the hash that owns each row, 0 = none; row 0 belongs to all others. */
  readonly #owners: Uint32Array;

  private constructor(config: EngramConfig, owners: Uint32Array) {
    this.#config = config;
    this.contexts = engramContextCount(config);
    this.tableRows = this.contexts * config.engramRows;
    this.#owners = owners;
  }

  /** Chooses the owners. Depends on the set of files only, not on their order. */
  static build(files: readonly CorpusFile[], config: EngramConfig): EngramIndex {
    const K = engramContextCount(config);
    const R = config.engramRows;
    const total = files.reduce((sum, f) => sum + f.bytes.length, 0);
    const every = Math.max(1, Math.ceil(total / MAX_COUNTED_BYTES));
    const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
    const counted = sorted.filter((_, i) => i % every === 0);
    const bytes = Math.min(total, MAX_COUNTED_BYTES);
    const sets = Math.min(MAX_SETS, Math.max(MIN_SETS, 2 ** Math.ceil(Math.log2(bytes / WAYS))));
    const counts = Array.from({ length: K }, () => new FileCounts(sets));
    counted.forEach((file, f) => {
      const contexts = new EngramContexts(config);
      for (const byte of file.bytes) {
        contexts.push(byte);
        for (let k = 0; k < K; k++)
          if (contexts.hashes[k] !== 0) counts[k]!.add(contexts.hashes[k]!, f);
      }
    });
    const owners = new Uint32Array(K * R);
    counts.forEach((count, k) => {
      const order = SHORTEST_ORDER + k;
      const isShort = order <= SHORT_ORDER && order <= config.engramLongest;
      const least = isShort ? LEAST_FILES : Math.max(LEAST_FILES, config.engramFiles);
      const filesOf = new Uint16Array(R);
      for (let i = 0; i < count.keys.length; i++) {
        const key = count.keys[i]!;
        const inFiles = count.files[i]!;
        if (key === 0 || inFiles < least) continue;
        const row = rowOf(key, R);
        const at = k * R + row;
        // Ties go to the smaller hash, so that the choice does not depend on the order of counting.
        if (inFiles < filesOf[row]! || (inFiles === filesOf[row]! && key > owners[at]!)) continue;
        filesOf[row] = inFiles;
        owners[at] = key;
      }
    });
    return new EngramIndex(config, owners);
  }

  /** Rows that have an owner, for each context. */
  get owned(): number[] {
    const R = this.#config.engramRows;
    return Array.from({ length: this.contexts }, (_, k) =>
      this.#owners.subarray(k * R, (k + 1) * R).reduce((n, key) => n + (key === 0 ? 0 : 1), 0),
    );
  }

  /** Writes table rows [symbols, contexts] to out[at...]: NO_ROW where a context does not exist. A row depends on
   *  the symbols up to its position only. */
  rows(symbols: ArrayLike<number>, out: Uint32Array, at: number): void {
    const { contexts: K } = this;
    const R = this.#config.engramRows;
    const owners = this.#owners;
    const reader = new EngramContexts(this.#config);
    for (let t = 0; t < symbols.length; t++) {
      reader.push(symbols[t]!);
      for (let k = 0; k < K; k++) {
        const key = reader.hashes[k]!;
        const row = rowOf(key, R);
        out[at + t * K + k] = key === 0 ? NO_ROW : k * R + (owners[k * R + row] === key ? row : 0);
      }
    }
  }

  serialize(): Uint8Array {
    const out = new Uint8Array(this.#owners.length * 4);
    const view = new DataView(out.buffer);
    this.#owners.forEach((key, i) => view.setUint32(i * 4, key, true));
    return out;
  }

  /** The inverse of serialize(). Throws CheckpointError where the size does not fit the configuration. */
  static deserialize(bytes: Uint8Array, config: EngramConfig): EngramIndex {
    const size = engramContextCount(config) * config.engramRows;
    if (bytes.length !== size * 4)
      throw new CheckpointError(
        "NG_ENGRAM",
        `the n-gram index has ${bytes.length} bytes where ${size * 4} were expected`,
        "train again, or restore the model folder from a copy",
      );
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new EngramIndex(
      config,
      Uint32Array.from({ length: size }, (_, i) => view.getUint32(i * 4, true)),
    );
  }
}

/** The only row that may belong to a hash: 1 … rows − 1. Shifted, so that it is a division of small integers. */
const rowOf = (key: number, rows: number): number => 1 + ((key >>> 1) % (rows - 1));
