/** What grid attention's twins share: the kernel of one pair of scalars with its derivatives, as defined. */
import type { Params } from "../graph.ts";

export const GRID_POINTS = 64;
const CELLS = GRID_POINTS - 1;

/** Of grid points, over T. */
const spacing = (T: number): number => 1 / (CELLS * T);
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

/** Of the pair's row that a loop stays at, and of the other. */
const own = makeHat();
const other = makeHat();
/** Of one pair: the kernel, its derivative by the own scalar, and T times that by T. */
export const pair = new Float64Array(3);

/** The row that a loop stays at. */
export function setOwn(x: number, T: number): void {
  setHat(own, x, spacing(T));
}

/** Sets `pair`, all of it times e^rise, for the own row's x and another's y. */
export function setPair(x: number, y: number, T: number, rise: number): void {
  if (own.cell !== cellOf(y)) {
    const distance = (x - y) / T;
    const K = Math.exp(rise - Math.abs(distance));
    pair[0] = K;
    pair[1] = (-Math.sign(distance) * K) / T;
    pair[2] = K * Math.abs(distance);
    return;
  }
  const d = spacing(T);
  const q = Math.exp(-d);
  const scale = Math.exp(rise);
  setHat(other, y, d);
  pair.fill(0);
  for (let m = 0; m < 2; m++)
    for (let n = 0; n < 2; n++) {
      const near = scale * (m === n ? 1 : q);
      pair[0]! += own.w[m]! * other.w[n]! * near;
      pair[1]! += (own.slope[m]! * other.w[n]! * near) / T;
      pair[2]! +=
        (own.heat[m]! * other.w[n]! + own.w[m]! * other.heat[n]!) * near +
        (m === n ? 0 : own.w[m]! * other.w[n]! * d * near);
    }
}

/** A row of one head in one window. */
interface Unit {
  readonly row: number;
  readonly h: number;
  readonly n: number;
}
export function unitOf(u: number, p: Params): Unit {
  const rows = p["rows"]!;
  const nHeads = p["nHeads"]!;
  return {
    row: u % rows,
    h: Math.floor(u / rows) % nHeads,
    n: Math.floor(u / (rows * nHeads)),
  };
}
