/**
 * The SIMD kernels of this thread, bound to the CPU device's memory. CPU ops ask `simdOf(views)`: where a
 * view lives in another memory (float64 checks, plain arrays), or where the runtime cannot validate the module,
 * they run their plain loops instead. Growing a shared memory makes a new buffer object over the same bytes, so
 * views are made through `memoryBuffer`, which remembers every one of them.
 */
import type { Buffer } from "../../graph.ts";
import { invariant } from "../../errors.ts";
import relaxed from "./build/kernels.wasm";
import plain from "./build/kernelsPlain.wasm";

export interface SimdKernels {
  readonly memory: WebAssembly.Memory;
  readonly exports: Readonly<Record<string, (...args: number[]) => number>>;
  /** Byte address of this thread's own scratch, SCRATCH_BYTES long. */
  readonly scratch: number;
}

export const MAX_THREADS = 16;
/** What packed panels and attention tiles need, per thread. */
export const SCRATCH_BYTES = 1 << 19;
/** The module's own static data lives below the scratch of thread 0. */
const SCRATCH_BASE = 1 << 20;
/** The CPU device's tensors start here. */
export const HEAP_BASE = SCRATCH_BASE + MAX_THREADS * SCRATCH_BYTES;

const byMemory = new WeakMap<WebAssembly.Memory, SimdKernels>();
const byBuffer = new WeakMap<object, SimdKernels>();
let compiled: WebAssembly.Module | undefined;

/** Call once per thread and memory, before the first op. */
export function bindSimd(memory: WebAssembly.Memory, thread: number): void {
  invariant(
    thread < MAX_THREADS,
    `CPU thread ${thread} has no scratch; there is room for ${MAX_THREADS}`,
  );
  // Fused multiply-add where the runtime has it; Node 20 does not.
  const bytes = [relaxed, plain].find((b) => WebAssembly.validate(b));
  if (bytes === undefined) return;
  compiled ??= new WebAssembly.Module(bytes);
  const instance = new WebAssembly.Instance(compiled, { env: { memory, abort } });
  byMemory.set(memory, {
    memory,
    exports: instance.exports as SimdKernels["exports"],
    scratch: SCRATCH_BASE + thread * SCRATCH_BYTES,
  });
  memoryBuffer(memory);
}

/** The memory's current buffer; views over it are recognised by `simdOf`. */
export function memoryBuffer(memory: WebAssembly.Memory): ArrayBuffer {
  const buffer = memory.buffer;
  const kernels = byMemory.get(memory);
  if (kernels !== undefined) byBuffer.set(buffer, kernels);
  return buffer;
}

/** The kernels that can work on all of these together, if any. */
export function simdOf(views: readonly Buffer[]): SimdKernels | undefined {
  const first = views[0]!;
  const simd = first instanceof Float64Array ? undefined : byBuffer.get(first.buffer);
  if (simd === undefined) return undefined;
  for (const v of views)
    if (v.buffer !== first.buffer && byBuffer.get(v.buffer) !== simd) return undefined;
  return simd;
}

function abort(): never {
  invariant(false, "a SIMD kernel aborted");
}
