/**
 * Completions: the memory drafts, the network verifies a whole draft in one pass, and the mixture of both decides
 * every byte greedily. A draft changes only how many bytes one read-back covers, never the result.
 */
import { headerSymbols, PRE, SUF } from "./bytes.ts";
import type { Candidates, NameList } from "./candidates/candidates.ts";
import {
  searchNames,
  type NameSearch,
  type NextByte,
  type RankedName,
} from "./candidates/nameSearch.ts";
import type { Decoder, Distributions } from "./decoder.ts";
import { createFactEncoder, type FactStream } from "./facts/encoder.ts";
import { N_FACT_CHANNELS } from "./facts/channels.ts";
import type { FactLexicon } from "./facts/lexicon.ts";
import type { AnyMixer } from "./fitMixer.ts";
import type { MemoryCursor } from "./memory/memoryCursor.ts";
import type { SuffixMemory } from "./memory/suffixMemory.ts";

export interface CompleteOptions {
  readonly path: string;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly maxBytes: number;
  readonly singleLine: 0 | 1;
  /** Whether names in scope change the mixture; on where it is not said. */
  readonly candidates?: "on" | "off";
  /** What a language server offers at the cursor. */
  readonly list?: NameList;
  readonly signal?: AbortSignal;
}

/** A search for whole names; `before` ends where the name begins. */
export interface NamesOptions extends Omit<NameSearch, "nameBytes"> {
  readonly path: string;
  readonly before: Uint8Array;
  readonly candidates?: "on" | "off";
  readonly list?: NameList;
  /** 1: rank the names without candidates too. */
  readonly compare?: 1;
}

export interface NamesResult {
  readonly names: readonly RankedName[];
  /** How long those took. */
  readonly ms: number;
  readonly without: readonly RankedName[] | undefined;
}

export interface Completion {
  readonly text: string;
  /** Probability that the mixture gives to the whole text. */
  readonly confidence: number;
  readonly ms: number;
  readonly bytes: Uint8Array;
  /** Probability of each byte given those before it. */
  readonly perByte: Float32Array;
  readonly finished: "end" | "line" | "length" | "aborted";
}

const NEWLINE = 10;
/** Room for the names of a search, in bytes. */
const NAME_BYTES = 64;
/** Bytes of a name that one pass looks ahead in a search. */
const NAME_DRAFT = 6;
/** Share of the window that text after the cursor may take. */
const SUFFIX_SHARE = 0.15;
/** Share of the window that is kept free for new bytes; a longer completion ends with the window. */
const RESERVE_SHARE = 0.125;
/** The window's start moves in steps, so that most keystrokes find their prefix in the caches. */
const ANCHOR_BYTES = 64;
/** Bytes before the cursor that the memory's view of this file is made from. */
const CURSOR_BYTES = 1 << 14;
/** That view is kept for the next keystroke, from a start in steps and up to an end in steps. */
const CURSOR_START_STEP = 1 << 12;
const CURSOR_END_STEP = 64;
/** The last bytes, this many to twice as many, are predicted before they are read, so that the memory's weights follow
 *  the file: most of what following the whole file gains, for some 25 µs a byte. */
const FOLLOWED_BYTES = 256;
const SNAPSHOT_BYTES = 1024;

/** The memory's view of a file up to some bytes before the cursor. */
interface ViewOfFile {
  readonly path: string;
  readonly version: number;
  readonly start: number;
  /** Bytes from the start that the following cursor has read. */
  readonly read: Uint8Array;
  /** A cursor that has read up to where following begins, and one that has followed from there to the end. */
  readonly plain: MemoryCursor;
  readonly plainEnd: number;
  readonly following: MemoryCursor;
}

function read(cursor: MemoryCursor, bytes: Uint8Array): void {
  for (const byte of bytes) cursor.push(byte);
}

/** Predicts every byte before it is read, from which the cursor learns. */
function follow(cursor: MemoryCursor, bytes: Uint8Array): void {
  const unused = new Float64Array(256);
  for (const byte of bytes) {
    cursor.predict(unused);
    cursor.push(byte);
  }
}

/** What a call gives that was given up before its turn came. */
function aborted(): Completion {
  return {
    text: "",
    confidence: 0,
    ms: 0,
    bytes: new Uint8Array(0),
    perByte: new Float32Array(0),
    finished: "aborted",
  };
}

interface FactsOfFile {
  readonly path: string;
  readonly version: number;
  readonly stream: FactStream;
  bytes: Uint8Array;
  facts: Uint16Array;
  snapshots: ReturnType<FactStream["snapshot"]>[];
}

export class Completer {
  readonly #decoder: Decoder;
  readonly #memory: SuffixMemory;
  readonly #mixer: AnyMixer;
  readonly #lexicon: FactLexicon;
  readonly #withFacts: boolean;
  readonly #candidates: Candidates | undefined;
  #file: FactsOfFile | undefined;
  #view: ViewOfFile | undefined;

  constructor(o: {
    decoder: Decoder;
    memory: SuffixMemory;
    mixer: AnyMixer;
    lexicon: FactLexicon;
    facts: "on" | "off";
    candidates?: Candidates | undefined;
  }) {
    this.#candidates = o.candidates;
    this.#decoder = o.decoder;
    this.#memory = o.memory;
    this.#mixer = o.mixer;
    this.#lexicon = o.lexicon;
    this.#withFacts = o.facts === "on";
  }

  dispose(): void {
    this.#decoder.dispose();
  }

  /** Facts of the text before the cursor; goes on from the last snapshot that still holds. */
  #factsOf(path: string, before: Uint8Array): { stream: FactStream; facts: Uint16Array } {
    let file = this.#file;
    if (file === undefined || file.path !== path || file.version !== this.#lexicon.version)
      file = {
        path,
        version: this.#lexicon.version,
        stream: createFactEncoder({ lexicon: this.#lexicon }).stream(path),
        bytes: new Uint8Array(0),
        facts: new Uint16Array(0),
        snapshots: [],
      };
    if (file.snapshots.length === 0) file.snapshots.push(file.stream.snapshot());
    let same = 0;
    const limit = Math.min(before.length, file.bytes.length);
    while (same < limit && before[same] === file.bytes[same]) same++;
    const keep = Math.min(file.snapshots.length - 1, Math.floor(same / SNAPSHOT_BYTES));
    file.stream.restore(file.snapshots[keep]!);
    file.snapshots.length = keep + 1;
    const from = keep * SNAPSHOT_BYTES;
    const facts = new Uint16Array(before.length * N_FACT_CHANNELS);
    facts.set(file.facts.subarray(0, from * N_FACT_CHANNELS));
    for (let t = from; t < before.length; t++) {
      file.stream.push(before[t]!);
      file.stream.write(facts, t * N_FACT_CHANNELS);
      if ((t + 1) % SNAPSHOT_BYTES === 0) file.snapshots.push(file.stream.snapshot());
    }
    file.bytes = before.slice();
    file.facts = facts;
    this.#file = file;
    return { stream: file.stream, facts };
  }

  /** A cursor of the memory that has read the last bytes before the cursor and followed the very last of them; what it
   *  read for the last keystroke is not read again. A function of the text alone, whatever was asked before. */
  #cursorAfter(path: string, before: Uint8Array): MemoryCursor {
    const missing = Math.max(0, before.length - CURSOR_BYTES);
    const start = Math.ceil(missing / CURSOR_START_STEP) * CURSOR_START_STEP;
    const text = before.subarray(start);
    const kept = text.slice(0, Math.floor(text.length / CURSOR_END_STEP) * CURSOR_END_STEP);
    const plainEnd = Math.max(0, Math.floor(kept.length / FOLLOWED_BYTES - 1) * FOLLOWED_BYTES);
    const last = this.#view;
    const view =
      last !== undefined &&
      last.path === path &&
      last.version === this.#memory.version &&
      last.start === start &&
      last.read.length <= kept.length &&
      last.read.every((byte, i) => byte === kept[i])
        ? last
        : undefined;
    const plain = view?.plain ?? this.#memory.cursor({ exclude: path });
    read(plain, kept.subarray(view?.plainEnd ?? 0, plainEnd));
    const goesOn = view?.plainEnd === plainEnd;
    const following = goesOn ? view.following : plain.fork();
    follow(following, kept.subarray(goesOn ? view.read.length : plainEnd));
    const { version } = this.#memory;
    this.#view = { path, version, start, read: kept, plain, plainEnd, following };
    const fork = following.fork();
    follow(fork, text.subarray(kept.length));
    return fork;
  }

  /** The window: header, text after the cursor, text before it, as in training; plain left to right without
   *  text after the cursor. */
  #window(o: CompleteOptions, facts: Uint16Array): { symbols: number[]; facts: Uint16Array } {
    const capacity = this.#decoder.capacity;
    const header = headerSymbols(o.path);
    const suffix = o.after.subarray(0, Math.floor(capacity * SUFFIX_SHARE));
    const reserve =
      Math.min(o.maxBytes, Math.floor(capacity * RESERVE_SHARE)) + this.#decoder.draftRows;
    const room = capacity - header.length - suffix.length - 2 - reserve;
    const missing = Math.max(0, o.before.length - room);
    const start = Math.min(o.before.length, Math.ceil(missing / ANCHOR_BYTES) * ANCHOR_BYTES);
    const frame = suffix.length === 0 ? header : [...header, SUF, ...suffix, PRE];
    const symbols = [...frame, ...o.before.subarray(start)];
    const out = new Uint16Array(capacity * N_FACT_CHANNELS);
    const lead = symbols.length - (o.before.length - start);
    if (this.#withFacts) out.set(facts.subarray(start * N_FACT_CHANNELS), lead * N_FACT_CHANNELS);
    return { symbols, facts: out };
  }

  async complete(o: CompleteOptions): Promise<Completion> {
    const started = performance.now();
    const givenUp = (): boolean => o.signal?.aborted === true;
    if (givenUp()) return aborted();
    const fileFacts = this.#factsOf(o.path, o.before);
    const { symbols, facts } = this.#window(o, fileFacts.facts);
    const stream = fileFacts.stream;
    const cursor = this.#cursorAfter(o.path, o.before);
    const names =
      o.candidates === "off" ? undefined : this.#candidates?.after(o.path, o.before, o.list);
    const out: number[] = [];
    const perByte: number[] = [];
    const memory = new Float64Array(256);
    const mixed = new Float64Array(256);
    let confidence = 1;
    let finished: Completion["finished"] = "length";
    // Rows behind the accepted ones hold a draft; `known` has the distributions after the last accepted byte and
    // after each byte of the draft.
    let draft: number[] = [];
    let known: Distributions;
    let row = 0;
    const verify = async (): Promise<void> => {
      draft = this.#draft(cursor, o, Math.min(o.maxBytes - out.length, this.#room(symbols)));
      known = await this.#verify(symbols, facts, draft, stream);
      row = 0;
    };
    await verify();
    while (out.length < o.maxBytes) {
      if (givenUp()) {
        finished = "aborted";
        break;
      }
      const network = known!.p.subarray(row * 256, (row + 1) * 256);
      const { matchLength, total } = cursor.predict(memory);
      const last = out.at(-1) ?? o.before.at(-1) ?? NEWLINE;
      this.#mixer.mix({ network, memory, matchLength, total, last }, mixed);
      names?.adjust(mixed);
      let best = 0;
      for (let byte = 1; byte < 256; byte++) if (mixed[byte]! > mixed[best]!) best = byte;
      // Without text after the cursor nothing says where the middle ends.
      const eom = o.after.length === 0 ? 0 : known!.eom[row]!;
      if (eom > mixed[best]! * (1 - eom)) {
        finished = "end";
        break;
      }
      if (best === NEWLINE && o.singleLine === 1) {
        finished = "line";
        break;
      }
      const probability = mixed[best]! * (1 - eom);
      confidence *= probability;
      out.push(best);
      perByte.push(probability);
      cursor.push(best);
      names?.push(best);
      symbols.push(best);
      stream.push(best);
      if (this.#withFacts) stream.write(facts, (symbols.length - 1) * N_FACT_CHANNELS);
      if (out.length === o.maxBytes || this.#room(symbols) === 0) break;
      if (draft[0] === best) {
        draft.shift();
        row++;
        continue;
      }
      await verify();
    }
    return {
      text: new TextDecoder().decode(Uint8Array.from(out)),
      confidence: out.length === 0 ? 0 : confidence,
      ms: performance.now() - started,
      bytes: Uint8Array.from(out),
      perByte: Float32Array.from(perByte),
      finished,
    };
  }

  /** The most probable whole names behind the text, best first; nothing is read of what follows. */
  async names(o: NamesOptions & { nameBytes: Uint8Array }): Promise<NamesResult> {
    const started = performance.now();
    const names =
      o.candidates === "off" ? undefined : this.#candidates?.after(o.path, o.before, o.list);
    const mixture = this.#mixtureBehind(o);
    const adjusted = new Float64Array(256);
    const next = async (bytes: readonly number[]): Promise<Float64Array> => {
      adjusted.set(await mixture(bytes));
      names?.adjust(adjusted, bytes);
      return adjusted;
    };
    const found = await searchNames(next, o);
    const ms = performance.now() - started;
    const isCompared = o.compare === 1 && names !== undefined;
    return { names: found, ms, without: isCompared ? await searchNames(mixture, o) : undefined };
  }

  /** The mixture behind the text before a name and any first bytes of it; each is worked out once. */
  #mixtureBehind(o: {
    readonly path: string;
    readonly before: Uint8Array;
    readonly nameBytes: Uint8Array;
  }): NextByte {
    const window = { ...o, after: new Uint8Array(0), maxBytes: NAME_BYTES, singleLine: 1 } as const;
    const fileFacts = this.#factsOf(o.path, o.before);
    const { symbols, facts } = this.#window(window, fileFacts.facts);
    const cursor = this.#cursorAfter(o.path, o.before);
    const network = new Map<string, Float32Array>();
    const mixtures = new Map<string, Float64Array>();
    return async (bytes) => {
      const key = String(bytes);
      let mixed = mixtures.get(key);
      if (mixed !== undefined) return mixed;
      const here = cursor.fork();
      for (const byte of bytes) here.push(byte);
      if (!network.has(key)) {
        // What the memory expects of the name is likely to be asked for next.
        const draft = [...here.draft(Math.min(NAME_DRAFT, this.#decoder.draftRows - 1))];
        const end = draft.findIndex((byte) => o.nameBytes[byte] === 0);
        if (end >= 0) draft.length = end;
        const rows = draft.length + 1;
        const ahead = [...bytes, ...draft];
        const { p } = await this.#verify(symbols, facts, ahead, fileFacts.stream, rows);
        for (let row = 0; row < rows; row++)
          network.set(String(ahead.slice(0, bytes.length + row)), p.slice(row * 256, row * 256 + 256)); // prettier-ignore
      }
      const memory = new Float64Array(256);
      mixed = new Float64Array(256);
      const match = here.predict(memory);
      const last = bytes.at(-1) ?? o.before.at(-1) ?? NEWLINE;
      this.#mixer.mix({ network: network.get(key)!, memory, last, ...match }, mixed);
      mixtures.set(key, mixed);
      return mixed;
    };
  }

  #room(symbols: readonly number[]): number {
    return this.#decoder.capacity - symbols.length;
  }

  /** What the memory expects next, less what no answer would need: `most` bytes are still wanted, and the last of
   *  them, like the end of a single line, needs no distribution behind it. */
  #draft(cursor: MemoryCursor, o: CompleteOptions, most: number): number[] {
    const length = Math.min(this.#decoder.draftRows, most) - 1;
    if (length <= 0) return [];
    const draft = [...cursor.draft(length)];
    const end = o.singleLine === 1 ? draft.indexOf(NEWLINE) : -1;
    return end < 0 ? draft : draft.slice(0, end);
  }

  /** One pass over the last accepted byte and a draft behind it; the last of its distributions. */
  async #verify(
    symbols: readonly number[],
    facts: Uint16Array,
    draft: readonly number[],
    stream: FactStream,
    wanted = draft.length + 1,
  ): Promise<Distributions> {
    if (this.#withFacts && draft.length > 0) {
      const here = stream.snapshot();
      draft.forEach((byte, i) => {
        stream.push(byte);
        stream.write(facts, (symbols.length + i) * N_FACT_CHANNELS);
      });
      stream.restore(here);
    }
    return this.#decoder.extend([...symbols, ...draft], facts, wanted);
  }
}
