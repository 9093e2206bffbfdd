/**
 * The SIMD kernels of this thread, bound to the CPU device's memory. CPU ops ask `simdFor(view)`: where the
 * view lives in another memory (float64 checks, plain arrays) they run their plain loops instead.
 */
import type { Buffer } from "../../graph.ts";

export interface SimdKernels {
  readonly memory: WebAssembly.Memory;
  readonly exports: Readonly<Record<string, (...args: number[]) => number>>;
}

let bound: SimdKernels | undefined;

export function bindSimd(_memory: WebAssembly.Memory): void {
  bound = undefined;
}

export function simdFor(view: Buffer): SimdKernels | undefined {
  return bound !== undefined && view.buffer === (bound.memory.buffer as unknown) ? bound : undefined;
}
