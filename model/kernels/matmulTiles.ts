/** Which tile of subgroup matrices a product takes, and into how many parts a long k is cut: a model of their time. */
import { matrixThreads, type MatrixTile } from "./matmulMatrix.ts";

interface Speed {
  /** TFLOP/s of the whole chip while k is walked. */
  readonly rate: number;
  /** Nanoseconds per entry of the result on one multiprocessor. */
  readonly entry: number;
  /** Microseconds that any product takes, and that every tileK of k adds. */
  readonly start: number;
  readonly step: number;
  /** Which operands must lie as they are read, untransposed, for this speed; default neither. */
  readonly plain?: "a" | "ab";
}

/** What a tile may depend on besides the product's size. */
export interface TileChoice {
  readonly transposeA: number;
  readonly transposeB: number;
  readonly maxInvocations: number;
}
/** What is assumed where nothing is said: an Aᵀ·B on any GPU. */
const ANYWHERE: TileChoice = { transposeA: 1, transposeB: 0, maxInvocations: 256 };

/** Speeds are fitted to 70 products of training and Muon, some cut into several numbers of parts, on an H200 (LOG.md):
 *  what is chosen by them is within 2.3 % of the best on average. */
export const matrixTiles: readonly (MatrixTile & Speed)[] = [
  {
    tileM: 128,
    tileN: 128,
    tileK: 32,
    warpM: 64,
    warpN: 64,
    resident: 2,
    rate: 303.9,
    entry: 0.128,
    start: 2.82,
    step: 0.1,
  },
  {
    tileM: 128,
    tileN: 128,
    tileK: 64,
    warpM: 64,
    warpN: 32,
    resident: 1,
    rate: 308.2,
    entry: 0.185,
    start: 3.14,
    step: 0.395,
  },
  {
    tileM: 128,
    tileN: 64,
    tileK: 32,
    warpM: 32,
    warpN: 32,
    resident: 2,
    rate: 195.1,
    entry: 0.163,
    start: 2.09,
    step: 0,
  },
  {
    tileM: 64,
    tileN: 64,
    tileK: 64,
    warpM: 32,
    warpN: 32,
    resident: 2,
    rate: 189.6,
    entry: 0.182,
    start: 3.96,
    step: 0.157,
  },
  {
    tileM: 128,
    tileN: 32,
    tileK: 64,
    warpM: 32,
    warpN: 32,
    resident: 2,
    rate: 160.6,
    entry: 0.196,
    start: 4.1,
    step: 0.184,
  },
  {
    tileM: 64,
    tileN: 16,
    tileK: 64,
    warpM: 16,
    warpN: 16,
    resident: 4,
    rate: 81.7,
    entry: 0.26,
    start: 3.22,
    step: 0.008,
  },
  {
    tileM: 16,
    tileN: 64,
    tileK: 64,
    warpM: 16,
    warpN: 16,
    resident: 4,
    rate: 80.2,
    entry: 0.265,
    start: 3.54,
    step: 0,
  },
  {
    tileM: 128,
    tileN: 96,
    tileK: 32,
    warpM: 64,
    warpN: 48,
    resident: 2,
    rate: 240.4,
    entry: 0.134,
    start: 3.4,
    step: 0,
  },
  // Three workgroups on a multiprocessor, for results of which two would leave many idle (8704 × 512); slices of 16
  // are 32 bytes of a row, which is slow for two operands that lie along k.
  {
    tileM: 96,
    tileN: 128,
    tileK: 16,
    warpM: 48,
    warpN: 64,
    buffers: 2,
    resident: 3,
    rate: 241.2,
    entry: 0.08,
    start: 4.03,
    step: 0.028,
    plain: "ab",
  },
  // One workgroup of twelve subgroups, for results that are one wave of it (8704 × 384).
  {
    tileM: 144,
    tileN: 192,
    tileK: 32,
    warpM: 48,
    warpN: 48,
    buffers: 2,
    resident: 1,
    rate: 273.5,
    entry: 0.139,
    start: 4,
    step: 0,
    plain: "a",
  },
];

/** Whether a product can be made with a tile at all. */
export function matrixTileAllowed(index: number, o: TileChoice): boolean {
  const t = matrixTiles[index];
  if (t === undefined || (t.plain !== undefined && o.transposeA === 1)) return false;
  if (t.plain === "ab" && o.transposeB === 1) return false;
  return matrixThreads(t) <= o.maxInvocations;
}

const MULTIPROCESSORS = 132;
/** 64 × 16 was fitted to narrow results only, where no other tile competes. */
const NARROW = 48;
/** Narrow results of long products: the model errs, measured 27 µs against 39 and more (8704 × 1536 × 36). */
const LONG = 1024;

/** Whether a tile's speed says anything about products of this form. */
const fitted = (index: number, n: number, k: number): boolean =>
  matrixTiles[index]!.tileN < 32 ? n <= NARROW : n > NARROW || k < LONG;

/** What the tiles that a product may take are expected to need, in microseconds, best first, those of which nothing is
 *  known last; k is the length of one range. */
export function rankMatrixTiles(
  m: number,
  k: number,
  n: number,
  layers: number,
  choice: TileChoice = ANYWHERE,
): { readonly index: number; readonly time: number }[] {
  return matrixTiles
    .flatMap((t, index) => {
      if (!matrixTileAllowed(index, choice)) return [];
      if (!fitted(index, n, k)) return [{ index, time: Infinity }];
      const groups = Math.ceil(m / t.tileM) * Math.ceil(n / t.tileN) * layers;
      const steps = Math.ceil(k / t.tileK);
      const entries = t.tileM * t.tileN;
      const perGroup =
        (2 * entries * steps * t.tileK * MULTIPROCESSORS) / (t.rate * 1e6) +
        (t.entry * entries) / 1e3;
      const share = groups / (MULTIPROCESSORS * t.resident);
      // Half the groups of a last, partial wave overlap with the one before.
      const waves = ((share + Math.ceil(share)) / 2) * t.resident;
      return [{ index, time: waves * perGroup + t.start + t.step * steps }];
    })
    .sort((a, b) => a.time - b.time);
}

/** The tile that is expected to finish first, and after how many microseconds. */
export function pickMatrixTile(
  m: number,
  k: number,
  n: number,
  layers: number,
  choice: TileChoice = ANYWHERE,
): { readonly tile: MatrixTile; readonly time: number } {
  const { index, time } = rankMatrixTiles(m, k, n, layers, choice)[0]!;
  return { tile: matrixTiles[index]!, time };
}

/** Bytes per microsecond at which parts of k are written, read again and added up, and what a dispatch costs. */
const PARTS_BANDWIDTH = 2.4e6;
const DISPATCH = 3;
/** Numbers of parts that are considered: fractions and multiples of what fills the multiprocessors. */
export const MOST_PARTS = 66;

/** Into how many ranges to cut k, so that the parts and their sum take least time together. */
export function pickSplits(m: number, k: number, n: number, batch: number): number {
  let best = 1;
  let bestTime = pickMatrixTile(m, k, n, batch).time;
  for (let splits = 2; splits <= Math.min(MOST_PARTS, k / 128); splits++) {
    const chunk = Math.ceil(k / splits / 64) * 64;
    const parts = Math.ceil(k / chunk);
    const time =
      pickMatrixTile(m, chunk, n, batch * parts).time +
      DISPATCH +
      ((parts * 2 + 1) * batch * m * n * 4) / PARTS_BANDWIDTH;
    if (time < bestTime) {
      best = parts;
      bestTime = time;
    }
  }
  return best;
}
