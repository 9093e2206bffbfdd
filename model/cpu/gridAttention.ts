/**
 * Reference twin of gridAttention: its definition, pair by pair, and the CPU device's path. Units are (batch, head,
 * row), rows innermost.
 */
import type { Floats, Params } from "../graph.ts";

export const GRID_POINTS = 64;
const CELLS = GRID_POINTS - 1;

const cellOf = (z: number): number => Math.max(0, Math.min(Math.floor(z * CELLS), CELLS - 1));

/** A scalar as weights on the two grid points around it, with their derivatives by the scalar over T, and T times
 *  those by T. */
interface Hat {
  cell: number;
  readonly w: Float64Array;
  readonly slope: Float64Array;
  readonly heat: Float64Array;
}
const makeHat = (): Hat => ({
  cell: 0,
  w: new Float64Array(2),
  slope: new Float64Array(2),
  heat: new Float64Array(2),
});

function setHat(hat: Hat, z: number, d: number): void {
  hat.cell = cellOf(z);
  const upper = (z * CELLS - hat.cell) * d;
  for (const [k, x, sign] of [
    [0, d - upper, -1],
    [1, upper, 1],
  ] as const) {
    hat.w[k] = Math.sinh(x) / Math.sinh(d);
    hat.slope[k] = (sign * Math.cosh(x)) / Math.sinh(d);
    hat.heat[k] = (hat.w[k] * d) / Math.tanh(d) - (x * Math.cosh(x)) / Math.sinh(d);
  }
}

const query = makeHat();
const key = makeHat();
/** Of one pair: the kernel, its derivatives by a and by b, and T times that by T. */
const pair = new Float64Array(4);

function setPair(a: number, b: number, T: number): void {
  const d = 1 / (CELLS * T);
  if (cellOf(a) !== cellOf(b)) {
    const distance = (a - b) / T;
    const K = Math.exp(-Math.abs(distance));
    pair[0] = K;
    pair[1] = (-Math.sign(distance) * K) / T;
    pair[2] = -pair[1];
    pair[3] = K * Math.abs(distance);
    return;
  }
  const q = Math.exp(-d);
  setHat(query, a, d);
  setHat(key, b, d);
  pair.fill(0);
  for (let m = 0; m < 2; m++)
    for (let n = 0; n < 2; n++) {
      const near = m === n ? 1 : q;
      pair[0]! += query.w[m]! * key.w[n]! * near;
      pair[1]! += (query.slope[m]! * key.w[n]! * near) / T;
      pair[2]! += (query.w[m]! * key.slope[n]! * near) / T;
      pair[3]! +=
        (query.heat[m]! * key.w[n]! + query.w[m]! * key.heat[n]!) * near +
        (m === n ? 0 : query.w[m]! * key.w[n]! * d * q);
    }
}

const sums = new Float64Array(64);

interface Unit {
  readonly row: number;
  readonly h: number;
  /** Row 0 of the window. */
  readonly first: number;
}
function unitOf(u: number, p: Params): Unit {
  const rows = p["rows"]!;
  const nHeads = p["nHeads"]!;
  return {
    row: u % rows,
    h: Math.floor(u / rows) % nHeads,
    first: Math.floor(u / (rows * nHeads)) * rows,
  };
}

export function gridForward(b_: readonly Floats[], p: Params, start: number, end: number): void {
  const [a, b, c, temperature, slope, v, , out, total] = b_ as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const nHeads = p["nHeads"]!;
  const D = p["headDim"]!;
  for (let u = start; u < end; u++) {
    const { row: i, h, first } = unitOf(u, p);
    const at = (first + i) * nHeads + h;
    sums.fill(0);
    let sum = 0;
    for (let j = 0; j <= i; j++) {
      const keyAt = (first + j) * nHeads + h;
      setPair(a[at]!, b[keyAt]!, temperature[h]!);
      const weight = pair[0]! * Math.exp(c[keyAt]! - slope[h]! * (i - j));
      sum += weight;
      for (let k = 0; k < D; k++) sums[k]! += weight * v[keyAt * D + k]!;
    }
    total[at] = sum;
    for (let k = 0; k < D; k++) out[at * D + k] = sums[k]! / sum;
  }
}

/** stats holds (total, dOut·out, c, slope) per row and head; parts receives (T's gradient, Σ of scores' gradients), the
 *  second zero but for rounding in dOut·out. */
export function gridQueriesBackward(
  b_: readonly Floats[],
  p: Params,
  start: number,
  end: number,
): void {
  const [a, b, temperature, stats, v, dOut, , dA, parts] = b_ as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const nHeads = p["nHeads"]!;
  const D = p["headDim"]!;
  for (let u = start; u < end; u++) {
    const { row: i, h, first } = unitOf(u, p);
    const at = (first + i) * nHeads + h;
    let moved = 0;
    let heated = 0;
    let sum = 0;
    for (let j = 0; j <= i; j++) {
      const keyAt = (first + j) * nHeads + h;
      let x = -stats[4 * at + 1]!;
      for (let k = 0; k < D; k++) x += dOut[at * D + k]! * v[keyAt * D + k]!;
      setPair(a[at]!, b[keyAt]!, temperature[h]!);
      x *= Math.exp(stats[4 * keyAt + 2]! - stats[4 * at + 3]! * (i - j)) / stats[4 * at]!;
      moved += x * pair[1]!;
      heated += x * pair[3]!;
      sum += x * pair[0]!;
    }
    dA[at] = moved;
    parts[2 * at] = heated / temperature[h]!;
    parts[2 * at + 1] = sum;
  }
}

/** parts receives (dB, dC, 0, 0): the queries' pass has the temperature's share of every pair here. */
export function gridKeysBackward(
  b_: readonly Floats[],
  p: Params,
  start: number,
  end: number,
): void {
  const [a, b, temperature, stats, v, dOut, , dV, parts] = b_ as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const rows = p["rows"]!;
  const nHeads = p["nHeads"]!;
  const D = p["headDim"]!;
  for (let u = start; u < end; u++) {
    const { row: j, h, first } = unitOf(u, p);
    const keyAt = (first + j) * nHeads + h;
    sums.fill(0);
    let moved = 0;
    let salience = 0;
    for (let i = j; i < rows; i++) {
      const at = (first + i) * nHeads + h;
      let x = -stats[4 * at + 1]!;
      for (let k = 0; k < D; k++) x += dOut[at * D + k]! * v[keyAt * D + k]!;
      setPair(a[at]!, b[keyAt]!, temperature[h]!);
      const scale = Math.exp(stats[4 * keyAt + 2]! - stats[4 * at + 3]! * (i - j)) / stats[4 * at]!;
      moved += x * scale * pair[2]!;
      salience += x * scale * pair[0]!;
      for (let k = 0; k < D; k++) sums[k]! += scale * pair[0]! * dOut[at * D + k]!;
    }
    for (let k = 0; k < D; k++) dV[keyAt * D + k] = sums[k]!;
    parts[4 * keyAt] = moved;
    parts[4 * keyAt + 1] = salience;
    parts[4 * keyAt + 2] = 0;
    parts[4 * keyAt + 3] = 0;
  }
}

/** Units are rows with heads. The slope's gradient −Σ (i − j) dScore as moments of the scores' sums. */
export function gridParts(b_: readonly Floats[], p: Params, start: number, end: number): void {
  const [keyParts, queryParts, dB, dC, heatPartial, slopePartial] = b_ as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const rows = p["rows"]!;
  for (let u = start; u < end; u++) {
    const row = Math.floor(u / p["nHeads"]!) % rows;
    const position = row - 0.5 * rows;
    dB[u] = keyParts[4 * u]!;
    dC[u] = keyParts[4 * u + 1]!;
    heatPartial[u] = -(queryParts[2 * u]! + keyParts[4 * u + 2]!);
    slopePartial[u] = position * (queryParts[2 * u + 1]! - keyParts[4 * u + 1]!);
  }
}
