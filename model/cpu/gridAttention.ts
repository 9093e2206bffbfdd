/**
 * Reference twin of gridAttention and gridAttentionFew, pair by pair, and the CPU device's path. Units are (batch,
 * head, row), rows innermost.
 */
import type { Buffer, Floats, Params } from "../graph.ts";
import { rowSums } from "./gridRows.ts";
import { pair, setOwn, setPair, unitOf } from "./gridPair.ts";

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

function look(buffers: readonly Buffer[], t: Lookup, p: Params, start: number, end: number): void {
  const { a, b, c, v, capacity } = t;
  const rows = p["rows"]!;
  const nHeads = p["nHeads"]!;
  const D = p["headDim"]!;
  const over = rowSums(buffers, capacity);
  const stride = nHeads * D;
  for (let u = start; u < end; u++) {
    const { row, h, n } = unitOf(u, p);
    const at = (n * rows + row) * nHeads + h;
    const T = t.temperature[h]!;
    const gamma = t.slope[h]!;
    const position = t.offset + row;
    const count = Math.min(position + 1, capacity);
    const first = n * capacity * nHeads + h;
    setOwn(a[at]!, T);
    let sum = 0;
    for (let j = 0; j < count; j++) {
      const key = first + j * nHeads;
      setPair(a[at]!, b[key]!, T, c[key]! - gamma * (position - j));
      over.weights[j] = pair[0]!;
      sum += pair[0]!;
    }
    if (t.total !== undefined) t.total[at] = sum;
    over.weightedSum(t.out, at * D, { of: v, first: first * D, stride, count }, D, 1 / sum);
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
  look(t, { a, b, c, temperature, slope, v, out, total, ...whole }, p, start, end);
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
  look(t, { a, b, c, temperature, slope, v, out, ...cache }, p, start, end);
}
