/** Reference twin of gridAttentionBackward, pair by pair. Units are (batch, head, row), rows innermost. */
import type { Floats, Params } from "../graph.ts";
import { rowSums } from "./gridRows.ts";
import { pair, setOwn, setPair, unitOf } from "./gridPair.ts";

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
  const rows = p["rows"]!;
  const over = rowSums(b_, rows);
  const stride = nHeads * D;
  for (let u = start; u < end; u++) {
    const { row: i, h, n } = unitOf(u, p);
    const at = (n * rows + i) * nHeads + h;
    const first = (n * rows * nHeads + h) * D;
    over.dots(dOut, at * D, { of: v, first, stride, count: i + 1 }, D);
    setOwn(a[at]!, temperature[h]!);
    let moved = 0;
    let heated = 0;
    let sum = 0;
    for (let j = 0; j <= i; j++) {
      const keyAt = (n * rows + j) * nHeads + h;
      const x = (over.products[j]! - stats[4 * at + 1]!) / stats[4 * at]!;
      const rise = stats[4 * keyAt + 2]! - stats[4 * at + 3]! * (i - j);
      setPair(a[at]!, b[keyAt]!, temperature[h]!, rise);
      moved += x * pair[1]!;
      heated += x * pair[2]!;
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
  const over = rowSums(b_, rows);
  const stride = nHeads * D;
  for (let u = start; u < end; u++) {
    const { row: j, h, n } = unitOf(u, p);
    const keyAt = (n * rows + j) * nHeads + h;
    const later = { of: dOut, first: keyAt * D, stride, count: rows - j };
    over.dots(v, keyAt * D, later, D);
    setOwn(b[keyAt]!, temperature[h]!);
    let moved = 0;
    let salience = 0;
    for (let i = j; i < rows; i++) {
      const at = (n * rows + i) * nHeads + h;
      const rise = stats[4 * keyAt + 2]! - stats[4 * at + 3]! * (i - j);
      setPair(b[keyAt]!, a[at]!, temperature[h]!, rise);
      const inverse = 1 / stats[4 * at]!;
      const x = (over.products[i - j]! - stats[4 * at + 1]!) * inverse;
      moved += x * pair[1]!;
      salience += x * pair[0]!;
      over.weights[i - j] = pair[0]! * inverse;
    }
    over.weightedSum(dV, keyAt * D, later, D, 1);
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
