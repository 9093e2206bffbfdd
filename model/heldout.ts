/**
 * The held-out score of a run: the beginnings of its held-out files under network, memory and their mixture. The
 * mixture is fitted on these files, and its reported score is cross-fitted: no file is measured with weights it was
 * fitted on.
 */
import type { CorpusFile } from "./bytes.ts";
import type { CandidateWeights } from "./candidates/candidateWeights.ts";
import { fitCandidates } from "./candidates/fitCandidates.ts";
import type { FactLexicon } from "./facts/lexicon.ts";
import { foldSets, mixedBits, mixersOfFiles, type AnyMixer, type Recorded } from "./fitMixer.ts";
import { fitMixers } from "./fitThreads.ts";
import type { Predictor } from "./model.ts";

export const FINAL_BYTES = { gpu: 160_000, cpu: 30_000 } as const;
/** No file fills the sample alone. */
const SAMPLE_FILES = 8;

export interface HeldoutScores {
  readonly bpb: number | null;
  readonly network: number | null;
  readonly memory: number | null;
}

/** Bits per byte over files; null where there is no byte. */
export function meanBits(bits: readonly Float32Array[]): number | null {
  let sum = 0;
  let n = 0;
  for (const b of bits) {
    for (const x of b) sum += x;
    n += b.length;
  }
  return n === 0 ? null : sum / n;
}

/** The beginnings of files, in the order given, up to a number of bytes. */
export function sampleOf(files: readonly CorpusFile[], bytes: number): CorpusFile[] {
  const chosen: CorpusFile[] = [];
  const most = Math.ceil(bytes / Math.min(SAMPLE_FILES, Math.max(1, files.length)));
  let left = bytes;
  for (const f of files) {
    if (left <= 0) break;
    const cut = f.bytes.subarray(0, Math.min(most, left));
    if (cut.length > 0) chosen.push({ path: f.path, bytes: cut });
    left -= cut.length;
  }
  return chosen;
}

export async function evaluateHeldout(
  predictor: Predictor,
  heldout: readonly CorpusFile[],
  o: { readonly device: "gpu" | "cpu"; readonly lexicon: FactLexicon },
): Promise<
  HeldoutScores & { readonly mixer: AnyMixer; readonly candidates: CandidateWeights | undefined }
> {
  const files = sampleOf(heldout, FINAL_BYTES[o.device]);
  const records: Recorded[] = [];
  const network: Float32Array[] = [];
  const memory: Float32Array[] = [];
  for (const f of files) {
    const s = await predictor.score({ ...f, memory: "on", network: "on", record: 1 });
    records.push(s.recorded!);
    network.push(s.bitsNetwork);
    memory.push(s.bitsMemory);
  }
  const fitted = await fitMixers([records, ...foldSets(records)]);
  const mixers = mixersOfFiles(records.length, fitted.slice(1));
  const bits: Float32Array[] = [];
  const candidates = fitCandidates({
    lexicon: o.lexicon,
    files: records.map((r, i) => ({
      path: files[i]!.path,
      bytes: r.bytes.length,
      // Every file is gone over at least once, and each time its bits are the same.
      replay: (visit) => void (bits[i] = mixedBits(mixers[i]!, r, visit)),
    })),
  });
  return {
    bpb: meanBits(bits),
    network: meanBits(network),
    memory: meanBits(memory),
    mixer: fitted[0]!,
    candidates,
  };
}
