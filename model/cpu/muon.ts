/** Reference twins of Muon's elementwise parts. Units: parts (momentum), elements (the others). */
import type { Floats } from "../graph.ts";

export interface MomentumShape {
  readonly size: number;
  readonly partCount: number;
}

/** Unit = matrix·partCount + part; a part takes every partCount-th run of 256 elements. */
export function muonMomentum(
  b: { grad: Floats; buffer: Floats; hyper: Floats; direction: Floats; parts: Floats },
  s: MomentumShape,
  start: number,
  end: number,
): void {
  const { grad, buffer, hyper, direction, parts } = b;
  const mu = hyper[1]!;
  const nesterov = hyper[3]!;
  for (let unit = start; unit < end; unit++) {
    const z = Math.floor(unit / s.partCount);
    let sum = 0;
    for (let run = (unit % s.partCount) * 256; run < s.size; run += s.partCount * 256)
      for (let i = z * s.size + run; i < z * s.size + Math.min(run + 256, s.size); i++) {
        const g = grad[i]!;
        const moved = mu * buffer[i]! + g;
        buffer[i] = moved;
        const d = nesterov === 0 ? moved : g + mu * moved;
        direction[i] = d;
        sum += d * d;
      }
    parts[unit] = sum;
  }
}

export function muonNormalize(
  b: { unscaled: Floats; squareSums: Floats; normalized: Floats },
  s: MomentumShape,
  start: number,
  end: number,
): void {
  for (let i = start; i < end;) {
    const z = Math.floor(i / s.size);
    let sum = 0;
    for (let part = 0; part < s.partCount; part++) sum += b.squareSums[z * s.partCount + part]!;
    const inverse = 1 / (Math.sqrt(sum) + 1e-7);
    const stop = Math.min(end, (z + 1) * s.size);
    for (; i < stop; i++) b.normalized[i] = b.unscaled[i]! * inverse;
  }
}

export function muonPolynomial(
  b: { gram: Floats; gramSquared: Floats; mixed: Floats },
  s: {
    readonly side: number;
    readonly first: number;
    readonly second: number;
    readonly third: number;
  },
  start: number,
  end: number,
): void {
  const { gram, gramSquared, mixed } = b;
  const area = s.side * s.side;
  for (let i = start; i < end; i++) {
    const diagonal = (i % area) % (s.side + 1) === 0 ? s.first : 0;
    mixed[i] = diagonal + s.second * gram[i]! + s.third * gramSquared[i]!;
  }
}

export function muonUpdate(
  b: { x: Floats; param: Floats; hyper: Floats },
  scale: number,
  start: number,
  end: number,
): void {
  const { x, param, hyper } = b;
  const lr = hyper[0]!;
  const weightDecay = hyper[2]!;
  const cautious = hyper[4]!;
  for (let i = start; i < end; i++) {
    const p = param[i]!;
    const step = scale * x[i]!;
    const decay = cautious === 0 || step * p > 0 ? weightDecay : 0;
    param[i] = p - lr * (decay * p + step);
  }
}
