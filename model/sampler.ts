/**
 * Training windows: a seeded walk over shuffled documents, some arranged as fill-in-the-middle. What step s of a
 * seed sees is a pure function of (seed, s) and of how many symbols came before, so a resumed run sees what an
 * uninterrupted one would have seen.
 * Source: FIM in SPM order with byte-level spans (arXiv 2207.14255 §3); document order reshuffled every epoch.
 */
import { BOS, EOF, EOM, PATH_END, pathBytes, PRE, SUF, type CorpusFile } from "./bytes.ts";
import type { ModelConfig } from "./config.ts";
import { factWidth } from "./facts/channels.ts";
import type { FactEncoder } from "./facts/encoder.ts";
import { invariant } from "./errors.ts";
import { hasAuxHead } from "./auxHead.ts";
import { nextTokenClasses } from "./facts/nextClass.ts";
import { Random } from "./random.ts";
import { Renamer, type NamePlaces } from "./renaming.ts";
import { SKIP, type Window } from "./windows.ts";

interface Document {
  readonly path: Uint8Array;
  readonly bytes: Uint8Array;
  readonly facts: Uint16Array | undefined;
  readonly names: NamePlaces | undefined;
  readonly classes: Uint8Array | undefined;
  /** Symbols: BOS path PATH_END bytes EOF. */
  readonly length: number;
}

/** Share of a fill-in-the-middle window that may hold the text behind the gap. */
const SUFFIX_SHARE = 0.25;
const MAX_MIDDLE_BYTES = 96;

export class Sampler {
  readonly totalSymbols: number;
  readonly #documents: Document[];
  readonly #config: ModelConfig;
  readonly #seed: number;
  readonly #renamer: Renamer | undefined;
  readonly #reused: WindowMemory[] = [];
  #order: Uint32Array;
  #starts: Float64Array;
  #epoch = -1;

  constructor(
    files: readonly CorpusFile[],
    config: ModelConfig,
    encoder: FactEncoder | undefined,
    seed: number,
  ) {
    const width = factWidth(config.colour);
    const wrong = encoder !== undefined && encoder.width !== width;
    invariant(!wrong, `facts of ${encoder?.width} channels for a model of ${width}`);
    const renamer = config.renameRate > 0 ? new Renamer(files) : undefined;
    this.#renamer = renamer;
    this.#documents = files.map((f, i) => {
      const path = pathBytes(f.path);
      return {
        path,
        bytes: f.bytes,
        facts: encoder?.channels(f.path, f.bytes),
        names: renamer?.places(i),
        classes: hasAuxHead(config) ? nextTokenClasses(f.path, f.bytes) : undefined,
        length: path.length + f.bytes.length + 3,
      };
    });
    this.totalSymbols = this.#documents.reduce((sum, d) => sum + d.length, 0);
    this.#config = config;
    this.#seed = seed;
    this.#order = new Uint32Array(this.#documents.length);
    this.#starts = new Float64Array(this.#documents.length + 1);
  }

  #shuffle(epoch: number): void {
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    const random = new Random(this.#seed, 0x10000 + epoch);
    const order = this.#order;
    for (let i = 0; i < order.length; i++) order[i] = i;
    for (let i = order.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      const swap = order[i]!;
      order[i] = order[j]!;
      order[j] = swap;
    }
    let at = 0;
    order.forEach((d, i) => {
      this.#starts[i] = at;
      at += this.#documents[d]!.length;
    });
    this.#starts[order.length] = at;
  }

  /** Index in the shuffled order of the document that holds symbol `at`. */
  #find(at: number): number {
    let low = 0;
    let high = this.#order.length - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (this.#starts[mid]! <= at) low = mid;
      else high = mid - 1;
    }
    return low;
  }

  /** The windows of one step: `batch` of them, after `before` symbols; by default as if no step had another number.
   *  `reuse` 1 writes them over those of the last call that reused: collecting them takes time from every step. */
  step(step: number, o: { batch?: number; before?: number; reuse?: 1 } = {}): Window[] {
    const B = o.batch ?? this.#config.batch;
    const before = o.before ?? step * B * this.#config.context;
    this.#shuffle(Math.floor(before / this.totalSymbols));
    const random = new Random(this.#seed, step + 1);
    return Array.from({ length: B }, (_, i) =>
      this.#window(random, o.reuse === 1 ? (this.#reused[i] ??= {}) : {}),
    );
  }

  #window(random: Random, memory: WindowMemory): Window {
    const N = this.#config.context;
    const hasFacts = random.uniform() >= this.#config.factDropout;
    const writer = new WindowWriter(N, hasFacts ? factWidth(this.#config.colour) : 0, memory);
    const at = Math.floor(random.uniform() * this.totalSymbols);
    let i = this.#find(at);
    const d = this.#documents[this.#order[i]!]!;
    let offset = at - this.#starts[i]!;
    if (random.uniform() < this.#config.fimRate && d.bytes.length > 2) {
      this.#fillInTheMiddle(writer, d, random);
      i = (i + 1) % this.#order.length;
      offset = 0;
    } else if (this.#renamer !== undefined && random.uniform() < this.#config.renameRate)
      writer.rename(this.#renamer, random);
    while (!writer.full) {
      writer.document(this.#documents[this.#order[i]!]!, offset);
      i = (i + 1) % this.#order.length;
      offset = 0;
    }
    return writer.window();
  }

  #fillInTheMiddle(writer: WindowWriter, d: Document, random: Random): void {
    const N = this.#config.context;
    const from = random.below(d.bytes.length);
    const newline = d.bytes.indexOf(10, from);
    const toLineEnd = newline < 0 ? d.bytes.length - from : newline - from;
    // Half of the gaps end with the line, as completions do; the others anywhere.
    const length = Math.min(
      d.bytes.length - from,
      random.uniform() < 0.5 ? toLineEnd : 1 + random.below(MAX_MIDDLE_BYTES),
      MAX_MIDDLE_BYTES,
    );
    const to = from + length;
    const room = N + 1 - (d.path.length + 5);
    const suffix = Math.min(d.bytes.length - to, random.below(Math.floor(room * SUFFIX_SHARE) + 1));
    const prefix = Math.max(0, Math.min(from, room - suffix - length));
    writer.push(BOS, SKIP_TARGET);
    writer.path(d.path);
    writer.push(SUF, SKIP_TARGET);
    for (let t = to; t < to + suffix; t++) writer.push(d.bytes[t]!, SKIP_TARGET);
    writer.push(PRE, SKIP_TARGET);
    writer.content(d, from - prefix, to);
    writer.push(EOM, SCORE_TARGET);
  }
}

const SCORE_TARGET = 1;
const SKIP_TARGET = 0;

/** What a window was written to, and the next one may be. */
interface WindowMemory {
  symbols?: Uint16Array;
  targets?: Uint32Array;
  facts?: Uint16Array;
  classes?: Uint8Array;
}

/** Collects N + 1 symbols: each one is the target of the position before it. */
class WindowWriter {
  readonly #symbols: Uint16Array;
  readonly #targets: Uint32Array;
  readonly #facts: Uint16Array | undefined;
  #classes: Uint8Array | undefined;
  readonly #n: number;
  readonly #width: number;
  readonly #memory: WindowMemory;
  #at = 0;
  #names: { lengthOf(name: number): number; become(name: number): Uint8Array } | undefined;

  /** Of `n` symbols with so many channels of facts, or none. */
  constructor(n: number, width: number, memory: WindowMemory) {
    this.#n = n;
    this.#width = width;
    this.#memory = memory;
    this.#symbols = (memory.symbols ??= new Uint16Array(n)).fill(0);
    this.#targets = (memory.targets ??= new Uint32Array(n)).fill(SKIP);
    this.#facts = width > 0 ? (memory.facts ??= new Uint16Array(n * width)).fill(0) : undefined;
  }

  #ownClasses(): Uint8Array {
    return (this.#classes ??= (this.#memory.classes ??= new Uint8Array(this.#n)).fill(0));
  }

  get full(): boolean {
    return this.#at > this.#n;
  }

  push(symbol: number, scored: 0 | 1): void {
    const t = this.#at++;
    if (t > 0 && t <= this.#n && scored === 1) this.#targets[t - 1] = symbol;
    if (t < this.#n) this.#symbols[t] = symbol;
  }

  path(path: Uint8Array): void {
    for (const byte of path) this.push(byte, SKIP_TARGET);
    this.push(PATH_END, SKIP_TARGET);
  }

  /** From here on names of whole documents become others. */
  rename(renamer: Renamer, random: Random): void {
    this.#names = {
      lengthOf: (name) => renamer.length(name),
      become: renamer.window(random),
    };
  }

  content(d: Document, from: number, to: number): void {
    const names = this.#names;
    const places = d.names;
    if (names === undefined || places === undefined) {
      this.#copy(d, from, to);
      return;
    }
    let at = from;
    for (let i = firstFrom(places.starts, from); i < places.starts.length && !this.full; i++) {
      const start = places.starts[i]!;
      const name = places.names[i]!;
      const end = start + names.lengthOf(name);
      if (end > to) break;
      this.#copy(d, at, start);
      // Facts describe what stands before a name, so those of its first byte hold throughout.
      for (const byte of names.become(name)) this.#byte(d, byte, start);
      at = end;
    }
    this.#copy(d, at, to);
  }

  /** Bytes from … to − 1 as they are, as far as there is room: what #byte does for each. */
  #copy(d: Document, from: number, to: number): void {
    const at = this.#at;
    const count = Math.min(to - from, this.#n + 1 - at);
    if (count <= 0) return;
    this.#at += count;
    const bytes = d.bytes.subarray(from, from + count);
    const first = at === 0 ? 1 : 0;
    this.#targets.set(bytes.subarray(first), at - 1 + first);
    // The last symbol may be a target alone.
    const kept = Math.min(count, this.#n - at);
    this.#symbols.set(bytes.subarray(0, kept), at);
    if (d.classes !== undefined) this.#ownClasses().set(d.classes.subarray(from, from + kept), at);
    const width = this.#width;
    if (this.#facts !== undefined && d.facts !== undefined)
      this.#facts.set(d.facts.subarray(from * width, (from + kept) * width), at * width);
  }

  /** A byte with the facts that the document has at t. */
  #byte(d: Document, byte: number, t: number): void {
    const at = this.#at;
    this.push(byte, SCORE_TARGET);
    if (d.classes !== undefined && at < this.#n) this.#ownClasses()[at] = d.classes[t]!;
    if (this.#facts === undefined || d.facts === undefined || at >= this.#n) return;
    const width = this.#width;
    for (let k = 0; k < width; k++) this.#facts[at * width + k] = d.facts[t * width + k]!;
  }

  /** The document's symbols from `offset` on. */
  document(d: Document, offset: number): void {
    const header = d.path.length + 2;
    if (offset < header) {
      if (offset === 0) this.push(BOS, SKIP_TARGET);
      for (let i = Math.max(0, offset - 1); i < d.path.length; i++)
        this.push(d.path[i]!, SKIP_TARGET);
      this.push(PATH_END, SKIP_TARGET);
    }
    this.content(d, Math.max(0, offset - header), d.bytes.length);
    if (!this.full) this.push(EOF, SCORE_TARGET);
  }

  window(): Window {
    return {
      symbols: this.#symbols,
      facts: this.#facts,
      targets: this.#targets,
      classes: this.#classes,
    };
  }
}

/** Index of the first of rising `starts` that is at least `from`. */
function firstFrom(starts: Uint32Array, from: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (starts[mid]! < from) low = mid + 1;
    else high = mid;
  }
  return low;
}
