/** What the memory says of a file that it does not hold, byte by byte: it needs no network, so it is written down while
 *  one trains. */

import type { CorpusFile } from "../bytes.ts";
import { EvidenceWriter, type EvidenceRecord } from "./placeEvidence.ts";
import type { SuffixMemory } from "./suffixMemory.ts";

export interface MemoryRecord {
  /** [bytes, 256], in shared memory: threads read it without a copy. */
  readonly memory: Float32Array;
  /** Bytes of the longest context that the workspace knows, and how often it occurs. */
  readonly matchLength: Uint16Array;
  readonly total: Float64Array;
  readonly evidence: EvidenceRecord;
}

/** Distributions of every byte of a file from the bytes before it; the file's own saved version is no memory of it. */
export function recordMemory(memory: SuffixMemory, { path, bytes }: CorpusFile): MemoryRecord {
  const n = bytes.length;
  const record = {
    memory: new Float32Array(new SharedArrayBuffer(n * 1024)),
    matchLength: new Uint16Array(n),
    total: new Float64Array(n),
  };
  const evidence = new EvidenceWriter(n);
  const cursor = memory.cursor({ exclude: path });
  const p = new Float64Array(256);
  bytes.forEach((byte, at) => {
    const match = cursor.predict(p);
    record.memory.set(p, at * 256);
    record.matchLength[at] = match.matchLength;
    record.total[at] = match.total;
    evidence.write(match.evidence);
    cursor.push(byte);
  });
  return { ...record, evidence: evidence.finish() };
}
