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
import type { Logger } from "./logger.ts";
import type { MemoryRecord } from "./memory/record.ts";
import type { Predictor, Score } from "./model.ts";

export const FINAL_BYTES = { gpu: 160_000, cpu: 30_000 } as const;
/** No file fills the sample alone. */
const SAMPLE_FILES = 8;
/** To read a file takes time however short it is. */
const MOST_FILES = 96;

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

/** Bits per byte before and after, their difference, and its standard error over blocks of bytes. */
export interface Difference {
  readonly before: number;
  readonly after: number;
  readonly difference: number;
  readonly error: number;
}

/** Bytes near each other are alike; blocks of this many are taken to be independent. */
const BLOCK_BYTES = 256;

/** Of the same bytes, predicted twice. */
export function pairedDifference(
  before: readonly Float32Array[],
  after: readonly Float32Array[],
): Difference {
  const blocks: { sum: number; n: number }[] = [];
  before.forEach((bits, i) => {
    for (let from = 0; from < bits.length; from += BLOCK_BYTES) {
      const n = Math.min(BLOCK_BYTES, bits.length - from);
      let sum = 0;
      for (let t = from; t < from + n; t++) sum += after[i]![t]! - bits[t]!;
      blocks.push({ sum, n });
    }
  });
  const n = blocks.reduce((total, b) => total + b.n, 0);
  const difference = blocks.reduce((total, b) => total + b.sum, 0) / n;
  // Of a ratio of sums: blocks at the ends of files are shorter.
  const squares = blocks.reduce((total, b) => total + (b.sum - difference * b.n) ** 2, 0);
  const error = Math.sqrt((squares * blocks.length) / Math.max(1, blocks.length - 1)) / n;
  return {
    before: meanBits(before) ?? Number.NaN,
    after: meanBits(after) ?? Number.NaN,
    difference,
    error,
  };
}

/** The beginnings of files up to a number of bytes. They are drawn by a hash of their paths: in the paths' own order
 *  the sample of a large workspace were its first folders, which hold its automation and no code. */
export function sampleOf(files: readonly CorpusFile[], bytes: number): CorpusFile[] {
  const most = Math.ceil(bytes / Math.min(SAMPLE_FILES, Math.max(1, files.length)));
  const lengths = new Map<CorpusFile, number>();
  let left = bytes;
  for (const f of files.toSorted((a, b) => drawOf(a.path) - drawOf(b.path))) {
    if (left <= 0 || lengths.size === MOST_FILES) break;
    const length = Math.min(most, left, f.bytes.length);
    if (length > 0) lengths.set(f, length);
    left -= length;
  }
  // In the order given, as one reads them.
  return files
    .filter((f) => lengths.has(f))
    .map((f) => ({ path: f.path, bytes: f.bytes.subarray(0, lengths.get(f)) }));
}

/** FNV-1a of the path's characters. */
function drawOf(path: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193);
  // Its last characters alone would order paths that differ there only.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}

export interface EvaluateOptions {
  /** The files of the sample, and what the memory says of each; the network reads them before that has to be known. */
  readonly files: readonly CorpusFile[];
  readonly recalled: Promise<readonly MemoryRecord[]>;
  readonly lexicon: FactLexicon;
  readonly logger?: Logger;
}

export async function evaluateHeldout(
  predictor: Predictor,
  { files, recalled, lexicon, logger }: EvaluateOptions,
): Promise<
  HeldoutScores & { readonly mixer: AnyMixer; readonly candidates: CandidateWeights | undefined }
> {
  // It is waited for only when the network is done.
  recalled.catch(() => undefined);
  const lap = laps();
  const read: Score[] = [];
  for (const f of files)
    read.push(await predictor.score({ ...f, memory: "off", network: "on", record: 1 }));
  const network = read.map((s) => s.bitsNetwork);
  const ofNetwork = lap();
  const memory = await recalled;
  invariant(files.length === memory.length, "the memory recorded other files");
  const records = files.map(({ bytes }, i): Recorded => ({
    ...memory[i]!,
    bytes,
    network: read[i]!.distributions!,
  }));
  const waited = lap();
  const { mixer, scored } = await crossFit(records);
  const ofMixtures = lap();
  const candidates = fitCandidates({
    lexicon,
    files: files.map((f, i) => ({ path: f.path, bytes: f.bytes, mixed: scored[i]!.mixed })),
  });
  logger?.info(
    `held-out files: read by the network in ${ofNetwork} s, by the memory ${waited} s later; mixtures fitted in ${ofMixtures} s, names in ${lap()} s`,
  );
  return {
    bpb: meanBits(scored.map((s) => s.bits)),
    network: meanBits(network),
    memory: meanBits(records.map(memoryBits)),
    mixer,
    candidates,
  };
}

/** Seconds since the last call. */
function laps(): () => string {
  let from = performance.now();
  return () => {
    const passed = performance.now() - from;
    from += passed;
    return (passed / 1000).toFixed(1);
  };
}

const memoryBits = ({ bytes, memory }: Recorded): Float32Array =>
  Float32Array.from(bytes, (byte, at) => -Math.log2(memory[256 * at + byte]!));
