/** Muon's iteration with every stored entry rounded to a half, as GPUs with shader-f16 run it. */
import { describe, expect, test } from "vitest";
import { fromHalf, toHalf } from "../../model/half.ts";
import { POLYNOMIALS, UNIT } from "../../model/kernels/muon.ts";
import { Random } from "../../model/random.ts";
import { singularValues } from "../support/singularValues.ts";

/** Where the polynomials leave singular values that start above about 1/300 of the norm. */
const band = [0.6, 1.3] as const;

interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly values: Float64Array;
}

const rounded = (m: Matrix): Matrix => ({ ...m, values: m.values.map((v) => fromHalf(toHalf(v))) });

/** a·b, or a·bᵀ. */
function product(a: Matrix, b: Matrix, transposeB: 0 | 1): Matrix {
  const cols = transposeB === 1 ? b.rows : b.cols;
  const values = new Float64Array(a.rows * cols);
  for (let r = 0; r < a.rows; r++)
    for (let k = 0; k < a.cols; k++) {
      const x = a.values[r * a.cols + k]!;
      for (let c = 0; c < cols; c++)
        values[r * cols + c]! += x * b.values[transposeB === 1 ? c * b.cols + k : k * cols + c]!;
    }
  return { rows: a.rows, cols, values };
}

const blend = (m: Matrix, share: number, x: Matrix, productShare: number): Matrix => ({
  ...m,
  values: m.values.map((v, i) => share * v + productShare * x.values[i]!),
});

function orthogonalizedInHalves(direction: Matrix): number[] {
  const norm = Math.hypot(...direction.values);
  let x = rounded({ ...direction, values: direction.values.map((v) => v / norm) });
  for (const { first, second, third } of POLYNOMIALS) {
    const gram = rounded(product(x, x, 1));
    const mixed = rounded(blend(gram, second, product(gram, gram, 0), third));
    x = rounded(blend(x, first, product(mixed, x, 0), 1));
  }
  const rows = Array.from({ length: x.rows }, (_, r) =>
    x.values.subarray(r * x.cols, (r + 1) * x.cols),
  );
  return singularValues(rows);
}

function normals(rows: number, cols: number, seed: number): Matrix {
  const random = new Random(seed);
  return { rows, cols, values: Float64Array.from({ length: rows * cols }, () => random.normal()) };
}

/** Orthonormal rows (Gram–Schmidt). */
function orthonormal(rows: number, cols: number, seed: number): Matrix {
  const m = normals(rows, cols, seed);
  const row = (r: number) => m.values.subarray(r * cols, (r + 1) * cols);
  for (let r = 0; r < rows; r++) {
    for (let p = 0; p < r; p++) {
      const dot = row(r).reduce((sum, v, i) => sum + v * row(p)[i]!, 0);
      row(p).forEach((v, i) => (row(r)[i]! -= dot * v));
    }
    const norm = Math.hypot(...row(r));
    row(r).forEach((v, i) => (row(r)[i] = v / norm));
  }
  return m;
}

/** A matrix with these singular values. */
function withSpectrum(spectrum: readonly number[], cols: number): Matrix {
  const side = spectrum.length;
  const scaled = orthonormal(side, cols, 2);
  for (let i = 0; i < side * cols; i++) scaled.values[i]! *= spectrum[Math.floor(i / cols)]!;
  return product(orthonormal(side, side, 1), scaled, 0);
}

describe("orthogonalization", () => {
  test("leaves every singular value from 0.003 to 1 within a fifth of its unit, in exact arithmetic", () => {
    for (let s = 0.003; s <= 1; s *= 1.001) {
      const end = POLYNOMIALS.reduce(
        (x, { first, second, third }) => first * x + second * x ** 3 + third * x ** 5,
        s,
      );
      expect(Math.abs(end / UNIT - 1)).toBeLessThan(0.2);
    }
  });
});

describe("orthogonalization in halves", () => {
  test.each([
    [24, 24 * 4],
    [96, 384],
    [128, 192],
  ])("brings the singular values of noise, %i × %i, near one", (rows, cols) => {
    for (const s of orthogonalizedInHalves(normals(rows, cols, 5))) {
      expect(s).toBeGreaterThan(band[0]);
      expect(s).toBeLessThan(band[1]);
    }
  });

  test("brings singular values that span a factor of fifty near one", () => {
    const spectrum = Array.from({ length: 48 }, (_, i) => 0.02 ** (i / 47));
    for (const s of orthogonalizedInHalves(withSpectrum(spectrum, 192))) {
      expect(s).toBeGreaterThan(band[0]);
      expect(s).toBeLessThan(band[1]);
    }
  });

  test("lets no singular value of a nearly low-rank matrix grow beyond the band", () => {
    const spectrum = Array.from({ length: 64 }, (_, i) => (i < 4 ? 1 : 1e-5));
    const result = orthogonalizedInHalves(withSpectrum(spectrum, 256)).sort((a, b) => b - a);
    expect(result[0]).toBeLessThan(band[1]);
    expect(result[3]).toBeGreaterThan(band[0]);
  });
});
