/** Singular values by one-sided Jacobi rotations, for matrices as rows of numbers. */
export type Matrix = readonly ArrayLike<number>[];

const SWEEPS = 30;
/** Rows whose cosine is below this count as orthogonal. */
const ORTHOGONAL = 1e-12;

export const transposed = (a: Matrix): number[][] =>
  Array.from({ length: a[0]!.length }, (_, j) => a.map((row) => row[j]!));

export function singularValues(matrix: Matrix): number[] {
  const wide = matrix.length <= matrix[0]!.length ? matrix : transposed(matrix);
  const rows = wide.map((row) => Float64Array.from(row));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let rotated = 0;
    for (let p = 0; p < rows.length; p++)
      for (let q = p + 1; q < rows.length; q++) {
        const x = rows[p]!;
        const y = rows[q]!;
        let [xx, yy, xy] = [0, 0, 0];
        for (let i = 0; i < x.length; i++) {
          xx += x[i]! * x[i]!;
          yy += y[i]! * y[i]!;
          xy += x[i]! * y[i]!;
        }
        if (Math.abs(xy) <= ORTHOGONAL * Math.sqrt(xx * yy)) continue;
        rotated++;
        const angle = 0.5 * Math.atan2(2 * xy, xx - yy);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let i = 0; i < x.length; i++) {
          const was = x[i]!;
          x[i] = c * was + s * y[i]!;
          y[i] = c * y[i]! - s * was;
        }
      }
    if (rotated === 0) break;
  }
  return rows.map((row) => Math.sqrt(row.reduce((sum, v) => sum + v * v, 0)));
}
