/**
 * Which matrices Muon takes in one batch. A batch costs the same two dozen dispatches whatever its count, so tall
 * matrices are transposed on the way in (the orthogonalization commutes with transposing) and small odd shapes
 * join a larger one, padded with zeros, which stay zero: as long as that adds little arithmetic in all.
 */

/** One matrix of a pack. */
export interface MuonMatrix {
  /** Element at which it starts, a multiple of 4. */
  readonly offset: number;
  readonly rows: number;
  readonly cols: number;
}

export interface MuonGroup {
  /** Padded shape, side ≤ length. */
  readonly side: number;
  readonly length: number;
  /** Its matrices are plan.matrices[first … first + count). */
  readonly first: number;
  readonly count: number;
}

export interface MuonPlan {
  readonly matrices: readonly MuonMatrix[];
  readonly groups: readonly MuonGroup[];
}

/** Rows of halves start on 16 bytes. */
const PAD = 8;
/** Share of the arithmetic that padding may add. */
const MOST_PADDING = 0.05;

interface Batch {
  side: number;
  length: number;
  readonly matrices: MuonMatrix[];
}

const padded = (n: number): number => Math.ceil(n / PAD) * PAD;
/** Multiply-adds of one polynomial: Gram matrix and application, and the Gram matrix's square. */
const workOf = (side: number, length: number): number => 2 * side ** 2 * length + side ** 3;

export function planMuon(matrices: readonly MuonMatrix[]): MuonPlan {
  const batches: Batch[] = [];
  let total = 0;
  for (const m of matrices) {
    const side = padded(Math.min(m.rows, m.cols));
    const length = padded(Math.max(m.rows, m.cols));
    total += workOf(side, length);
    const same = batches.find((b) => b.side === side && b.length === length);
    if (same === undefined) batches.push({ side, length, matrices: [m] });
    else same.matrices.push(m);
  }
  const cost = (b: Batch): number => b.matrices.length * workOf(b.side, b.length);
  const joined = (a: Batch, b: Batch): Batch => ({
    side: Math.max(a.side, b.side),
    length: Math.max(a.length, b.length),
    matrices: [...a.matrices, ...b.matrices],
  });
  let allowance = MOST_PADDING * total;
  for (;;) {
    let best: { a: Batch; b: Batch; extra: number } | undefined;
    for (const [i, a] of batches.entries())
      for (const b of batches.slice(i + 1)) {
        const extra = cost(joined(a, b)) - cost(a) - cost(b);
        if (extra <= allowance && (best === undefined || extra < best.extra))
          best = { a, b, extra };
      }
    if (best === undefined) break;
    allowance -= best.extra;
    batches.splice(batches.indexOf(best.b), 1);
    batches[batches.indexOf(best.a)] = joined(best.a, best.b);
  }
  // What takes longest is begun first, where one dispatch takes several.
  batches.sort((a, b) => b.length * b.side - a.length * a.side);
  let first = 0;
  const groups = batches.map(({ side, length, matrices: { length: count } }): MuonGroup => {
    first += count;
    return { side, length, first: first - count, count };
  });
  return { matrices: batches.flatMap((b) => b.matrices), groups };
}

/** The plan's matrices as the kernels read them: offset, rows, cols, elements. */
export const muonTable = (plan: MuonPlan): Uint32Array =>
  Uint32Array.from(plan.matrices.flatMap((m) => [m.offset, m.rows, m.cols, m.rows * m.cols]));
