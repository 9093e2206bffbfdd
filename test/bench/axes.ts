/** Axes that hold given values, with round ticks. */
import type { Axis } from "./chart.ts";

const STEPS = [1, 2, 2.5, 5, 10];
const MOST_TICKS = 6;

/** A linear axis around the values, a little wider than they are. */
export function linearAxis(label: string, values: readonly number[]): Axis {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const range = Math.max(high - low, Math.abs(high) * 1e-3, 1e-9);
  const power = 10 ** Math.floor(Math.log10(range / (MOST_TICKS - 1)));
  const step = power * STEPS.find((s) => range / (power * s) <= MOST_TICKS - 1)!;
  const from = Math.floor((low - 0.04 * range) / step) * step;
  const to = Math.ceil((high + 0.04 * range) / step) * step;
  const digits = Math.max(0, -Math.floor(Math.log10(step)) + 1);
  const ticks = Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) =>
    Number((from + i * step).toFixed(digits)),
  );
  return { label, from, to, ticks };
}

/** A logarithmic axis over whole powers of ten, or with the ticks that are given. */
export function logAxis(label: string, values: readonly number[], ticks?: readonly number[]): Axis {
  const low = Math.min(...values);
  const high = Math.max(...values);
  if (ticks !== undefined)
    return {
      label,
      from: Math.min(low, ticks[0]!),
      to: Math.max(high, ticks.at(-1)!),
      log: true,
      ticks,
    };
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  return {
    label,
    from: 10 ** first,
    to: 10 ** last,
    log: true,
    ticks: Array.from({ length: last - first + 1 }, (_, i) =>
      Number((10 ** (first + i)).toPrecision(1)),
    ),
  };
}
