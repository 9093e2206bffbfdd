/**
 * The mixture behind the text before a cursor, as scoring would have left it there: a copy has learned the last bytes,
 * each predicted by memory and network before it was known. What it learned for one keystroke is not learned again for
 * the next. A function of the text alone, whatever was asked before.
 */
import type { Decoder } from "./decoder.ts";
import { FOLLOW_RATE, type AnyMixer } from "./fitMixer.ts";
import { RankedMixer } from "./memory/rankedMixer.ts";
import type { FollowedPlace } from "./memoryView.ts";

const LINE_END = 10;
const STEP_BYTES = 64;

interface Kept {
  readonly path: string;
  /** Of the memory. */
  readonly version: number;
  /** Offset in the text of the first byte learned, and the bytes from there on. */
  readonly from: number;
  readonly read: Uint8Array;
  /** Position in the network's window of the last row that was learned from. */
  readonly lastRow: number;
  readonly mixer: RankedMixer;
}

export interface FollowedText {
  readonly path: string;
  readonly version: number;
  readonly before: Uint8Array;
  /** What the memory said of the last bytes: of those that the network's window holds. */
  readonly places: readonly FollowedPlace[];
  /** How many symbols the window has, of which the last is the last byte of the text. */
  readonly symbols: number;
}

export class FollowedMixture {
  readonly #mixer: AnyMixer;
  /** At the end of the text that was asked about last: it goes on with the next keystroke. */
  #last: Kept | undefined;
  /** At the last step before it, for keystrokes that take bytes back; it stays as it is. */
  #step: Kept | undefined;

  constructor(mixer: AnyMixer) {
    this.#mixer = mixer;
  }

  /** The caller's for as long as it asks for nothing else and mixes in passing only. The decoder holds the window and
   *  was asked for the rows before the last one. */
  behind(decoder: Decoder, o: FollowedText): AnyMixer {
    const fitted = this.#mixer;
    if (!(fitted instanceof RankedMixer)) return fitted;
    const { path, version, before, places, symbols } = o;
    const from = before.length - places.length;
    const changedFrom = decoder.takeChanged();
    const last = usable(this.#last, changedFrom, o);
    this.#step = usable(this.#step, changedFrom, o);
    const kept = last ?? this.#step;
    const mixer = last?.mixer ?? this.#step?.mixer.fork() ?? fitted.copy();
    const step = Math.floor(before.length / STEP_BYTES) * STEP_BYTES;
    const until = (end: number, at: RankedMixer): Kept => ({
      path,
      version,
      from,
      read: before.slice(from, end),
      lastRow: symbols - 2 - (before.length - end),
      mixer: at,
    });
    const unused = new Float64Array(256);
    for (let at = from + (kept?.read.length ?? 0); at < before.length; at++) {
      const { p, state } = decoder.told(symbols - 1 - (before.length - at));
      const previous = at === 0 ? LINE_END : before[at - 1]!;
      mixer.mix({ ...places[at - from]!, network: p, state, last: previous }, unused);
      mixer.learn({ byte: before[at]!, rate: FOLLOW_RATE });
      if (at + 1 === step) this.#step = until(step, mixer.fork());
    }
    this.#last = until(before.length, mixer);
    return mixer;
  }
}

/** What is kept, if it has learned the beginning of just these bytes from the rows that the network still has. */
function usable(
  kept: Kept | undefined,
  changedFrom: number,
  { path, version, before, places }: FollowedText,
): Kept | undefined {
  const from = before.length - places.length;
  return kept !== undefined &&
    kept.path === path &&
    kept.version === version &&
    kept.from === from &&
    kept.lastRow < changedFrom &&
    kept.read.every((byte, i) => byte === before[from + i])
    ? kept
    : undefined;
}
