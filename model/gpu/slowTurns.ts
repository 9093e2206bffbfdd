/**
 * Waits for the GPU without haste. Dawn's binding for Node asks after its promises once in every turn of the event loop,
 * and an idle turn takes 5 µs: a core is busy asking, and each time leaves about 1 kB that only a full collection frees.
 * Of a training step's last 2 ms that was 390 kB, and the collections made the GPU stand still for 130 ms every 3 s.
 */

/** How long a turn may be, in ms, while nothing but a promise of the GPU is waited for: half of it is what a result comes
 *  late. Below 1, as timers of whole milliseconds (Windows) then do not wait at all instead of too long. */
export const TURN_MS = { completion: 0.04, training: 0.15, compiling: 0.5 } as const;

const CELL = new Int32Array(new SharedArrayBuffer(4));
/** A host may forbid its main thread to wait, as browsers do: turns are short there. */
const canWait = ((): boolean => {
  try {
    Atomics.wait(CELL, 0, 0, 0);
    return true;
  } catch {
    return false;
  }
})();
/** Lengths of turns that those who wait allow. */
const waiting = new Set<{ readonly ms: number }>();
let isTurning = false;

function turn(): void {
  isTurning = waiting.size > 0;
  if (!isTurning) return;
  let ms = Infinity;
  for (const wait of waiting) ms = Math.min(ms, wait.ms);
  if (canWait) Atomics.wait(CELL, 0, 0, ms);
  setImmediate(turn);
}

/** The promise's result; until then turns of the event loop take `ms`, or less where another wait wants that. */
export async function slowly<T>(promise: Promise<T>, ms: number): Promise<T> {
  const wait = { ms };
  waiting.add(wait);
  // What is there already is asked for once before anybody waits.
  if (!isTurning) {
    isTurning = true;
    setImmediate(() => setImmediate(turn));
  }
  try {
    return await promise;
  } finally {
    waiting.delete(wait);
  }
}
