/**
 * The held-out part of a corpus: about five files in a hundred, chosen by a hash of the path, so that the choice is the
 * same on every machine and hardly moves when other files come or go. It decides whether a model is kept and how memory
 * and network are mixed: where five in a hundred are a file or two, more are taken, as long as they cost little.
 */
import { createHash } from "node:crypto";
import type { CorpusFile } from "../../model/index.ts";

export const HELDOUT_SHARE = 0.05;

/** Weights are cross-fitted on four folds of files. */
const LEAST_FILES = 4;
/** More than this are not needed for their own sake. */
const LEAST_BYTES = 16_000;
/** No single file of more than this share of all bytes is an exam while others are there, and files are not added beyond. */
const MOST_SHARE = 0.05;

export interface CorpusSplit {
  readonly train: readonly CorpusFile[];
  readonly heldout: readonly CorpusFile[];
}

/** Position of a path in [0, 1). */
export function pathHash(path: string): number {
  return createHash("sha256").update(path).digest().readUInt32BE(0) / 2 ** 32;
}

/** With two or more files at least one is held out and at least one is kept; a single file is kept. */
export function splitHeldout(
  files: readonly CorpusFile[],
  o: { share?: number } = {},
): CorpusSplit {
  const share = o.share ?? HELDOUT_SHARE;
  if (files.length < 2) return { train: files, heldout: [] };
  const total = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const ranked = files
    .map((file) => ({ file, hash: pathHash(file.path) }))
    .sort((a, b) => a.hash - b.hash || (a.file.path < b.file.path ? -1 : 1));
  const chosen = new Set<CorpusFile>();
  let bytes = 0;
  for (const { file, hash } of ranked) {
    const after = bytes + file.bytes.length;
    const wanted =
      hash < share ||
      ((chosen.size < LEAST_FILES || bytes < LEAST_BYTES) && after <= MOST_SHARE * total);
    if (!wanted || file.bytes.length > MOST_SHARE * total) continue;
    chosen.add(file);
    bytes = after;
  }
  // A handful of files: the one that comes first.
  if (chosen.size === 0 || chosen.size === files.length) {
    chosen.clear();
    chosen.add(ranked[0]!.file);
  }
  return {
    train: files.filter((file) => !chosen.has(file)),
    heldout: files.filter((file) => chosen.has(file)),
  };
}
