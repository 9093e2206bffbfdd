/** The sums over rows of values that grid attention's twins are made of: SIMD where the tensors lie in its memory. */
import type { Buffer, Floats } from "../graph.ts";
import { simdOfRows } from "./tauAttention.ts";

/** Rows of D values, a stride apart from the first. */
interface Rows {
  readonly of: Floats;
  readonly first: number;
  readonly stride: number;
  readonly count: number;
}

export interface RowSums {
  /** Of as many rows as the longest sum has. */
  readonly weights: Floats;
  readonly products: Floats;
  /** products = x · row, of D values from `at`. */
  dots(x: Floats, at: number, rows: Rows, D: number): void;
  /** out from `at` = scale · Σ weights · row. */
  weightedSum(out: Floats, at: number, rows: Rows, D: number, scale: number): void;
}

let weights = new Float64Array(0);
let products = new Float64Array(0);
const sums = new Float64Array(64);

function plainSums(longest: number): RowSums {
  if (weights.length < longest) {
    weights = new Float64Array(longest);
    products = new Float64Array(longest);
  }
  return {
    weights,
    products,
    dots: (x, at, rows, D) => {
      for (let t = 0; t < rows.count; t++) {
        const row = rows.first + t * rows.stride;
        let sum = 0;
        for (let k = 0; k < D; k++) sum += x[at + k]! * rows.of[row + k]!;
        products[t] = sum;
      }
    },
    weightedSum: (out, at, rows, D, scale) => {
      sums.fill(0);
      for (let t = 0; t < rows.count; t++) {
        const row = rows.first + t * rows.stride;
        for (let k = 0; k < D; k++) sums[k]! += weights[t]! * rows.of[row + k]!;
      }
      for (let k = 0; k < D; k++) out[at + k] = scale * sums[k]!;
    },
  };
}

/** Valid until the next call. */
export function rowSums(buffers: readonly Buffer[], longest: number): RowSums {
  const simd = simdOfRows(buffers, longest);
  if (simd === undefined) return plainSums(longest);
  const { memory, scratch, exports } = simd;
  const second = scratch + 16 * Math.ceil(longest / 4);
  const place = (x: Floats, at: number): number => x.byteOffset + 4 * at;
  return {
    weights: new Float32Array(memory.buffer, scratch, longest),
    products: new Float32Array(memory.buffer, second, longest),
    dots: (x, at, rows, D) =>
      exports["dots"]!(
        second,
        place(x, at),
        place(rows.of, rows.first),
        4 * rows.stride,
        rows.count,
        D,
      ),
    weightedSum: (out, at, rows, D, scale) =>
      exports["weightedSum"]!(
        place(out, at),
        place(rows.of, rows.first),
        4 * rows.stride,
        scratch,
        rows.count,
        D,
        scale,
      ),
  };
}
