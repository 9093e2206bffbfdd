/**
 * Completions: the memory drafts, the network verifies a whole draft in one pass, and the mixture of both decides
 * every byte greedily. A draft changes only how many bytes one read-back covers, never the result. Of a single line
 * what was written so stands against copies of what stood behind similar places (lineChoice.ts).
 */
import { headerSymbols, PRE, SUF } from "./bytes.ts";
import type { Candidates } from "./candidates/candidates.ts";
import {
  searchNames,
  type NameSearch,
  type NextByte,
  type RankedName,
} from "./candidates/nameSearch.ts";
import type { NameList } from "./candidates/offer.ts";
import {
  Continuation,
  rowOf,
  verify,
  type ContinuationParts,
  type FollowingMixer,
  type NetworkText,
} from "./continuation.ts";
import type { Decoder } from "./decoder.ts";
import { createFactEncoder, type FactStream } from "./facts/encoder.ts";
import { factWidth, type ColourKind } from "./facts/channels.ts";
import type { FactLexicon } from "./facts/lexicon.ts";
import type { AnyMixer } from "./fitMixer.ts";
import { FollowedMixture } from "./followedMixture.ts";
import { LineChoice } from "./lineChoice.ts";
import type { SuffixMemory } from "./memory/suffixMemory.ts";
import { MemoryView, type FollowedPlace } from "./memoryView.ts";
import { chooseLine, writeGreedily, type Finished, type Written } from "./writeLine.ts";

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
  /** 1: rank the names without the list too, and without candidates. */
  readonly compare?: 1;
}

export interface NamesResult {
  readonly names: readonly RankedName[];
  /** How long those took. */
  readonly ms: number;
  readonly without: readonly RankedName[] | undefined;
  /** With candidates, but without the list. */
  readonly unlisted: readonly RankedName[] | undefined;
}

export interface Completion {
  readonly text: string;
  /** Probability that the mixture gives to the whole text. */
  readonly confidence: number;
  readonly ms: number;
  readonly bytes: Uint8Array;
  /** Probability of each byte given those before it. */
  readonly perByte: Float32Array;
  readonly finished: Finished;
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
const SNAPSHOT_BYTES = 1024;
/** From so many bytes on that the memory has yet to follow, a pass of the network of its own is worth it. */
const UNREAD_BYTES = 128;

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

/** What the network reads of a text. */
interface Window extends Pick<NetworkText, "symbols" | "facts" | "width"> {
  /** Symbols before those of the text. */
  readonly lead: number;
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
  readonly #view: MemoryView;
  readonly #followed: FollowedMixture;
  readonly #lexicon: FactLexicon;
  readonly #withFacts: boolean;
  readonly #colour: ColourKind | undefined;
  readonly #candidates: Candidates | undefined;
  #file: FactsOfFile | undefined;

  constructor(o: {
    decoder: Decoder;
    memory: SuffixMemory;
    mixer: AnyMixer;
    lexicon: FactLexicon;
    facts: "on" | "off";
    /** Of the model's colours. */
    colour?: ColourKind | undefined;
    candidates?: Candidates | undefined;
  }) {
    this.#candidates = o.candidates;
    this.#decoder = o.decoder;
    this.#view = new MemoryView(o.memory);
    this.#followed = new FollowedMixture(o.mixer);
    this.#lexicon = o.lexicon;
    this.#withFacts = o.facts === "on";
    this.#colour = o.colour;
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
        stream: createFactEncoder({ lexicon: this.#lexicon, colour: this.#colour }).stream(path),
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
    const width = factWidth(this.#colour);
    const facts = new Uint16Array(before.length * width);
    facts.set(file.facts.subarray(0, from * width));
    for (let t = from; t < before.length; t++) {
      file.stream.push(before[t]!);
      file.stream.write(facts, t * width);
      if ((t + 1) % SNAPSHOT_BYTES === 0) file.snapshots.push(file.stream.snapshot());
    }
    file.bytes = before.slice();
    file.facts = facts;
    this.#file = file;
    return { stream: file.stream, facts };
  }

  /** The window: header, text after the cursor, text before it, as in training; plain left to right without
   *  text after the cursor. */
  #window(o: CompleteOptions, facts: Uint16Array): Window {
    const capacity = this.#decoder.capacity;
    const width = factWidth(this.#colour);
    const header = headerSymbols(o.path);
    const suffix = o.after.subarray(0, Math.floor(capacity * SUFFIX_SHARE));
    const reserve =
      Math.min(o.maxBytes, Math.floor(capacity * RESERVE_SHARE)) + this.#decoder.draftRows;
    const room = capacity - header.length - suffix.length - 2 - reserve;
    const missing = Math.max(0, o.before.length - room);
    const start = Math.min(o.before.length, Math.ceil(missing / ANCHOR_BYTES) * ANCHOR_BYTES);
    const frame = suffix.length === 0 ? header : [...header, SUF, ...suffix, PRE];
    const symbols = [...frame, ...o.before.subarray(start)];
    const out = new Uint16Array(capacity * width);
    const lead = symbols.length - (o.before.length - start);
    if (this.#withFacts) out.set(facts.subarray(start * width), lead * width);
    return { symbols, facts: out, width, lead };
  }

  /** The mixture behind the text; `places` are asked for when the network has read it. */
  #mixerBehind(
    { path, before }: { readonly path: string; readonly before: Uint8Array },
    window: Window,
    places: () => readonly FollowedPlace[],
  ): FollowingMixer {
    const symbols = window.symbols.length;
    const rows = Math.min(this.#view.followed(path, before), symbols - window.lead);
    let mixer: AnyMixer | undefined;
    return {
      rows,
      mixer: () =>
        (mixer ??= this.#followed.behind(this.#decoder, {
          path,
          before,
          version: this.#view.version,
          places: places().slice(places().length - rows),
          symbols,
        })),
    };
  }

  async complete(o: CompleteOptions): Promise<Completion> {
    const started = performance.now();
    const givenUp = (): boolean => o.signal?.aborted === true;
    if (givenUp()) return aborted();
    const fileFacts = this.#factsOf(o.path, o.before);
    const { stream } = fileFacts;
    const window = this.#window(o, fileFacts.facts);
    const text = { ...window, withFacts: this.#withFacts, stream };
    const mixer = this.#mixerBehind(o, window, () => places);
    // A GPU reads the window while the memory follows the file.
    const isFar = this.#view.unread(o.path, o.before) > UNREAD_BYTES;
    const [{ cursor, places }] = await Promise.all([
      Promise.resolve().then(() => this.#view.after(o.path, o.before)),
      isFar ? verify(this.#decoder, text, [], 1, mixer.rows) : undefined,
    ]);
    const names =
      o.candidates === "off" ? undefined : this.#candidates?.after(o.path, o.before, o.list);
    const here = stream.snapshot();
    const begin = (parts: Pick<ContinuationParts, "cursor" | "names">): Continuation =>
      new Continuation({
        decoder: this.#decoder,
        mixer,
        text,
        last: o.before.at(-1) ?? NEWLINE,
        canEnd: o.after.length === 0 ? 0 : 1,
        ...parts,
      });
    const choice =
      o.singleLine === 1
        ? new LineChoice(o.before, {
            copies: cursor.lines(o.maxBytes),
            renamed: cursor.renamedLines(o.maxBytes),
          })
        : undefined;
    const isChoice = choice !== undefined && choice.lines.length > 0;
    const own = isChoice ? { cursor: cursor.fork(), names: names?.fork() } : { cursor, names };
    const { best: greedy, bound } = await writeGreedily(begin(own), o);
    let best: Written | undefined = greedy;
    if (choice !== undefined && greedy.finished !== "aborted")
      best = await chooseLine({
        greedy,
        bound,
        choice,
        begin: () => {
          stream.restore(here);
          return begin({ cursor: cursor.fork(), names: names?.fork() });
        },
        givenUp,
      });
    if (best === undefined) return aborted();
    const { bytes, perByte, finished } = best;
    return {
      text: new TextDecoder().decode(Uint8Array.from(bytes)),
      confidence: bytes.length === 0 ? 0 : perByte.reduce((product, p) => product * p, 1),
      ms: performance.now() - started,
      bytes: Uint8Array.from(bytes),
      perByte: Float32Array.from(perByte),
      finished,
    };
  }

  /** The most probable whole names behind the text, best first; nothing is read of what follows. */
  async names(o: NamesOptions & { nameBytes: Uint8Array }): Promise<NamesResult> {
    const started = performance.now();
    const names =
      o.candidates === "off" ? undefined : this.#candidates?.after(o.path, o.before, o.list);
    const mixture = this.mixtureBehind(o);
    const adjusted = new Float64Array(256);
    const next = async (bytes: readonly number[]): Promise<Float64Array> => {
      adjusted.set(await mixture(bytes));
      names?.adjust(adjusted, bytes);
      return adjusted;
    };
    const found = await searchNames(next, o);
    const ms = performance.now() - started;
    if (o.compare !== 1 || names === undefined)
      return { names: found, ms, without: undefined, unlisted: undefined };
    let unlisted = found;
    if (o.list !== undefined) {
      names.offer(undefined);
      unlisted = await searchNames(next, o);
    }
    return { names: found, ms, without: await searchNames(mixture, o), unlisted };
  }

  /** The mixture behind the text before a name and any first bytes of it; each is worked out once. It holds until
   *  anything else is asked for. */
  mixtureBehind(o: {
    readonly path: string;
    readonly before: Uint8Array;
    readonly nameBytes: Uint8Array;
  }): NextByte {
    const asked = { ...o, after: new Uint8Array(0), maxBytes: NAME_BYTES, singleLine: 1 } as const;
    const fileFacts = this.#factsOf(o.path, o.before);
    const { stream } = fileFacts;
    const window = this.#window(asked, fileFacts.facts);
    const text = { ...window, withFacts: this.#withFacts, stream };
    const { cursor, places } = this.#view.after(o.path, o.before);
    const mixer = this.#mixerBehind(o, window, () => places);
    const network = new Map<string, ReturnType<typeof rowOf>>();
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
        const before = mixer.rows + bytes.length;
        const known = await verify(this.#decoder, text, ahead, rows, before);
        for (let row = 0; row < rows; row++)
          network.set(String(ahead.slice(0, bytes.length + row)), rowOf(known, row));
      }
      const memory = new Float64Array(256);
      mixed = new Float64Array(256);
      const match = here.predict(memory);
      const last = bytes.at(-1) ?? o.before.at(-1) ?? NEWLINE;
      mixer.mixer().mix({ ...network.get(key)!, memory, last, passing: 1, ...match }, mixed);
      mixtures.set(key, mixed);
      return mixed;
    };
  }
}
