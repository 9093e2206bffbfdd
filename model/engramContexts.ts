/**
 * The contexts that the n-gram memory (engramIndex.ts) looks up after each byte: the last n bytes for every order
 * n from 3 to `engramLongest`, the current word with what follows it, and that together with the word before. Each
 * is a hash of bytes 0..t of its own document: markers end all contexts, and a path has none.
 */
import { BOS } from "./bytes.ts";
import type { ModelConfig } from "./config.ts";

export const SHORTEST_ORDER = 3;
/** The contexts that are no byte n-grams: word, and pair of words. */
const WORD_CONTEXTS = 2;

/** K: contexts per position. Byte orders come first, ascending; then the word; then the pair. */
export const engramContextCount = (c: Pick<ModelConfig, "engramLongest">): number =>
  c.engramLongest - SHORTEST_ORDER + 1 + WORD_CONTEXTS;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** A power of two. */
const MAX_ORDER = 16;

const isWord = (byte: number): boolean =>
  (byte >= 97 && byte <= 122) ||
  (byte >= 65 && byte <= 90) ||
  (byte >= 48 && byte <= 57) ||
  byte === 95 ||
  byte === 36 ||
  byte >= 128;

/** The finalizer of MurmurHash3: every bit of x reaches every bit of the result. */
function mixed(x: number): number {
  x ^= x >>> 16;
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Streaming form: after each `push`, `hashes` holds one 32-bit hash per context, 0 where there is none. */
export class EngramContexts {
  readonly hashes: Uint32Array;
  readonly #longest: number;
  readonly #recent = new Uint8Array(MAX_ORDER);
  /** Bytes since the last marker. */
  #length = 0;
  #inPath = false;
  #inWord = false;
  /** Of the word that began last: its letters, and everything from its start on. */
  #word = 0;
  #unit = 0;
  #previousWord = 0;

  constructor(config: Pick<ModelConfig, "engramLongest">) {
    this.#longest = config.engramLongest;
    this.hashes = new Uint32Array(engramContextCount(config));
  }

  push(symbol: number): void {
    const { hashes } = this;
    if (symbol > 255) {
      this.#length = 0;
      this.#inPath = symbol === BOS;
      this.#inWord = false;
      this.#word = this.#unit = this.#previousWord = 0;
      hashes.fill(0);
      return;
    }
    if (this.#inPath) return;
    const recent = this.#recent;
    const t = this.#length++;
    recent[t & (MAX_ORDER - 1)] = symbol;
    let h = FNV_OFFSET;
    for (let n = 1; n <= this.#longest; n++) {
      if (n > t + 1) {
        hashes.fill(0, Math.max(0, n - SHORTEST_ORDER), this.#longest - SHORTEST_ORDER + 1);
        break;
      }
      h = Math.imul(h ^ recent[(t - n + 1) & (MAX_ORDER - 1)]!, FNV_PRIME);
      if (n >= SHORTEST_ORDER) hashes[n - SHORTEST_ORDER] = mixed(h ^ n) || 1;
    }
    this.#pushWord(symbol);
    const words = this.#longest - SHORTEST_ORDER + 1;
    hashes[words] = this.#unit === 0 ? 0 : mixed(this.#unit) || 1;
    hashes[words + 1] =
      this.#unit === 0 || this.#previousWord === 0
        ? 0
        : mixed(Math.imul(this.#previousWord, 0x9e3779b1) ^ this.#unit) || 1;
  }

  #pushWord(byte: number): void {
    const inWord = isWord(byte);
    if (inWord) {
      if (!this.#inWord) {
        this.#previousWord = this.#word;
        this.#word = this.#unit = FNV_OFFSET;
      }
      this.#word = Math.imul(this.#word ^ byte, FNV_PRIME);
    }
    this.#inWord = inWord;
    if (this.#unit !== 0) this.#unit = Math.imul(this.#unit ^ byte, FNV_PRIME);
  }
}
