/**
 * The held-out part of a corpus: about five files in a hundred, chosen by a hash of the path alone, so that
 * the choice is the same on every machine and does not move when other files come or go.
 */
import { createHash } from "node:crypto";
import type { CorpusFile } from "../../model/index.ts";

export const HELDOUT_SHARE = 0.05;

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
  const hashes = new Map(files.map((file) => [file.path, pathHash(file.path)] as const));
  let heldout = files.filter((file) => hashes.get(file.path)! < share);
  if (heldout.length === 0 || heldout.length === files.length) {
    const first = files.reduce((a, b) => (hashes.get(b.path)! < hashes.get(a.path)! ? b : a));
    heldout = [first];
  }
  const chosen = new Set(heldout.map((file) => file.path));
  return { train: files.filter((file) => !chosen.has(file.path)), heldout };
}
