/** Which register tile a product takes where no matrix units help, and into how many parts a long k is cut: a model of
 *  their time. */
import type { GpuCaps } from "../graph.ts";
import { tileThreads, type Tile } from "./matmulTile.ts";

/** From largest to smallest, with the share of a large GPU's peak each is expected to reach. */
export const tiles: readonly (Tile & { readonly rate: number; readonly largeGpu?: 1 })[] = [
  { tileM: 128, tileN: 128, tileK: 16, perM: 8, perN: 8, rate: 1 },
  { tileM: 128, tileN: 64, tileK: 16, perM: 8, perN: 4, rate: 0.85 },
  { tileM: 64, tileN: 64, tileK: 16, perM: 8, perN: 4, rate: 0.75 },
  { tileM: 128, tileN: 32, tileK: 16, perM: 4, perN: 4, rate: 0.55 },
  { tileM: 32, tileN: 64, tileK: 16, perM: 4, perN: 4, rate: 0.5 },
  { tileM: 32, tileN: 32, tileK: 16, perM: 4, perN: 4, rate: 0.4 },
  { tileM: 16, tileN: 64, tileK: 8, perM: 4, perN: 4, rate: 0.3 },
  { tileM: 16, tileN: 16, tileK: 8, perM: 4, perN: 4, rate: 0.1 },
  // 128 sums in registers: only where there are enough of them, which GPUs with matrix units have.
  { tileM: 128, tileN: 128, tileK: 16, perM: 8, perN: 16, lanesM: 8, rate: 1.25, largeGpu: 1 },
];
/** What the tile choice assumes of a large GPU: multiprocessors, and the invocations that keep one busy. */
const MULTIPROCESSORS = 132;
const BUSY_INVOCATIONS = 512;
/** A part of k is at least this long, and there are at most this many, so that summing the parts stays cheap. */
const SHORTEST_CHUNK = 256;
const MOST_PARTS = 64;

/** Whether this GPU may be expected to hold a tile's sums in registers. */
export const holdsTile = (index: number, caps: GpuCaps): boolean =>
  tiles[index] !== undefined && (tiles[index].largeGpu !== 1 || caps.subgroupMatrix);

/** Places in the table, best first: by when the busiest multiprocessor is expected to finish. */
export function rankTiles(m: number, n: number, layers: number, caps: GpuCaps): number[] {
  const cost = (t: (typeof tiles)[number]): number => {
    const groups = Math.ceil(m / t.tileM) * Math.ceil(n / t.tileN) * layers;
    const share = Math.ceil(groups / MULTIPROCESSORS);
    // Twice the sums per thread keep a multiprocessor busy with half the threads.
    const threads = tileThreads(t) * (t.largeGpu === 1 ? 2 : 1);
    const busy = Math.min(1, (share * threads) / BUSY_INVOCATIONS);
    return (share * t.tileM * t.tileN) / (t.rate * busy);
  };
  return tiles
    .flatMap((t, index) => (holdsTile(index, caps) ? [{ index, cost: cost(t) }] : []))
    .sort((a, b) => a.cost - b.cost)
    .map(({ index }) => index);
}

/** Into how many ranges to cut k: two groups for each multiprocessor. */
export const registerSplits = (m: number, k: number, n: number, batch: number): number =>
  Math.min(
    Math.floor((2 * MULTIPROCESSORS) / (Math.ceil(m / 128) * Math.ceil(n / 128) * batch)),
    Math.floor(k / SHORTEST_CHUNK),
    MOST_PARTS,
  );
