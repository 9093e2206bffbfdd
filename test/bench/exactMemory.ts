/** The exact memory of a part of a repository, for the benchmark of memory against network. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { CorpusFile } from "../../model/bytes.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { pathHash } from "../../server/corpus/split.ts";
import type { BenchRepository } from "./benchRepository.ts";

const CALIBRATION_BYTES = 400_000;
const SEED = 1;

/** Files by a hash of their paths, up to a share of all bytes. */
export function filesOfShare(files: readonly CorpusFile[], share: number): CorpusFile[] {
  const total = files.reduce((sum, f) => sum + f.bytes.length, 0);
  const chosen: CorpusFile[] = [];
  let bytes = 0;
  for (const f of files.toSorted((a, b) => pathHash(a.path) - pathHash(b.path))) {
    if (bytes + f.bytes.length > share * total + 1) continue;
    chosen.push(f);
    bytes += f.bytes.length;
  }
  return chosen;
}

/** Where one that was made before is looked for. */
const memoryFile = (root: string, share: number): string => join(root, `memory-${share}.bin`);

/** Calibrated on its own files; taken from the repository's folder where it was made before. */
export async function exactMemory(
  repository: BenchRepository,
  share: number,
): Promise<SuffixMemory> {
  const kept = memoryFile(repository.root, share);
  if (existsSync(kept)) return SuffixMemory.deserialize(readFileSync(kept));
  const memory = new SuffixMemory();
  for (const f of filesOfShare(repository.files, share)) memory.setFile(f.path, f.bytes);
  if (share > 0) await memory.calibrate({ maxBytes: CALIBRATION_BYTES, seed: SEED });
  return memory;
}

/** Bytes of the index of a share of the files; blend weights, the same for all, are not counted. */
export function indexBytes(repository: BenchRepository, share: number): number {
  const memory = new SuffixMemory();
  for (const f of filesOfShare(repository.files, share)) memory.setFile(f.path, f.bytes);
  memory.settle();
  return memory.sizeBytes;
}

/** A share of the files whose index fits into so many bytes, and what it then takes. */
export function coverage(
  repository: BenchRepository,
  budget: number,
): { readonly covered: number; readonly bytes: number } {
  let covered = 1;
  let bytes = indexBytes(repository, covered);
  while (bytes > budget) {
    covered *= (0.97 * budget) / bytes;
    bytes = indexBytes(repository, covered);
  }
  return { covered: Number(covered.toFixed(4)), bytes };
}
