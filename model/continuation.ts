/**
 * One way to go on from the text before the cursor, byte by byte: the mixture's distribution after the bytes so far, and
 * the byte that is written next. What is expected of the bytes to come covers several of them by one pass of the
 * network, and changes nothing else.
 */
import type { NameReader } from "./candidates/nameReader.ts";
import type { Decoder, Distributions } from "./decoder.ts";
import type { FactStream } from "./facts/encoder.ts";
import type { AnyMixer } from "./fitMixer.ts";
import type { MemoryCursor } from "./memory/memoryCursor.ts";

/** What the network reads: a window of symbols, their facts, and the reader that has read the last of them. */
export interface NetworkText {
  readonly symbols: readonly number[];
  /** [capacity, width], all unknown where the model has no facts. */
  readonly facts: Uint16Array;
  /** Channels of facts. */
  readonly width: number;
  readonly withFacts: boolean;
  readonly stream: FactStream;
}

/** One pass over the last known byte and a draft behind it; the last of its distributions. Those of so many rows before
 *  them as `before` asks for are then told by the decoder. */
export async function verify(
  decoder: Decoder,
  { symbols, facts, width, withFacts, stream }: NetworkText,
  draft: readonly number[],
  wanted = draft.length + 1,
  before = 0,
): Promise<Distributions> {
  if (withFacts && draft.length > 0) {
    const here = stream.snapshot();
    draft.forEach((byte, i) => {
      stream.push(byte);
      stream.write(facts, (symbols.length + i) * width);
    });
    stream.restore(here);
  }
  return decoder.extend([...symbols, ...draft], facts, wanted, before);
}

/** The network's side of one row. */
export function rowOf(
  { p, states, eom }: Distributions,
  row: number,
): { readonly network: Float32Array; readonly state: Float32Array } {
  const channels = states.length / eom.length;
  return {
    network: p.subarray(row * 256, (row + 1) * 256),
    state: states.subarray(row * channels, (row + 1) * channels),
  };
}

/** A mixture that has yet to learn the text before the cursor. */
export interface FollowingMixer {
  /** Rows before the cursor's that it learns from. */
  readonly rows: number;
  /** Once the network has read them. */
  mixer(): AnyMixer;
}

export interface ContinuationParts {
  readonly decoder: Decoder;
  readonly mixer: FollowingMixer;
  readonly text: NetworkText;
  readonly cursor: MemoryCursor;
  readonly names: NameReader | undefined;
  /** The last byte before the cursor. */
  readonly last: number;
  /** 1: there is text behind the cursor, and so an end of the middle. */
  readonly canEnd: 0 | 1;
}

export class Continuation {
  readonly bytes: number[] = [];
  /** After `look`: 256 probabilities of the next byte if there is one, and that there is none. */
  readonly mixed = new Float64Array(256);
  eom = 0;
  readonly #parts: ContinuationParts;
  readonly #symbols: number[];
  readonly #memory = new Float64Array(256);
  // Rows behind the accepted ones hold a draft; `known` has the distributions after the last accepted byte and after
  // each byte of the draft.
  #draft: number[] = [];
  #known: Distributions | undefined;
  #row = 0;

  constructor(parts: ContinuationParts) {
    this.#parts = parts;
    this.#symbols = [...parts.text.symbols];
  }

  get cursor(): MemoryCursor {
    return this.#parts.cursor;
  }

  /** Bytes that the network's window still holds. */
  get room(): number {
    return this.#parts.decoder.capacity - this.#symbols.length;
  }

  /** Makes the distribution after the bytes so far known; `expected` is asked where a pass is due, most likely bytes
   *  first, of which the first `most` count. */
  async look(expected: (most: number) => Iterable<number>): Promise<void> {
    const { decoder, mixer, text, cursor, names, last, canEnd } = this.#parts;
    if (this.#known === undefined) {
      const most = Math.min(decoder.draftRows - 1, this.room);
      this.#draft = most <= 0 ? [] : [...expected(most)].slice(0, most);
      const known = { ...text, symbols: this.#symbols };
      this.#known = await verify(decoder, known, this.#draft, this.#draft.length + 1, mixer.rows);
      this.#row = 0;
    }
    const match = cursor.predict(this.#memory);
    mixer.mixer().mix(
      {
        ...rowOf(this.#known, this.#row),
        memory: this.#memory,
        last: this.bytes.at(-1) ?? last,
        passing: 1,
        ...match,
      },
      this.mixed,
    );
    names?.adjust(this.mixed);
    // Without text after the cursor nothing says where the middle ends.
    this.eom = canEnd === 1 ? this.#known.eom[this.#row]! : 0;
  }

  push(byte: number): void {
    const { text, cursor, names } = this.#parts;
    this.bytes.push(byte);
    cursor.push(byte);
    names?.push(byte);
    this.#symbols.push(byte);
    text.stream.push(byte);
    if (text.withFacts) text.stream.write(text.facts, (this.#symbols.length - 1) * text.width);
    if (this.#draft[0] === byte) {
      this.#draft.shift();
      this.#row++;
    } else this.#known = undefined;
  }
}
