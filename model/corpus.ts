/** A corpus as a whole: its bytes in a row, and a hash that tells two corpora apart. */
import { createHash } from "node:crypto";
import type { CorpusFile } from "./bytes.ts";

export function corpusHash(files: readonly CorpusFile[]): string {
  const hash = createHash("sha256");
  for (const f of files.toSorted((a, b) => (a.path < b.path ? -1 : 1)))
    hash.update(f.path).update("\0").update(f.bytes).update("\0");
  return hash.digest("hex");
}

export function concatenate(files: readonly CorpusFile[]): Uint8Array {
  const out = new Uint8Array(files.reduce((sum, f) => sum + f.bytes.length, 0));
  let at = 0;
  for (const f of files) {
    out.set(f.bytes, at);
    at += f.bytes.length;
  }
  return out;
}
