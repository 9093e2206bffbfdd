/**
 * A fixed feature Laplacian from a corpus sample: D nodes, exact kNN, combinatorial L = Deg − W in CSR, with its
 * eigen-decomposition. What the nodes are: byte positions are hashed by the two bytes before them into D
 * features, and a feature is described by which bytes follow it. They are features of the corpus, not of
 * the network's channels: nothing ties channel d to node d before training, and with free query and key maps
 * only the eigenvalues can matter (the maps absorb the eigenvectors). It is a reproducible starting spectrum and
 * the published form's matrix, not domain knowledge. Source: Tauformer §3.2; the graph steps follow arrowspace.
 */
import { ConfigError, invariant } from "./errors.ts";
import { hash32 } from "./random.ts";

export interface Laplacian {
  /** CSR of the symmetric D×D matrix, diagonal included, columns ascending. */
  readonly rowStart: Uint32Array;
  readonly column: Uint32Array;
  readonly weight: Float64Array;
  /** [D, D] row-major; column k belongs to eigenvalues[k]. */
  readonly eigenvectors: Float64Array;
  /** Ascending, ≥ 0; the first is 0. */
  readonly eigenvalues: Float64Array;
}

export interface HeadLaplacianOptions {
  readonly bytes: Uint8Array;
  /** Nodes, the head dimension D: 2 to 128. */
  readonly nodes: number;
  /** Edges each node asks for; an edge exists when either end asks. */
  readonly neighbours: number;
}

const MAX_NODES = 128;
/** Buckets of following bytes that describe a node. */
const FOLLOWERS = 256;
const HASH_SEED = 0x1a91ac1a;
/** Shape of the edge weight 1 / (1 + (distance / σ)^p); σ is the median distance of the chosen edges. */
const WEIGHT_POWER = 2;
const JACOBI_SWEEPS = 64;
const JACOBI_TOLERANCE = 1e-13;

/** Builds the Laplacian of a corpus sample; the same bytes give the same result everywhere.
 *  Throws ConfigError when nodes or neighbours are out of range. */
export function headLaplacian(o: HeadLaplacianOptions): Laplacian {
  const { nodes, neighbours } = o;
  if (!Number.isInteger(nodes) || nodes < 2 || nodes > MAX_NODES)
    throw new ConfigError(
      "NG_LAPLACIAN_NODES",
      `a head Laplacian of ${nodes} nodes was asked for`,
      `choose a head dimension from 2 to ${MAX_NODES}`,
    );
  if (!Number.isInteger(neighbours) || neighbours < 1 || neighbours >= nodes)
    throw new ConfigError(
      "NG_LAPLACIAN_NEIGHBOURS",
      `${neighbours} neighbours per node were asked for in a graph of ${nodes} nodes`,
      `choose 1 to ${nodes - 1}`,
    );
  const distance = cosineDistances(contextFeatures(o.bytes, nodes), nodes, FOLLOWERS);
  const dense = denseLaplacian(distance, nodes, neighbours);
  const { eigenvalues, eigenvectors } = symmetricEigen(dense, nodes);
  return { ...toCsr(dense, nodes), eigenvalues, eigenvectors };
}

/** [nodes, FOLLOWERS]: square roots of the counts of bytes seen after each hashed two-byte context, less the
 *  mean over nodes, so that frequent bytes do not make all nodes alike. */
function contextFeatures(bytes: Uint8Array, nodes: number): Float64Array {
  const features = new Float64Array(nodes * FOLLOWERS);
  const nodeOf = new Uint8Array(65536);
  for (let context = 0; context < 65536; context++)
    nodeOf[context] = hash32(HASH_SEED, context) % nodes;
  for (let i = 2; i < bytes.length; i++) {
    const at = nodeOf[bytes[i - 2]! * 256 + bytes[i - 1]!]! * FOLLOWERS + bytes[i]!;
    features[at] = features[at]! + 1;
  }
  for (let node = 0; node < nodes; node++) {
    let total = 0;
    for (let f = 0; f < FOLLOWERS; f++) total += features[node * FOLLOWERS + f]!;
    for (let f = 0; f < FOLLOWERS; f++) {
      const at = node * FOLLOWERS + f;
      features[at] = total === 0 ? 0 : Math.sqrt(features[at]! / total);
    }
  }
  for (let f = 0; f < FOLLOWERS; f++) {
    let mean = 0;
    for (let node = 0; node < nodes; node++) mean += features[node * FOLLOWERS + f]!;
    mean /= nodes;
    for (let node = 0; node < nodes; node++) {
      const at = node * FOLLOWERS + f;
      features[at] = features[at]! - mean;
    }
  }
  return features;
}

/** [n, n] of 1 − cosine, in [0, 2]; a zero vector is at distance 1 from everything. */
function cosineDistances(x: Float64Array, n: number, width: number): Float64Array {
  const norm = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let f = 0; f < width; f++) sum += x[i * width + f]! ** 2;
    norm[i] = Math.sqrt(sum);
  }
  const distance = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      let dot = 0;
      for (let f = 0; f < width; f++) dot += x[i * width + f]! * x[j * width + f]!;
      const scale = norm[i]! * norm[j]!;
      const d = scale > 1e-12 ? Math.min(2, Math.max(0, 1 - dot / scale)) : 1;
      distance[i * n + j] = d;
      distance[j * n + i] = d;
    }
  return distance;
}

/** Deg − W over the union of each node's nearest neighbours; ties go to the lower index. */
function denseLaplacian(distance: Float64Array, n: number, neighbours: number): Float64Array {
  const edge = new Uint8Array(n * n);
  const chosen: number[] = [];
  for (let i = 0; i < n; i++) {
    const others = Array.from({ length: n }, (_, j) => j).filter((j) => j !== i);
    others.sort((p, q) => distance[i * n + p]! - distance[i * n + q]! || p - q);
    for (const j of others.slice(0, neighbours)) {
      if (edge[i * n + j] === 1) continue;
      edge[i * n + j] = 1;
      edge[j * n + i] = 1;
      chosen.push(distance[i * n + j]!);
    }
  }
  chosen.sort((p, q) => p - q);
  const sigma = Math.max(chosen[chosen.length >> 1]!, 1e-9);
  const laplacian = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      if (edge[i * n + j] === 0) continue;
      const w = 1 / (1 + (distance[i * n + j]! / sigma) ** WEIGHT_POWER);
      laplacian[i * n + j] = -w;
      laplacian[j * n + i] = -w;
    }
  // The diagonal is minus the sum of its row, so rows sum to zero up to one rounding.
  for (let i = 0; i < n; i++) {
    let degree = 0;
    for (let j = 0; j < n; j++) if (j !== i) degree -= laplacian[i * n + j]!;
    laplacian[i * n + i] = degree;
  }
  return laplacian;
}

function toCsr(
  dense: Float64Array,
  n: number,
): { rowStart: Uint32Array; column: Uint32Array; weight: Float64Array } {
  const rowStart = new Uint32Array(n + 1);
  const column: number[] = [];
  const weight: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++)
      if (i === j || dense[i * n + j] !== 0) {
        column.push(j);
        weight.push(dense[i * n + j]!);
      }
    rowStart[i + 1] = column.length;
  }
  return { rowStart, column: Uint32Array.from(column), weight: Float64Array.from(weight) };
}

/** Eigen-decomposition of a symmetric positive semidefinite matrix by cyclic Jacobi rotations. Values ascend and
 *  negative rounding is cut at 0; each vector's largest component is positive, so the result is unique. */
export function symmetricEigen(
  matrix: Float64Array,
  n: number,
): { eigenvalues: Float64Array; eigenvectors: Float64Array } {
  invariant(matrix.length === n * n, `an ${n}×${n} matrix has ${matrix.length} entries`);
  const m = matrix.slice();
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  let scale = 0;
  for (const x of m) scale += x * x;
  for (let sweep = 0; sweep < JACOBI_SWEEPS; sweep++) {
    let off = 0;
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) off += 2 * m[i * n + j]! ** 2;
    if (off <= JACOBI_TOLERANCE ** 2 * scale) break;
    for (let p = 0; p < n - 1; p++) for (let q = p + 1; q < n; q++) rotate(m, vectors, n, p, q);
  }
  const order = Array.from({ length: n }, (_, k) => k);
  order.sort((p, q) => m[p * n + p]! - m[q * n + q]! || p - q);
  const eigenvalues = Float64Array.from(order, (k) => Math.max(0, m[k * n + k]!));
  const eigenvectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    let peak = 0;
    for (let i = 0; i < n; i++)
      if (Math.abs(vectors[i * n + from]!) > Math.abs(peak) + 1e-12) peak = vectors[i * n + from]!;
    for (let i = 0; i < n; i++)
      eigenvectors[i * n + to] = vectors[i * n + from]! * (peak < 0 ? -1 : 1);
  });
  return { eigenvalues, eigenvectors };
}

/** One rotation that zeroes m[p, q]. */
function rotate(m: Float64Array, vectors: Float64Array, n: number, p: number, q: number): void {
  const pq = m[p * n + q]!;
  if (pq === 0) return;
  const theta = (m[q * n + q]! - m[p * n + p]!) / (2 * pq);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const cosine = 1 / Math.sqrt(t * t + 1);
  const sine = t * cosine;
  for (let k = 0; k < n; k++) {
    const kp = m[k * n + p]!;
    const kq = m[k * n + q]!;
    m[k * n + p] = cosine * kp - sine * kq;
    m[k * n + q] = sine * kp + cosine * kq;
  }
  for (let k = 0; k < n; k++) {
    const pk = m[p * n + k]!;
    const qk = m[q * n + k]!;
    m[p * n + k] = cosine * pk - sine * qk;
    m[q * n + k] = sine * pk + cosine * qk;
    const vp = vectors[k * n + p]!;
    const vq = vectors[k * n + q]!;
    vectors[k * n + p] = cosine * vp - sine * vq;
    vectors[k * n + q] = sine * vp + cosine * vq;
  }
}
