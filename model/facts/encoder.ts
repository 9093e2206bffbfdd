/**
 * Facts as the network takes them: channels for a whole file at once (training, scoring) or byte by byte
 * (decoding), from one and the same scanner, so the two cannot differ. The encoded file's own evidence is
 * always left out of the lexicon's answers.
 */

import { N_FACT_CHANNELS } from "./channels.ts";
import type { FactLexicon } from "./lexicon.ts";
import { FactScanner } from "./scanner.ts";
import type { PackedFact } from "./channels.ts";
import type { ScannerSnapshot } from "./scanner.ts";

export interface FactEncoder {
  /** [bytes.length * 5], byte-major, in the order of FACT_CHANNELS. */
  channels(path: string, bytes: Uint8Array): Uint16Array;
  /** The same from a state that goes on: one file, byte by byte. */
  stream(path: string): FactStream;
}

export interface FactStream {
  push(byte: number): void;
  /** Writes the facts after the last pushed byte into out[at..at+5). */
  write(out: Uint16Array, at: number): void;
  snapshot(): ScannerSnapshot;
  /** Goes back to a snapshot of this stream; it may be used any number of times. */
  restore(snapshot: ScannerSnapshot): void;
}

/** Makes encoders' answers from a lexicon. `exclude` names a file whose evidence is left out besides the
 *  encoded file's own: the saved version of a file that is presented under another name. */
export function createFactEncoder(o: {
  readonly lexicon: FactLexicon;
  readonly exclude?: string;
}): FactEncoder {
  const { lexicon } = o;
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
  const stream = (path: string): FactScanner =>
    new FactScanner(path, lookupFor(path), (identity) =>
      lexicon.colourOf(identity, o.exclude ?? path),
    );
  return {
    stream,
    channels(path, bytes) {
      const scanner = stream(path);
      const out = new Uint16Array(bytes.length * N_FACT_CHANNELS);
      for (let t = 0, at = 0; t < bytes.length; t++, at += N_FACT_CHANNELS) {
        scanner.push(bytes[t]!);
        scanner.write(out, at);
      }
      return out;
    },
  };
}
