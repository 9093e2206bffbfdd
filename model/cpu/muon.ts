/** Reference twins of Muon's elementwise parts. Units: parts (momentum), matrices (norms), rows of x (load, update). */
import type { Buffer, Floats } from "../graph.ts";

export interface MuonBatch {
  /** Row of the table that the batch starts with. */
  readonly first: number;
  readonly side: number;
  readonly length: number;
}

/** Unit = matrix·partCount + part; a part takes every partCount-th run of 1,024 elements. */
export function muonMomentum(
  b: {
    grad: Floats;
    buffer: Floats;
    table: Buffer;
    hyper: Floats;
    verdict: Floats;
    parts: Floats;
  },
  partCount: number,
  start: number,
  end: number,
): void {
  const { grad, buffer, table, hyper, verdict, parts } = b;
  const mu = hyper[1]!;
  const nesterov = hyper[3]!;
  const take = verdict[0]!;
  const unscale = verdict[1]!;
  for (let unit = start; unit < end; unit++) {
    const matrix = Math.floor(unit / partCount);
    const offset = table[4 * matrix]!;
    const size = table[4 * matrix + 3]!;
    let sum = 0;
    for (let run = (unit % partCount) * 1024; run < size; run += partCount * 1024)
      for (let i = offset + run; i < offset + Math.min(run + 1024, size); i++) {
        const g = grad[i]! * unscale;
        const moved = mu * buffer[i]! + g;
        if (take !== 0) buffer[i] = moved;
        const d = nesterov === 0 ? moved : g + mu * moved;
        sum += d * d;
      }
    parts[unit] = sum;
  }
}

export function muonNorms(
  squareSums: Floats,
  inverseNorms: Floats,
  partCount: number,
  start: number,
  end: number,
): void {
  for (let matrix = start; matrix < end; matrix++) {
    let sum = 0;
    for (let part = 0; part < partCount; part++) sum += squareSums[matrix * partCount + part]!;
    inverseNorms[matrix] = 1 / (Math.sqrt(sum) + 1e-7);
  }
}

/** Of row `unit` of x: its matrix in the table, where it starts in the pack, the step along it, entries it has. */
function rowOf(
  table: Buffer,
  s: MuonBatch,
  unit: number,
): { matrix: number; at: number; step: number; count: number; scale: number } {
  const matrix = s.first + Math.floor(unit / s.side);
  const row = unit % s.side;
  const [offset, rows, cols] = [table[4 * matrix]!, table[4 * matrix + 1]!, table[4 * matrix + 2]!];
  const scale = Math.sqrt(Math.max(1, cols / rows));
  return rows > cols
    ? { matrix, at: offset + row, step: cols, count: row < cols ? rows : 0, scale }
    : { matrix, at: offset + row * cols, step: 1, count: row < rows ? cols : 0, scale };
}

export function muonLoad(
  b: {
    grad: Floats;
    buffer: Floats;
    table: Buffer;
    hyper: Floats;
    verdict: Floats;
    norms: Floats;
    x: Floats;
  },
  s: MuonBatch,
  start: number,
  end: number,
): void {
  const { grad, buffer, hyper, x } = b;
  const mu = hyper[1]!;
  const nesterov = hyper[3]!;
  const unscale = b.verdict[1]!;
  for (let unit = start; unit < end; unit++) {
    const { matrix, at, step, count } = rowOf(b.table, s, unit);
    const norm = b.norms[matrix]!;
    for (let l = 0; l < count; l++) {
      const i = at + l * step;
      const d = nesterov === 0 ? buffer[i]! : grad[i]! * unscale + mu * buffer[i]!;
      x[unit * s.length + l] = d * norm;
    }
    x.fill(0, unit * s.length + count, (unit + 1) * s.length);
  }
}

export function muonUpdate(
  b: { x: Floats; param: Floats; table: Buffer; hyper: Floats; verdict: Floats },
  s: MuonBatch,
  start: number,
  end: number,
): void {
  const { x, param, hyper } = b;
  if (b.verdict[0] === 0) return;
  const lr = hyper[0]!;
  const weightDecay = hyper[2]!;
  const cautious = hyper[4]!;
  for (let unit = start; unit < end; unit++) {
    const { at, step: stride, count, scale } = rowOf(b.table, s, unit);
    for (let l = 0; l < count; l++) {
      const i = at + l * stride;
      const p = param[i]!;
      const step = scale * x[unit * s.length + l]!;
      const decay = cautious === 0 || step * p > 0 ? weightDecay : 0;
      param[i] = p - lr * (decay * p + step);
    }
  }
}
