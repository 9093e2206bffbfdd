/**
 * How CPU threads replay a program: every thread walks the same node list, takes its share of each node's
 * units, and meets the others at a barrier after the node. Shared by the worker entry and the in-thread path.
 * Control words live in shared memory: [generation, command, arrived, phase, failed, hold, interrupted].
 */
import type { Buffer, OpSpec, Params } from "../graph.ts";

export const CONTROL_WORDS = 16;
export const GENERATION = 0;
export const COMMAND = 1;
export const ARRIVED = 2;
export const PHASE = 3;
export const FAILED = 4;

export interface BoundNode {
  readonly op: OpSpec;
  readonly buffers: readonly Buffer[];
  readonly params: Params;
  readonly units: number;
}

/** Where a tensor lives, in a form that can be sent to a worker. */
export interface BufferAddress {
  readonly byteOffset: number;
  readonly length: number;
  readonly dtype: "f32" | "u32";
}

export interface ProgramMessage {
  readonly kind: "program";
  readonly id: number;
  readonly nodes: readonly { op: string; buffers: readonly BufferAddress[]; params: Params }[];
}

/** Above 0, threads stop before their next op. */
export const HOLD = 5;

/** Not 0: threads compute nothing more; they only meet at the barriers that are left. */
export const INTERRUPTED = 6;

/** Waiting threads spin this long before they sleep: most nodes are shorter than a wake-up. */
const SPIN_ROUNDS = 4000;

export function runShare(node: BoundNode, thread: number, threads: number): void {
  const start = Math.floor((node.units * thread) / threads);
  const end = Math.floor((node.units * (thread + 1)) / threads);
  if (end > start) node.op.cpu(node.buffers, node.params, start, end);
}

/** Waits until all threads have arrived; the last one opens the gate. */
export function barrier(control: Int32Array, threads: number): void {
  if (threads === 1) return;
  const phase = Atomics.load(control, PHASE);
  if (Atomics.add(control, ARRIVED, 1) === threads - 1) {
    Atomics.store(control, ARRIVED, 0);
    Atomics.add(control, PHASE, 1);
    Atomics.notify(control, PHASE);
    return;
  }
  for (let i = 0; i < SPIN_ROUNDS; i++) if (Atomics.load(control, PHASE) !== phase) return;
  while (Atomics.load(control, PHASE) === phase) Atomics.wait(control, PHASE, phase);
}

/** Sleeps while the device is held; the thread that goes on first waits for the others at the barrier. */
export function waitWhileHeld(control: Int32Array): void {
  for (;;) {
    const holds = Atomics.load(control, HOLD);
    if (holds <= 0) return;
    Atomics.wait(control, HOLD, holds);
  }
}

export function bindBuffer(memory: ArrayBufferLike, a: BufferAddress): Buffer {
  return a.dtype === "f32"
    ? new Float32Array(memory as ArrayBuffer, a.byteOffset, a.length)
    : new Uint32Array(memory as ArrayBuffer, a.byteOffset, a.length);
}
