/** What the memory counted at a place, beside the distribution it made of that: the mixture with the network weighs the
 *  counts anew (evidenceInputs.ts). Of a file that is read once and fitted on several times, they are written down. */

import { Expected } from "./analogies.ts";
import { COUNT_INPUTS, SETS } from "./blendWeights.ts";

/** Bytes that are asked about at most. */
export const CANDIDATES = 32;

/** Of the bytes before a place, and true until the next of them is read. */
export interface PlaceEvidence {
  /** The bytes of which counts are known, best first. */
  readonly candidates: number;
  readonly candidate: Uint8Array;
  /** [input, CANDIDATES] */
  readonly counts: Int32Array;
  /** How much each input counted at all. */
  readonly total: Float64Array;
  /** The plain distribution (escapeBlend.ts), of the candidates at least. */
  readonly escape: Float64Array;
  /** One of each set, in the common numbering (situations.ts). */
  readonly situation: Int32Array;
  /** By analogy, in the workspace and in the file. */
  readonly workspace: Expected;
  readonly own: Expected;
  /** [input, state]: logit of how often a byte with such counts came next. */
  readonly belief: Float32Array;
}

/** The same, to be kept. */
export function copyEvidence(e: PlaceEvidence, belief: Float32Array): PlaceEvidence {
  const { candidates, workspace, own } = e;
  return {
    candidates,
    candidate: e.candidate.slice(),
    counts: e.counts.slice(),
    total: e.total.slice(),
    escape: e.escape.slice(),
    situation: e.situation.slice(),
    workspace: { ...workspace },
    own: { ...own },
    belief,
  };
}

/** The evidence of every byte of a file, in shared memory: threads read it without a copy. */
export interface EvidenceRecord {
  /** Where each place begins in the words. */
  readonly start: Uint32Array;
  readonly words: Uint32Array;
  readonly belief: Float32Array;
}

/** A count takes the lower bits of a word, the rank of its byte the upper ones. */
const COUNT_BITS = 27;
const COUNT_MASK = 2 ** COUNT_BITS - 1;
/** Likewise how many counts an input has, and the input. */
const ENTRY_BITS = 8;
const ENTRY_MASK = 2 ** ENTRY_BITS - 1;
const FIRST_WORDS = 1 << 14;
/** Candidates, inputs, and two bytes expected with their classes. */
const HEAD_WORDS = 6;
/** A candidate's byte and its share of the plain distribution. */
const CANDIDATE_WORDS = 2;
const MOST_WORDS =
  HEAD_WORDS + SETS + CANDIDATES * CANDIDATE_WORDS + COUNT_INPUTS * (2 + CANDIDATES);

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

function shared(from: Uint32Array): Uint32Array {
  const copy = new Uint32Array(new SharedArrayBuffer(from.byteLength));
  copy.set(from);
  return copy;
}

export class EvidenceWriter {
  readonly #start: Uint32Array;
  #words: Uint32Array = new Uint32Array(FIRST_WORDS);
  #used = 0;
  #places = 0;
  #belief: Float32Array = new Float32Array(0);

  /** Of so many places. */
  constructor(places: number) {
    this.#start = new Uint32Array(new SharedArrayBuffer(places * 4));
  }

  write(e: PlaceEvidence): void {
    if (this.#places === 0) {
      this.#belief = new Float32Array(new SharedArrayBuffer(e.belief.byteLength));
      this.#belief.set(e.belief);
    }
    if (this.#used + MOST_WORDS > this.#words.length) {
      const grown = new Uint32Array(2 * this.#words.length);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#start[this.#places++] = this.#used;
    const words = this.#words;
    const head = this.#used;
    words[head] = e.candidates;
    words[head + 2] = e.workspace.byte;
    words[head + 3] = e.workspace.class;
    words[head + 4] = e.own.byte;
    words[head + 5] = e.own.class;
    let at = head + HEAD_WORDS;
    words.set(e.situation, at);
    at += SETS;
    for (let rank = 0; rank < e.candidates; rank++) {
      float[0] = e.escape[e.candidate[rank]!]!;
      words[at++] = e.candidate[rank]!;
      words[at++] = floatBits[0]!;
    }
    let inputs = 0;
    for (let input = 0; input < COUNT_INPUTS; input++) {
      if (e.total[input]! <= 0) continue;
      inputs++;
      const entries = at++;
      words[at++] = e.total[input]!;
      const row = input * CANDIDATES;
      let n = 0;
      for (let rank = 0; rank < e.candidates; rank++) {
        const count = e.counts[row + rank]!;
        if (count === 0) continue;
        words[at++] = (rank << COUNT_BITS) | Math.min(count, COUNT_MASK);
        n++;
      }
      words[entries] = (input << ENTRY_BITS) | n;
    }
    words[head + 1] = inputs;
    this.#used = at;
  }

  finish(): EvidenceRecord {
    const words = shared(this.#words.subarray(0, this.#used));
    return { start: this.#start, words, belief: this.#belief };
  }
}

/** Gives back what was written, place by place. */
export class EvidenceReader implements PlaceEvidence {
  candidates = 0;
  readonly candidate = new Uint8Array(CANDIDATES);
  readonly counts = new Int32Array(COUNT_INPUTS * CANDIDATES);
  readonly total = new Float64Array(COUNT_INPUTS);
  readonly escape = new Float64Array(256);
  readonly situation = new Int32Array(SETS);
  readonly workspace = new Expected();
  readonly own = new Expected();
  readonly belief: Float32Array;
  readonly #record: EvidenceRecord;

  constructor(record: EvidenceRecord) {
    this.#record = record;
    this.belief = record.belief;
  }

  read(place: number): this {
    const { start, words } = this.#record;
    const head = start[place]!;
    this.candidates = words[head]!;
    const inputs = words[head + 1]!;
    // A byte of −1 went into an unsigned word.
    this.workspace.byte = words[head + 2]! | 0;
    this.workspace.class = words[head + 3]!;
    this.own.byte = words[head + 4]! | 0;
    this.own.class = words[head + 5]!;
    let at = head + HEAD_WORDS;
    for (let set = 0; set < SETS; set++) this.situation[set] = words[at++]!;
    this.escape.fill(0);
    for (let rank = 0; rank < this.candidates; rank++) {
      const byte = (this.candidate[rank] = words[at++]!);
      floatBits[0] = words[at++]!;
      this.escape[byte] = float[0]!;
    }
    this.counts.fill(0);
    this.total.fill(0);
    for (let i = 0; i < inputs; i++) {
      const entries = words[at++]!;
      const input = entries >>> ENTRY_BITS;
      this.total[input] = words[at++]!;
      const end = at + (entries & ENTRY_MASK);
      for (; at < end; at++)
        this.counts[input * CANDIDATES + (words[at]! >>> COUNT_BITS)] = words[at]! & COUNT_MASK;
    }
    return this;
  }
}
