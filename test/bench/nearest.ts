/** The nearest matrix that a parameterization reaches: Levenberg–Marquardt on ‖mix(a) − T‖², from several starts. */
import type { MixingRow } from "../../model/cpu/mixing.ts";
import type { Random } from "../../model/random.ts";

const ITERATIONS = 60;
const START_DAMPING = 1e-2;
const LEAST_DAMPING = 1e-12;
const MOST_DAMPING = 1e8;

/** Solves m y = r for symmetric positive definite m [n, n], which is overwritten; r becomes y. */
function solve(m: Float64Array, r: Float64Array, n: number): void {
  for (let k = 0; k < n; k++) {
    let pivot = m[k * n + k]!;
    for (let p = 0; p < k; p++) pivot -= m[k * n + p]! ** 2;
    const root = Math.sqrt(Math.max(pivot, Number.MIN_VALUE));
    m[k * n + k] = root;
    for (let i = k + 1; i < n; i++) {
      let sum = m[i * n + k]!;
      for (let p = 0; p < k; p++) sum -= m[i * n + p]! * m[k * n + p]!;
      m[i * n + k] = sum / root;
    }
  }
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < i; p++) r[i]! -= m[i * n + p]! * r[p]!;
    r[i]! /= m[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let p = i + 1; p < n; p++) r[i]! -= m[p * n + i]! * r[p]!;
    r[i]! /= m[i * n + i]!;
  }
}

/** Frobenius distance to the target [d, d] from one start; ends early below `enough`. */
function descend(
  row: MixingRow,
  target: Float64Array,
  start: Float64Array,
  enough: number,
): number {
  const { K } = row;
  const n = target.length;
  const mix = new Float64Array(n);
  const unit = new Float64Array(n);
  const jacobian = Array.from({ length: n }, () => new Float64Array(K));
  const squares = (a: Float64Array): number => {
    row.forward(a, mix);
    let sum = 0;
    for (let o = 0; o < n; o++) sum += (mix[o]! - target[o]!) ** 2;
    return sum;
  };
  let a = start;
  let now = squares(a);
  let damping = START_DAMPING;
  for (let step = 0; step < ITERATIONS && now > enough * enough; step++) {
    const apart = mix.map((x, o) => x - target[o]!);
    for (let o = 0; o < n; o++) {
      unit.fill(0);
      unit[o] = 1;
      row.backward(a, unit, jacobian[o]!);
    }
    const products = new Float64Array(n * n);
    for (let o = 0; o < n; o++)
      for (let p = 0; p <= o; p++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += jacobian[o]![k]! * jacobian[p]![k]!;
        products[o * n + p] = products[p * n + o] = sum;
      }
    let better = false;
    while (!better && damping < MOST_DAMPING) {
      const m = products.map((x, o) => (o % (n + 1) === 0 ? x + damping : x));
      const y = Float64Array.from(apart);
      solve(m, y, n);
      const moved = a.map((v, k) => {
        let sum = v;
        for (let o = 0; o < n; o++) sum -= jacobian[o]![k]! * y[o]!;
        return sum;
      });
      const next = squares(moved);
      better = next < now;
      if (better) {
        const gain = 1 - next / now;
        a = moved;
        now = next;
        damping = Math.max(LEAST_DAMPING, damping / 4);
        if (gain < 1e-9) return Math.sqrt(now);
      } else damping *= 4;
    }
    if (!better) break;
    squares(a);
  }
  return Math.sqrt(now);
}

/** The least distance over up to `starts` drawn starts; no further ones once it is below `enough`. */
export function nearest(
  row: MixingRow,
  target: Float64Array,
  o: { draw: (random: Random) => number; random: Random; starts: number; enough: number },
): number {
  let least = Infinity;
  for (let start = 0; start < o.starts && least > o.enough; start++) {
    const a = Float64Array.from({ length: row.K }, () => o.draw(o.random));
    least = Math.min(least, descend(row, target, a, o.enough));
  }
  return least;
}
