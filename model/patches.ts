/**
 * Patch boundaries over bytes. A boundary at t means: the trunk runs once more on what it knows up to and
 * including byte t, and that state is visible to the predictions of t+1 and later. The rule sees bytes 0..t
 * only, and a leaky bucket bounds the patches of any window, so all shapes are static. The first symbol of a
 * sequence always ends a patch, so every position has a newest patch.
 * Source: lexer patching after SpaceByte (arXiv 2404.14408 §3) with newline, marker and length rules. With a
 * vocabulary (bpe.ts) the ends of its tokens take the place of the lexer's.
 */
import { trieOf, type TokenTrie } from "./bpe.ts";
import { PATCH_BURST, type ModelConfig } from "./config.ts";
import { invariant } from "./errors.ts";

export const MAX_PATCH_BYTES = 16;
const NEWLINE = 10;

/** Word bytes: letters, digits, _ and $, and every byte of a non-ASCII character. */
function isWord(symbol: number): boolean {
  return (
    (symbol >= 97 && symbol <= 122) ||
    (symbol >= 65 && symbol <= 90) ||
    (symbol >= 48 && symbol <= 57) ||
    symbol === 95 ||
    symbol === 36 ||
    (symbol >= 128 && symbol <= 255)
  );
}

/** What of a configuration the rules read. */
export type PatchConfig = Pick<
  ModelConfig,
  "patching" | "stride" | "minBytesPerPatch" | "bpeTokens"
>;

export interface PatcherState {
  position: number;
  last: number;
  bucket: number;
  inWord: 0 | 1;
  /** Where the walk through the vocabulary stands. */
  token: number;
}

/** Streaming form: `push` says whether the symbol just seen ends a patch. */
export class Patcher {
  readonly #config: PatchConfig;
  readonly #trie: TokenTrie | undefined;
  #s: PatcherState = { position: 0, last: -1, bucket: PATCH_BURST, inWord: 0, token: 0 };

  constructor(config: PatchConfig) {
    this.#config = config;
    if (config.patching !== "bpe") return;
    invariant(config.bpeTokens !== undefined, "patches by tokens need a vocabulary");
    this.#trie = trieOf(config.bpeTokens);
  }

  /** Whether the rule would end a patch at t; goes on by one symbol. */
  #wanted(symbol: number, t: number): boolean {
    const s = this.#s;
    const always = t === 0 || symbol > 255 || t - s.last >= MAX_PATCH_BYTES;
    if (this.#trie !== undefined) {
      if (symbol > 255) {
        s.token = 0;
        return true;
      }
      const { node, ended } = this.#trie.step(s.token, symbol);
      s.token = node;
      return always || ended;
    }
    const word = isWord(symbol);
    const ended = (!word && s.inWord === 1) || symbol === NEWLINE;
    s.inWord = word ? 1 : 0;
    return always || ended;
  }

  push(symbol: number): boolean {
    const s = this.#s;
    const t = s.position++;
    if (this.#config.patching === "flat") return true;
    if (this.#config.patching === "stride") return t % this.#config.stride === 0;
    s.bucket = Math.min(PATCH_BURST, s.bucket + 1 / this.#config.minBytesPerPatch);
    const wanted = this.#wanted(symbol, t);
    if (!wanted || s.bucket < 1) return false;
    s.bucket -= 1;
    s.last = t;
    return true;
  }

  snapshot(): PatcherState {
    return { ...this.#s };
  }

  restore(state: PatcherState): void {
    this.#s = { ...state };
  }
}

export const NO_PATCH = 0xffffffff;

export interface PatchMap {
  /** [patches]: position of the byte that ends each patch; NO_PATCH behind the last. */
  readonly ends: Uint32Array;
  /** [n]: the newest patch that byte t may see. */
  readonly newest: Uint32Array;
  /** [n]: the patch that byte t ends, or NO_PATCH: the inverse of `ends`. */
  readonly endOf: Uint32Array;
  /** [patches + 1]: bytes that see patch p are start[p] .. start[p+1]−1. */
  readonly start: Uint32Array;
  readonly count: number;
  /** The first position that would have ended a patch for which there was no room; n where there was room for all. */
  readonly full: number;
}

/** Where fillPatches writes: the window's first byte and first patch, in maps of several windows. */
export interface PatchPlace extends Pick<PatchMap, "ends" | "newest" | "endOf" | "start"> {
  readonly row: number;
  readonly patch: number;
}

/** The patches of one window of symbols, from a fresh rule state; behind the last that has room, bytes see an old one.
 *  Bytes and patches are numbered through all windows of `to`. */
export function fillPatches(
  config: PatchConfig,
  symbols: ArrayLike<number>,
  capacity: number,
  { ends, newest, endOf, start, row, patch }: PatchPlace,
): Pick<PatchMap, "count" | "full"> {
  const n = symbols.length;
  const patcher = new Patcher(config);
  let count = 0;
  let full = n;
  for (let t = 0; t < n; t++) {
    let ended = NO_PATCH;
    if (patcher.push(symbols[t]!)) {
      if (count < capacity) {
        ended = patch + count++;
        start[ended] = row + t;
        ends[ended] = row + t;
      } else if (full === n) full = t;
    }
    endOf[row + t] = ended;
    newest[row + t] = patch + count - 1;
  }
  ends.fill(NO_PATCH, patch + count, patch + capacity);
  start.fill(row + n, patch + count, patch + capacity + 1);
  return { count, full };
}

/** The same of one window alone. */
export function patchWindow(
  config: PatchConfig,
  symbols: ArrayLike<number>,
  capacity: number,
): PatchMap {
  const n = symbols.length;
  const map = {
    ends: new Uint32Array(capacity),
    newest: new Uint32Array(n),
    endOf: new Uint32Array(n),
    start: new Uint32Array(capacity + 1),
  };
  return { ...map, ...fillPatches(config, symbols, capacity, { ...map, row: 0, patch: 0 }) };
}
