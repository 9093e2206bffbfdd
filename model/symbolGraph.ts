/**
 * The graph of a workspace's symbols and its first Laplacian eigenvectors. Definitions are nodes; two are neighbours as
 * far as the same files speak of both, each file sharing out the weight it has: A = B·diag(1 / file weight)·Bᵀ with
 * B[definition, file] = 1 + log2(count). A is never formed: one product with it is two passes over B.
 * Source: normalized Laplacian I − D^−½·A·D^−½ and its bipartite form (Dhillon, KDD 2001, §4); Lanczos iteration with
 * full reorthogonalization (Golub & Van Loan, Matrix Computations, §10.3).
 */
import { symmetricEigen } from "./laplacian.ts";
import { Random } from "./random.ts";

/** What one file says of definitions: identity and count, one after another. */
export interface SymbolReferences {
  readonly path: string;
  readonly references: readonly (readonly [identity: number, count: number])[];
}

export interface SymbolGraph {
  /** Ascending. */
  readonly identities: Uint32Array;
  readonly files: number;
  /** B by rows: node i has entries start[i] … start[i + 1]. */
  readonly start: Uint32Array;
  readonly file: Uint32Array;
  readonly weight: Float64Array;
}

/** Definitions that few files speak of say little about others: the graph keeps so many at most. */
const MAX_NODES = 16_384;
/** Steps of the iteration; time is steps² · nodes. */
const LANCZOS_STEPS = 48;
const SEED = 0x5e7;

/** Nodes are the definitions that at least two files speak of. */
export function symbolGraph(files: readonly SymbolReferences[]): SymbolGraph {
  const entries = new Map<number, Map<number, number>>();
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  sorted.forEach(({ references }, f) => {
    for (const [identity, count] of references) {
      if (identity === 0) continue;
      let row = entries.get(identity);
      if (row === undefined) entries.set(identity, (row = new Map<number, number>()));
      row.set(f, (row.get(f) ?? 0) + count);
    }
  });
  const kept = [...entries]
    .filter(([, row]) => row.size > 1)
    .sort(([a, x], [b, y]) => y.size - x.size || a - b)
    .slice(0, MAX_NODES)
    .sort(([a], [b]) => a - b);
  const start = new Uint32Array(kept.length + 1);
  const file: number[] = [];
  const weight: number[] = [];
  kept.forEach(([, row], i) => {
    for (const [f, count] of [...row].sort(([a], [b]) => a - b)) {
      file.push(f);
      weight.push(1 + Math.log2(count));
    }
    start[i + 1] = file.length;
  });
  return {
    identities: Uint32Array.from(kept, ([identity]) => identity),
    files: sorted.length,
    start,
    file: Uint32Array.from(file),
    weight: Float64Array.from(weight),
  };
}

export interface Spectrum {
  /** Of the normalized adjacency, descending from at most 1; an eigenvalue of the Laplacian is 1 less it. */
  readonly values: Float64Array;
  /** One vector of length nodes each, of unit length, orthogonal to the trivial one. */
  readonly vectors: readonly Float64Array[];
  /** Node degrees, D. */
  readonly degree: Float64Array;
}

/** D^−½·A·D^−½ as a product, and the degrees D. */
function normalizedAdjacency(graph: SymbolGraph): {
  readonly apply: (x: Float64Array) => Float64Array;
  readonly degree: Float64Array;
} {
  const n = graph.identities.length;
  const fileWeight = new Float64Array(graph.files);
  graph.file.forEach((f, e) => (fileWeight[f]! += graph.weight[e]!));
  const adjacent = (x: Float64Array): Float64Array => {
    const perFile = new Float64Array(graph.files);
    const y = new Float64Array(n);
    for (let i = 0; i < n; i++)
      for (let e = graph.start[i]!; e < graph.start[i + 1]!; e++)
        perFile[graph.file[e]!]! += graph.weight[e]! * x[i]!;
    for (let f = 0; f < perFile.length; f++) if (fileWeight[f]! > 0) perFile[f]! /= fileWeight[f]!;
    for (let i = 0; i < n; i++)
      for (let e = graph.start[i]!; e < graph.start[i + 1]!; e++)
        y[i]! += graph.weight[e]! * perFile[graph.file[e]!]!;
    return y;
  };
  const degree = adjacent(new Float64Array(n).fill(1));
  const root = degree.map(Math.sqrt);
  const apply = (x: Float64Array): Float64Array =>
    adjacent(x.map((value, i) => value / root[i]!)).map((value, i) => value / root[i]!);
  return { apply, degree };
}

/** The `count` smoothest eigenvectors after the trivial one D^½·1; fewer where the graph has fewer. */
export function smoothest(graph: SymbolGraph, count: number): Spectrum {
  const n = graph.identities.length;
  const { apply, degree } = normalizedAdjacency(graph);
  const root = degree.map(Math.sqrt);
  const total = degree.reduce((sum, d) => sum + d, 0);
  const trivial = root.map((r) => r / Math.sqrt(total));

  const basis: Float64Array[] = [];
  const alpha: number[] = [];
  const beta: number[] = [];
  const random = new Random(SEED);
  let next: Float64Array = Float64Array.from({ length: n }, () => random.normal());
  while (basis.length < Math.min(LANCZOS_STEPS, n - 1)) {
    // Twice is enough (Parlett): what rounding left of the first pass goes in the second.
    for (let pass = 0; pass < 2; pass++)
      for (const q of [trivial, ...basis]) axpy(next, -dot(q, next), q);
    const norm = Math.sqrt(dot(next, next));
    if (norm < 1e-9) break;
    if (basis.length > 0) beta.push(norm);
    const q = next.map((x) => x / norm);
    next = apply(q);
    alpha.push(dot(q, next));
    basis.push(q);
  }
  const m = basis.length;
  const tridiagonal = new Float64Array(m * m);
  for (let i = 0; i < m; i++) {
    // Shifted by 1: the adjacency's eigenvalues lie in [0, 1], and the Jacobi method cuts below 0.
    tridiagonal[i * m + i] = 1 + alpha[i]!;
    if (i > 0) tridiagonal[i * m + i - 1] = tridiagonal[(i - 1) * m + i] = beta[i - 1]!;
  }
  const { eigenvalues, eigenvectors } = symmetricEigen(tridiagonal, m);
  const wanted = Math.min(count, m);
  const vectors = Array.from({ length: wanted }, (_, k) => {
    const column = m - 1 - k;
    const v = new Float64Array(n);
    basis.forEach((q, j) => axpy(v, eigenvectors[j * m + column]!, q));
    return v;
  });
  return {
    values: Float64Array.from({ length: wanted }, (_, k) => eigenvalues[m - 1 - k]! - 1),
    vectors,
    degree,
  };
}

/** λ of the resolvent (L + λI)⁻¹, and the powers of the adjacency that its Neumann series is cut behind. */
const SHIFT = 0.25;
const POWERS = 3;
/** Multiplications that the rows of all nodes may take; nodes that more files speak of come first. */
const MOST_WORK = 2e9;

/**
 * [nodes, count]: of each node the `count` others that the resolvent (L + λI)⁻¹ = Σ Sᵏ / (1 + λ)ᵏ⁺¹, S = I − L, weighs
 * most, by its weights: one that weighs twice as much as the last one stands there twice (d'Hondt's rule). A node
 * without others, or beyond what the work allows, names itself.
 */
export function nearest(graph: SymbolGraph, count: number): Uint32Array {
  const n = graph.identities.length;
  const { apply } = normalizedAdjacency(graph);
  const near = new Uint32Array(n * count);
  for (let i = 0; i < n; i++) near.fill(i, i * count, (i + 1) * count);
  const files = (i: number): number => graph.start[i + 1]! - graph.start[i]!;
  const most = Math.floor(MOST_WORK / (2 * POWERS * Math.max(1, graph.file.length)));
  const nodes = Array.from({ length: n }, (_, i) => i)
    .sort((i, j) => files(j) - files(i) || i - j)
    .slice(0, most);
  for (const i of nodes) {
    let power: Float64Array = new Float64Array(n);
    power[i] = 1 / (1 + SHIFT);
    const row = new Float64Array(n);
    for (let k = 0; k < POWERS; k++) {
      power = apply(power).map((x) => x / (1 + SHIFT));
      axpy(row, 1, power);
    }
    const best = largest(row, count, i);
    const seats = best.map(() => 0);
    for (let c = 0; c < count && best.length > 0; c++) {
      let winner = 0;
      for (let b = 1; b < best.length; b++)
        if (row[best[b]!]! / (1 + seats[b]!) > row[best[winner]!]! / (1 + seats[winner]!))
          winner = b;
      seats[winner]!++;
      near[i * count + c] = best[winner]!;
    }
  }
  return near;
}

/** Indices of the `count` largest positive values but the one at `except`, largest first, the lower index at ties. */
function largest(values: Float64Array, count: number, except: number): number[] {
  const best: number[] = [];
  for (let j = 0; j < values.length; j++) {
    if (j === except || values[j]! <= 0) continue;
    if (best.length === count && values[j]! <= values[best[count - 1]!]!) continue;
    let at = best.length;
    while (at > 0 && values[j]! > values[best[at - 1]!]!) at--;
    best.splice(at, 0, j);
    best.length = Math.min(best.length, count);
  }
  return best;
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}

function axpy(y: Float64Array, a: number, x: Float64Array): void {
  for (let i = 0; i < y.length; i++) y[i]! += a * x[i]!;
}
