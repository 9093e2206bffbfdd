/**
 * Buffer planning: temporaries whose lifetimes do not overlap share one slot. Lifetimes are exact, because a
 * program is a straight list. Slots are whole buffers, not ranges of one: WebGPU forbids one buffer to be read
 * and written by the same dispatch, even at different offsets.
 */
import type { Node, Tensor } from "./graph.ts";
import { invariant } from "./errors.ts";

/** Four-byte words that hold a tensor. */
export type WordsOf = (t: Tensor) => number;

export interface Plan {
  /** Temporary tensor id → slot. */
  readonly slotOf: ReadonlyMap<number, number>;
  /** Words per slot. */
  readonly slotSizes: readonly number[];
}

export function planBuffers(nodes: readonly Node[], words: WordsOf = (t) => t.size): Plan {
  const last = new Map<number, number>();
  nodes.forEach((node, at) => {
    for (const t of node.tensors) if (t.role === "temporary") last.set(t.id, at);
  });
  const slotOf = new Map<number, number>();
  const slotSizes: number[] = [];
  let free: number[] = [];
  nodes.forEach((node, at) => {
    node.tensors.forEach((t, i) => {
      if (t.role !== "temporary" || slotOf.has(t.id)) return;
      invariant(
        node.op.access[i] === "write",
        `${node.op.name} reads temporary ${t.name} before any node wrote it`,
      );
      const slot = takeSlot(free, slotSizes, words(t));
      free = free.filter((s) => s !== slot);
      slotOf.set(t.id, slot);
    });
    const released = new Set<Tensor>(
      node.tensors.filter((t) => t.role === "temporary" && last.get(t.id) === at),
    );
    for (const t of released) free.push(slotOf.get(t.id)!);
  });
  return { slotOf, slotSizes };
}

/** Smallest free slot that fits; else the largest free one, grown; else a new one. */
function takeSlot(free: readonly number[], sizes: number[], size: number): number {
  let best = -1;
  for (const slot of free) {
    if (sizes[slot]! >= size && (best < 0 || sizes[slot]! < sizes[best]!)) best = slot;
  }
  if (best >= 0 && sizes[best]! <= 4 * size + 4096) return best;
  let largest = -1;
  for (const slot of free)
    if (sizes[slot]! < size && (largest < 0 || sizes[slot]! > sizes[largest]!)) largest = slot;
  if (largest >= 0 && sizes[largest]! * 4 >= size) {
    sizes[largest] = size;
    return largest;
  }
  sizes.push(size);
  return sizes.length - 1;
}
