/**
 * Fits what names in scope are worth on the workspace's held-out files, each read from left to right with the mixture's
 * distributions at hand: a step down the gradient of the code length after every byte. The file's own names count from
 * where they stood on, other files' names as the lexicon has them without this file.
 */
import type { FactLexicon } from "../facts/lexicon.ts";
import { Candidates } from "./candidates.ts";
import { CandidateWeights } from "./candidateWeights.ts";

export interface MixedFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** The mixture's distribution before every byte, [bytes, 256]. */
  readonly mixed: Float32Array;
}

const RATE_FIRST = 0.02;
const RATE_LAST = 0.002;
/** Few bytes are gone over again. */
const EPOCHS = { few: 3, many: 1, fewBytes: 50_000 } as const;

/** Undefined where there is nothing to learn from, or where the last pass over the files got no shorter by it. */
export function fitCandidates(o: {
  readonly lexicon: FactLexicon;
  readonly files: readonly MixedFile[];
}): CandidateWeights | undefined {
  const bytes = o.files.reduce((sum, file) => sum + file.bytes.length, 0);
  const epochs = bytes > EPOCHS.fewBytes ? EPOCHS.many : EPOCHS.few;
  const total = bytes * epochs;
  if (total === 0) return undefined;
  const weights = new CandidateWeights();
  const candidates = new Candidates({ lexicon: o.lexicon, weights });
  let seen = 0;
  let saved = 0;
  const mixed = new Float64Array(256);
  for (let epoch = 0; epoch < epochs; epoch++) {
    saved = 0;
    for (const file of o.files) {
      const reader = candidates.reader(file.path);
      file.bytes.forEach((byte, at) => {
        mixed.set(file.mixed.subarray(256 * at, 256 * (at + 1)));
        saved -= Math.log2(mixed[byte]!);
        reader.adjust(mixed);
        saved += Math.log2(mixed[byte]!);
        reader.learn({ byte, rate: RATE_FIRST + ((RATE_LAST - RATE_FIRST) * seen++) / total });
        reader.push(byte);
      });
    }
  }
  return saved > 0 ? weights : undefined;
}
