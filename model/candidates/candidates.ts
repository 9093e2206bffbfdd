/**
 * Names in scope for a model: the weights that were fitted on its held-out files, the lexicon as a trie, and a reader
 * that goes on from keystroke to keystroke instead of reading the file again.
 */
import type { FactLexicon } from "../facts/lexicon.ts";
import type { CandidateWeights } from "./candidateWeights.ts";
import { lexiconTrie } from "./lexiconTrie.ts";
import { NameReader } from "./nameReader.ts";
import type { NameTrie } from "./nameTrie.ts";
import type { NameList } from "./offer.ts";

/** Bytes before the cursor that names are taken from. */
const READ_BYTES = 1 << 16;
/** The reader is kept from a start in steps and up to an end in steps. */
const START_STEP = 1 << 14;
const END_STEP = 256;

interface Kept {
  readonly path: string;
  readonly version: number;
  readonly start: number;
  readonly read: Uint8Array;
  readonly reader: NameReader;
}

export class Candidates {
  readonly #lexicon: FactLexicon;
  readonly #weights: CandidateWeights;
  #trie: { readonly path: string; readonly version: number; readonly trie: NameTrie } | undefined;
  #kept: Kept | undefined;

  constructor(o: { lexicon: FactLexicon; weights: CandidateWeights }) {
    this.#lexicon = o.lexicon;
    this.#weights = o.weights;
  }

  /** A reader at the beginning of a file; nothing that the lexicon has from this file is in it. */
  reader(path: string): NameReader {
    return new NameReader({
      path,
      weights: this.#weights,
      sources: { lexicon: this.#lexiconWithout(path) },
    });
  }

  /** A reader behind the text before the cursor, with what a language server offers there. */
  after(path: string, before: Uint8Array, list?: NameList): NameReader {
    const missing = Math.max(0, before.length - READ_BYTES);
    const start = Math.ceil(missing / START_STEP) * START_STEP;
    const text = before.subarray(start);
    const read = text.slice(0, Math.floor(text.length / END_STEP) * END_STEP);
    const kept = this.#kept;
    const holds =
      kept !== undefined &&
      kept.path === path &&
      kept.version === this.#lexicon.version &&
      kept.start === start &&
      kept.read.length <= read.length &&
      kept.read.every((byte, i) => byte === read[i]);
    const reader = holds ? kept.reader : this.reader(path);
    for (const byte of read.subarray(holds ? kept.read.length : 0)) reader.push(byte);
    this.#kept = { path, version: this.#lexicon.version, start, read, reader };
    const fork = reader.fork();
    for (const byte of text.subarray(read.length)) fork.push(byte);
    fork.offer(list);
    return fork;
  }

  #lexiconWithout(path: string): NameTrie {
    const { version } = this.#lexicon;
    if (this.#trie?.path !== path || this.#trie.version !== version)
      this.#trie = { path, version, trie: lexiconTrie(this.#lexicon, path) };
    return this.#trie.trie;
  }
}
