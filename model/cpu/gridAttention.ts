/**
 * Reference twin of gridAttention and gridAttentionFew, pair by pair, and the CPU device's path. Units are (batch,
 * head, row), rows innermost.
 */
import type { Buffer, Floats, Params } from "../graph.ts";
import { pair, setOwn, setPair, unitOf } from "./gridPair.ts";

const sums = new Float64Array(64);

interface Lookup {
  readonly a: Floats;
  readonly b: Floats;
  readonly c: Floats;
  readonly temperature: Floats;
  readonly slope: Floats;
  readonly v: Floats;
  readonly out: Floats;
  readonly total?: Floats;
  /** Position of row 0 among the keys, and keys per window. */
  readonly offset: number;
  readonly capacity: number;
}

function look(t: Lookup, p: Params, start: number, end: number): void {
  const { a, b, c, v, out } = t;
  const rows = p["rows"]!;
  const nHeads = p["nHeads"]!;
  const D = p["headDim"]!;
  for (let u = start; u < end; u++) {
    const { row, h, n } = unitOf(u, p);
    const at = (n * rows + row) * nHeads + h;
    const T = t.temperature[h]!;
    const gamma = t.slope[h]!;
    const position = t.offset + row;
    const last = Math.min(position, t.capacity - 1);
    setOwn(a[at]!, T);
    sums.fill(0);
    let sum = 0;
    for (let j = 0; j <= last; j++) {
      const key = (n * t.capacity + j) * nHeads + h;
      setPair(a[at]!, b[key]!, T, c[key]! - gamma * (position - j));
      const weight = pair[0]!;
      sum += weight;
      for (let k = 0; k < D; k++) sums[k]! += weight * v[key * D + k]!;
    }
    if (t.total !== undefined) t.total[at] = sum;
    for (let k = 0; k < D; k++) out[at * D + k] = sums[k]! / sum;
  }
}

export function gridForward(t: readonly Floats[], p: Params, start: number, end: number): void {
  const [a, b, c, temperature, slope, v, , out, total] = t as [
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
  const whole = { offset: 0, capacity: p["rows"]! };
  look({ a, b, c, temperature, slope, v, out, total, ...whole }, p, start, end);
}

export function gridFew(t: readonly Buffer[], p: Params, start: number, end: number): void {
  const [a, b, c, temperature, slope, v, span, out] = t as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Uint32Array,
    Floats,
  ];
  const cache = { offset: span[0]!, capacity: p["capacity"]! };
  look({ a, b, c, temperature, slope, v, out, ...cache }, p, start, end);
}
