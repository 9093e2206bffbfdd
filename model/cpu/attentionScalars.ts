/** Reference twin of attentionScalars: what queries and keys are compared by, and the way back. */
import type { Buffer, Floats, Params } from "../graph.ts";

const EPS = 1e-6;
/** A gain's place and its three neighbours, which stay zero (the kernel reads it as wide as a coordinate). */
const STRIDE = 4;

const softplus = (r: number): number => Math.max(r, 0) + Math.log1p(Math.exp(-Math.abs(r)));
const sigmoid = (r: number): number => 1 / (1 + Math.exp(-r));

interface Sizes {
  readonly T: number;
  readonly H: number;
  readonly m: number;
  readonly E: number;
  readonly S: number;
  readonly tau: number;
  readonly cap: number;
}
const sizes = (p: Params): Sizes => ({
  T: p["T"]!,
  H: p["H"]!,
  m: p["m"]!,
  E: p["E"]!,
  S: p["H"]! * p["m"]!,
  tau: p["tau"]!,
  cap: p["cap"]!,
});

/** One unit. */
export function prepare(buffers: readonly Buffer[], p: Params): void {
  const [spectrum, tiedGain, freeGain, slopeRaw, prepared, slope] = buffers as Floats[] as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const { T, H, m, E, S } = sizes(p);
  for (let i = 0; i < T * E; i++) prepared[i] = softplus(spectrum[i]!);
  prepared.fill(0, T * E);
  for (let i = 0; i < S; i++)
    prepared[T * E + STRIDE * i] =
      i < T * m ? softplus(tiedGain[i]!) * p["tiedScale"]! : softplus(freeGain[i - T * m]!);
  for (let h = 0; h < H; h++) slope[h] = softplus(slopeRaw[h]!);
}

/** Σ y² + ε and the band energies of one tied head. */
function energies(
  x: Floats,
  mu: Floats,
  first: number,
  head: number,
  s: Sizes,
  e: Float64Array,
): number {
  let whole = EPS;
  for (let d = 0; d < s.E; d++) whole += x[first + d]! * x[first + d]!;
  const width = s.E / s.m;
  for (let k = 0; k < s.m; k++) {
    let sum = 0;
    for (let d = k * width; d < (k + 1) * width; d++)
      sum += mu[head * s.E + d]! * x[first + d]! * x[first + d]!;
    e[k] = sum / whole;
  }
  return whole;
}

/** x [rows, width]: a row's tied columns, its free ones, and others. */
function oneSide(
  x: Floats,
  width: number,
  prepared: Floats,
  out: Floats,
  s: Sizes,
  row: number,
  e: Float64Array,
): void {
  const { T, E, S, m, tau } = s;
  const gains = T * E;
  for (let h = 0; h < T; h++) {
    energies(x, prepared, row * width + h * E, h, s, e);
    for (let k = 0; k < m; k++) {
      const i = h * m + k;
      out[row * S + i] = (prepared[gains + STRIDE * i]! * e[k]!) / (e[k]! + tau);
    }
  }
  for (let i = T * m; i < S; i++)
    out[row * S + i] = prepared[gains + STRIDE * i]! * x[row * width + gains + i - T * m]!;
}

/** Units are rows. */
export function forward(buffers: readonly Buffer[], p: Params, start: number, end: number): void {
  const [queries, keys, prepared, a, b, c] = buffers as readonly Floats[];
  const s = sizes(p);
  const { T, E, S, m, H, cap } = s;
  const e = new Float64Array(m);
  const widthK = p["widthK"]!;
  const salience = T * E + S - T * m;
  for (let row = start; row < end; row++) {
    oneSide(queries!, p["widthQ"]!, prepared!, a!, s, row, e);
    oneSide(keys!, widthK, prepared!, b!, s, row, e);
    for (let h = 0; h < H; h++)
      c![row * H + h] = cap * Math.tanh(keys![row * widthK + salience + h]! / cap);
  }
}

/** Units are chunks of rows, queries' before keys'; keys have the salience as well. */
export function backward(buffers: readonly Buffer[], p: Params, start: number, end: number): void {
  const [queries, keys, prepared, dA, dB, dC, dQueries, dKeys, partial] = buffers as [
    ...[Floats, Floats, Floats, Floats, Floats, Floats],
    ...[Floats, Floats, Floats],
  ];
  const s = sizes(p);
  const { T, H, m, E, S, tau, cap } = s;
  const chunks = p["chunks"]!;
  const F = S - T * m;
  const gains = T * E;
  const bandWidth = E / m;
  const width = gains + STRIDE * S;
  const e = new Float64Array(m);
  const dE = new Float64Array(m);
  const sums = new Float64Array(width);
  for (let unit = start; unit < end; unit++) {
    const isKey = unit >= chunks;
    const chunk = unit % chunks;
    const x = isKey ? keys : queries;
    const dX = isKey ? dKeys : dQueries;
    const dScalars = isKey ? dB : dA;
    const W = isKey ? p["widthK"]! : p["widthQ"]!;
    sums.fill(0);
    const last = Math.min(p["rows"]!, (chunk + 1) * p["chunk"]!);
    for (let row = chunk * p["chunk"]!; row < last; row++) {
      for (let h = 0; h < T; h++) {
        const first = row * W + h * E;
        const whole = energies(x, prepared, first, h, s, e);
        let pull = 0;
        for (let k = 0; k < m; k++) {
          const gain = gains + STRIDE * (h * m + k);
          const above = dScalars[row * S + h * m + k]! / (e[k]! + tau);
          dE[k] = (above * prepared[gain]! * tau) / ((e[k]! + tau) * whole);
          pull += dE[k]! * e[k]!;
          sums[gain]! += above * e[k]!;
        }
        for (let k = 0; k < m; k++) {
          const slope = dE[k]!;
          for (let d = k * bandWidth; d < (k + 1) * bandWidth; d++) {
            const y = x[first + d]!;
            sums[h * E + d]! += slope * y * y;
            dX[first + d] = 2 * y * (slope * prepared[h * E + d]! - pull);
          }
        }
      }
      const free = row * W + gains;
      for (let j = 0; j < F; j++) {
        const at = gains + STRIDE * (T * m + j);
        const d = dScalars[row * S + T * m + j]!;
        sums[at]! += d * x[free + j]!;
        dX[free + j] = d * prepared[at]!;
      }
      dX.fill(0, free + F, (row + 1) * W);
      if (!isKey) continue;
      for (let h = 0; h < H; h++) {
        const t = Math.tanh(x[free + F + h]! / cap);
        dX[free + F + h] = dC[row * H + h]! * (1 - t * t);
      }
    }
    partial.set(sums, unit * width);
  }
}

/** One unit: the parameters are few. */
export function reduce(buffers: readonly Buffer[], p: Params): void {
  const [partial, spectrum, tiedGain, freeGain, slopeRaw, dSlope] = buffers as Floats[] as [
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const [dSpectrum, dTiedGain, dFreeGain, dSlopeRaw] = buffers.slice(6) as [
    Floats,
    Floats,
    Floats,
    Floats,
  ];
  const { T, H, m, E, S } = sizes(p);
  const width = T * E + STRIDE * S;
  const total = (column: number): number => {
    let sum = 0;
    for (let k = 0; k < 2 * p["chunks"]!; k++) sum += partial[k * width + column]!;
    return sum;
  };
  for (let i = 0; i < T * E; i++) dSpectrum[i] = total(i) * sigmoid(spectrum[i]!);
  for (let i = 0; i < S; i++) {
    const sum = total(T * E + STRIDE * i);
    const j = i - T * m;
    if (j < 0) dTiedGain[i] = sum * sigmoid(tiedGain[i]!) * p["tiedScale"]!;
    else dFreeGain[j] = sum * sigmoid(freeGain[j]!);
  }
  for (let h = 0; h < H; h++) dSlopeRaw[h] = dSlope[h]! * sigmoid(slopeRaw[h]!);
}
