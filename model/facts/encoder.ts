/**
 * Facts as the network takes them: channels for a whole file at once (training, scoring) or byte by byte
 * (decoding), from one and the same scanner, so the two cannot differ. The encoded file's own evidence is
 * always left out of the lexicon's answers.
 */

import { invariant } from "../errors.ts";
import { factWidth, N_FACT_CHANNELS, type ColourKind } from "./channels.ts";
import type { FactLexicon } from "./lexicon.ts";
import { FactScanner, type WriteColour } from "./scanner.ts";
import type { PackedFact } from "./channels.ts";
import type { ScannerSnapshot } from "./scanner.ts";

export interface FactEncoder {
  /** Channels, as factChannels() has them. */
  readonly width: number;
  /** [bytes.length * width], byte-major. */
  channels(path: string, bytes: Uint8Array): Uint16Array;
  /** The same from a state that goes on: one file, byte by byte. */
  stream(path: string): FactStream;
}

export interface FactStream {
  push(byte: number): void;
  /** Writes the facts after the last pushed byte into out[at..at+width). */
  write(out: Uint16Array, at: number): void;
  snapshot(): ScannerSnapshot;
  /** Goes back to a snapshot of this stream; it may be used any number of times. */
  restore(snapshot: ScannerSnapshot): void;
}

/** The colour's channel. */
const COLOUR_AT = N_FACT_CHANNELS - 1;

/** Makes encoders' answers from a lexicon, in the channels that a model with colours of this kind has; where the lexicon
 *  has no such colours, those that they would fill stay unknown. `exclude` names a file whose evidence is left out besides the
 *  encoded file's own: the saved version of a file that is presented under another name. */
export function createFactEncoder(o: {
  readonly lexicon: FactLexicon;
  readonly exclude?: string;
  readonly colour?: ColourKind | undefined;
}): FactEncoder {
  const { lexicon } = o;
  const width = factWidth(o.colour);
  const wanted = factWidth(lexicon.colourKind);
  invariant(wanted <= width, `colours of ${wanted} channels for a model of ${width}`);
  const lookupFor = (path: string): ((name: string) => PackedFact) => {
    const exclude = o.exclude ?? path;
    const answers = new Map<string, PackedFact>();
    let version = lexicon.version;
    return (name) => {
      if (version !== lexicon.version) {
        answers.clear();
        version = lexicon.version;
      }
      let answer = answers.get(name);
      if (answer === undefined) answers.set(name, (answer = lexicon.packed(name, exclude)));
      return answer;
    };
  };
  const stream = (path: string): FactScanner => {
    const exclude = o.exclude ?? path;
    const spread: WriteColour = (colour, out, at) => {
      out.fill(0, at, at + width - COLOUR_AT);
      lexicon.writeColour(colour, exclude, out, at);
    };
    return new FactScanner(
      path,
      lookupFor(path),
      (identity) => lexicon.colourOf(identity, exclude),
      spread,
    );
  };
  return {
    width,
    stream,
    channels(path, bytes) {
      const scanner = stream(path);
      const out = new Uint16Array(bytes.length * width);
      for (let t = 0, at = 0; t < bytes.length; t++, at += width) {
        scanner.push(bytes[t]!);
        scanner.write(out, at);
      }
      return out;
    },
  };
}
