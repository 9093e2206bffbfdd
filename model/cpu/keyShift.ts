/** Reference twin of keyShift. Units are rows of all windows; backward: chunks of them. */
import type { Buffer, Floats, Params } from "../graph.ts";
import { simdOf, type SimdKernels } from "./simd/bind.ts";

const TAPS = 3;

const simdOfRows = (buffers: readonly Floats[], channels: number): SimdKernels | undefined =>
  channels % 4 === 0 ? simdOf(buffers) : undefined;

export function keyShiftForward(
  buffers: readonly Buffer[],
  p: Params,
  start: number,
  end: number,
): void {
  const [x, mix, , y] = buffers as [Floats, Floats, Uint32Array, Floats];
  const offset = buffers[2]![0]!;
  const rows = p["rows"]!;
  const capacity = p["capacity"]!;
  const channels = p["channels"]!;
  const tapSum = simdOfRows([x, mix, y], channels)?.exports["tapSum"];
  for (let row = start; row < end; row++) {
    const position = offset + (row % rows);
    const to = row * channels;
    const from = (Math.floor(row / rows) * capacity + position) * channels;
    if (tapSum !== undefined) {
      const taps = Math.min(TAPS, position + 1);
      const at = x.byteOffset + from * 4;
      tapSum(y.byteOffset + to * 4, at, -channels * 4, mix.byteOffset, taps, channels, 0);
      continue;
    }
    for (let c = 0; c < channels; c++) y[to + c] = mix[c]! * x[from + c]!;
    for (let k = 1; k < TAPS && k <= position; k++) {
      const tap = k * channels;
      for (let c = 0; c < channels; c++)
        y[to + c] = y[to + c]! + mix[tap + c]! * x[from - tap + c]!;
    }
  }
}

/** dX from dY, and partial sums of mix's gradient per chunk. */
export function keyShiftBackward(
  buffers: readonly Floats[],
  p: Params,
  start: number,
  end: number,
): void {
  const [dY, x, mix, dX, partial] = buffers as [Floats, Floats, Floats, Floats, Floats];
  const total = p["batch"]! * p["rows"]!;
  const last = Math.min(total, end * p["chunk"]!);
  inputGradient(dY, mix, dX, p, start * p["chunk"]!, last);
  mixPartials(dY, x, partial, p, start, end);
}

function inputGradient(
  dY: Floats,
  mix: Floats,
  dX: Floats,
  p: Params,
  start: number,
  end: number,
): void {
  const rows = p["rows"]!;
  const channels = p["channels"]!;
  const accumulate = p["accumulate"] === 1 ? 1 : 0;
  const tapSum = simdOfRows([dY, mix, dX], channels)?.exports["tapSum"];
  if (accumulate === 0 && tapSum === undefined) dX.fill(0, start * channels, end * channels);
  for (let row = start; row < end; row++) {
    const after = rows - 1 - (row % rows);
    const at = row * channels;
    if (tapSum !== undefined) {
      const taps = Math.min(TAPS, after + 1);
      const from = dY.byteOffset + at * 4;
      const to = dX.byteOffset + at * 4;
      tapSum(to, from, channels * 4, mix.byteOffset, taps, channels, accumulate);
      continue;
    }
    for (let c = 0; c < channels; c++) dX[at + c] = dX[at + c]! + mix[c]! * dY[at + c]!;
    for (let k = 1; k < TAPS && k <= after; k++) {
      const tap = k * channels;
      for (let c = 0; c < channels; c++)
        dX[at + c] = dX[at + c]! + mix[tap + c]! * dY[at + tap + c]!;
    }
  }
}

function mixPartials(
  dY: Floats,
  x: Floats,
  partial: Floats,
  p: Params,
  start: number,
  end: number,
): void {
  const rows = p["rows"]!;
  const channels = p["channels"]!;
  const chunk = p["chunk"]!;
  const total = p["batch"]! * rows;
  const tapPartials = simdOfRows([dY, x, partial], channels)?.exports["tapPartials"];
  for (let at = start; at < end; at++) {
    const to = at * TAPS * channels;
    partial.fill(0, to, to + TAPS * channels);
    const last = Math.min(total, (at + 1) * chunk);
    if (tapPartials !== undefined) {
      for (let row = at * chunk; row < last;) {
        const position = row % rows;
        const count = Math.min(last - row, rows - position);
        const from = row * channels * 4;
        const sums = partial.byteOffset + to * 4;
        tapPartials(dY.byteOffset + from, x.byteOffset + from, sums, count, position, channels);
        row += count;
      }
      continue;
    }
    for (let row = at * chunk; row < last; row++)
      for (let k = 0; k < TAPS && k <= row % rows; k++) {
        const sum = to + k * channels;
        const from = row * channels;
        const tap = k * channels;
        for (let c = 0; c < channels; c++)
          partial[sum + c] = partial[sum + c]! + dY[from + c]! * x[from - tap + c]!;
      }
  }
}
