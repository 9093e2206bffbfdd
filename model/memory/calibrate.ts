/** Learns blend weights from a workspace, leave one file out: each sampled file is read with its own counts taken away,
 *  every byte is predicted first and learned from after. The report's bits per byte are therefore honest, if somewhat
 *  high: they include the time in which the weights were still fresh. */

import { BlendWeights } from "./blendWeights.ts";
import { WalkCursor } from "./memoryCursor.ts";
import { TokenReader, type TokenSource } from "./tokenReader.ts";
import type { SegmentWalk } from "./segment.ts";

export interface CalibrationOptions {
  /** Stop after this many bytes. */
  readonly maxBytes: number;
  readonly seed: number;
  /** Stop after this long, too; which bytes are learned from then depends on the machine. */
  readonly budgetMs?: number;
  readonly signal?: AbortSignal;
  /** Once aborted, stop as soon as this many bytes were seen: somebody waits. */
  readonly enough?: AbortSignal;
  readonly leastBytes?: number;
}

export interface CalibrationReport {
  readonly files: number;
  readonly bytes: number;
  readonly bitsPerByte: number;
  readonly seconds: number;
}

export interface CalibrationSource {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly walks: (exclude: string) => SegmentWalk[];
  readonly tokenSources: (exclude: string) => TokenSource[];
}

/** A longer file gives its first bytes only, so that many files are seen. */
const BYTES_PER_FILE = 24_000;
const FIRST_RATE = 0.03;
const SEEN_LIMIT = 60_000;
const LAST_RATE = 0.006;

export async function calibrateWeights(
  source: CalibrationSource,
  o: CalibrationOptions,
): Promise<{ weights: BlendWeights; report: CalibrationReport }> {
  const begin = performance.now();
  const weights = new BlendWeights();
  const paths = shuffled([...source.files.keys()].sort(), o.seed);
  let available = 0;
  for (const bytes of source.files.values()) available += Math.min(bytes.length, BYTES_PER_FILE);
  const planned = Math.min(o.maxBytes, available);
  const out = new Float64Array(256);
  let bytesSeen = 0;
  let bits = 0;
  let filesSeen = 0;
  const budgetMs = o.budgetMs ?? Infinity;
  const done = () =>
    Math.max(bytesSeen / Math.max(1, planned), (performance.now() - begin) / budgetMs);
  for (const path of paths) {
    if (done() >= 1 || o.signal?.aborted === true) break;
    if (o.enough?.aborted === true && bytesSeen >= (o.leastBytes ?? 0)) break;
    const cursor = new WalkCursor({
      walks: source.walks(path),
      weights,
      absorbOwn: 1,
      adapt: 0,
      tokens: new TokenReader(source.tokenSources(path)),
    });
    const content = source.files
      .get(path)!
      .subarray(0, Math.min(BYTES_PER_FILE, planned - bytesSeen));
    const rate = FIRST_RATE + (LAST_RATE - FIRST_RATE) * Math.min(1, done());
    for (const byte of content) {
      cursor.predict(out);
      bits -= Math.log2(out[byte]!);
      cursor.learn({ byte, rate, seenLimit: SEEN_LIMIT });
      cursor.push(byte);
      bytesSeen++;
    }
    filesSeen++;
    // Seconds of pure computation: let the event loop breathe between files.
    await new Promise((resolve) => setImmediate(resolve));
  }
  weights.calibratedBytes = bytesSeen;
  const report = {
    files: filesSeen,
    bytes: bytesSeen,
    bitsPerByte: bytesSeen === 0 ? 0 : bits / bytesSeen,
    seconds: (performance.now() - begin) / 1000,
  };
  return { weights, report };
}

/** Fisher–Yates with a small generator of its own: the order depends on the seed alone. */
function shuffled(paths: string[], seed: number): string[] {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  for (let i = paths.length - 1; i > 0; i--) {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
    const j = state % (i + 1);
    [paths[i], paths[j]] = [paths[j]!, paths[i]!];
  }
  return paths;
}
