/**
 * The held-out score of a run: the beginnings of its held-out files under network, memory and their mixture. The
 * mixture is fitted on these files, and its reported score is cross-fitted: no file is measured with weights it was
 * fitted on.
 */
import type { CorpusFile } from "./bytes.ts";
import type { CandidateWeights } from "./candidates/candidateWeights.ts";
import { fitCandidates } from "./candidates/fitCandidates.ts";
import type { FactLexicon } from "./facts/lexicon.ts";
import type { AnyMixer, Recorded } from "./fitMixer.ts";
import { crossFit } from "./fitThreads.ts";
import { invariant } from "./errors.ts";
import type { MemoryRecord } from "./memory/record.ts";
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

export interface EvaluateOptions {
  /** The files of the sample, and what the memory says of each. */
  readonly files: readonly CorpusFile[];
  readonly recalled: readonly MemoryRecord[];
  readonly lexicon: FactLexicon;
}

export async function evaluateHeldout(
  predictor: Predictor,
  { files, recalled, lexicon }: EvaluateOptions,
): Promise<
  HeldoutScores & { readonly mixer: AnyMixer; readonly candidates: CandidateWeights | undefined }
> {
  invariant(files.length === recalled.length, "the memory recorded other files");
  const records: Recorded[] = [];
  const network: Float32Array[] = [];
  for (const [i, f] of files.entries()) {
    const s = await predictor.score({ ...f, memory: "off", network: "on", record: 1 });
    records.push({ ...recalled[i]!, bytes: f.bytes, network: s.distributions! });
    network.push(s.bitsNetwork);
  }
  const { mixer, scored } = await crossFit(records);
  const candidates = fitCandidates({
    lexicon,
    files: files.map((f, i) => ({ path: f.path, bytes: f.bytes, mixed: scored[i]!.mixed })),
  });
  return {
    bpb: meanBits(scored.map((s) => s.bits)),
    network: meanBits(network),
    memory: meanBits(records.map(memoryBits)),
    mixer,
    candidates,
  };
}

const memoryBits = ({ bytes, memory }: Recorded): Float32Array =>
  Float32Array.from(bytes, (byte, at) => -Math.log2(memory[256 * at + byte]!));
