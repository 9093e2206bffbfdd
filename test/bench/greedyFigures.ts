/**
 * What the most probable byte at every place says of whole names and lines, the text before it being the true one. As
 * long as all of them are right, that is what greedy decoding writes; so nothing is decoded.
 */
import { byteKinds, KIND, nameBytes } from "../../model/facts/byteKinds.ts";
import { identifierSpots } from "../../server/cli/identifierFigures.ts";
import { cutLines } from "../../server/cli/scoring.ts";

export interface ScoredFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Of every byte: −log2 p, and the most probable byte in its place. */
  readonly bits: Float32Array;
  readonly best: Uint8Array;
}

export interface GreedyFigures {
  /** Bytes of the files. */
  readonly measured: number;
  readonly bpb: number;
  /** Over the bytes of names in code. */
  readonly identifierBpb: number;
  /** Share of names (at least three bytes) of which one byte is typed and the rest, with its end, is guessed. */
  readonly identifiers: number;
  readonly identifierRight: number;
  /** Share of lines cut after a third of which the whole rest, with its end, is guessed. */
  readonly lines: number;
  readonly lineRight: number;
}

/** Whether bytes from … to are all guessed. */
function isGuessed(f: ScoredFile, from: number, to: number): boolean {
  for (let t = from; t < to; t++) if (f.best[t] !== f.bytes[t]) return false;
  return true;
}

export function greedyFigures(files: readonly ScoredFile[]): GreedyFigures {
  let [measured, bits, nameCount, nameBits] = [0, 0, 0, 0];
  let [identifiers, identifierRight, lines, lineRight] = [0, 0, 0, 0];
  files.forEach((f, i) => {
    const kinds = byteKinds(f.path, f.bytes);
    const isName = nameBytes(f.path);
    f.bits.forEach((b, t) => {
      bits += b;
      if (kinds[t] !== KIND.identifier) return;
      nameBits += b;
      nameCount++;
    });
    measured += f.bytes.length;
    for (const { start, end } of identifierSpots(f, i)) {
      identifiers++;
      if (!isGuessed(f, start + 1, end)) continue;
      // The name must end there too: with the true byte, or any other that belongs to no name.
      const next = f.best[end];
      if (next === undefined || next === f.bytes[end] || isName[next] === 0) identifierRight++;
    }
    for (const { offset, rest } of cutLines(f.bytes, i)) {
      lines++;
      const end = offset + rest.length;
      if (!isGuessed(f, offset, end)) continue;
      const next = f.best[end];
      if (end === f.bytes.length || next === 10 || next === 13) lineRight++;
    }
  });
  return {
    measured,
    bpb: bits / measured,
    identifierBpb: nameBits / nameCount,
    identifiers,
    identifierRight: identifierRight / identifiers,
    lines,
    lineRight: lineRight / lines,
  };
}
