import { describe, expect, test } from "vitest";
import { maxPatches, presetConfig } from "../../model/config.ts";
import { patchWindow } from "../../model/patches.ts";
import { trainingPatches } from "../../model/trainingPatches.ts";
import { NO_ROW } from "../../model/kernels/embedBytes.ts";
import { SKIP, WindowBatch } from "../../model/windows.ts";

const config = presetConfig("nano");
const N = config.context;
const words = new TextEncoder().encode("const value = readValue(input);\n".repeat(200));
/** A patch ends behind every second byte, as far as the bucket lets it. */
const dense = new TextEncoder().encode("1,".repeat(4 * N));

function lostShare(capacity: number): number {
  let lost = 0;
  let positions = 0;
  for (let at = 0; at + N <= words.length; at += 11) {
    lost += N - patchWindow(config, words.subarray(at, at + N), capacity).full;
    positions += N;
  }
  return lost / positions;
}

describe("patches of training", () => {
  test("are fewer than any text could need, and lose less than half a percent of ordinary text", () => {
    const capacity = trainingPatches(config, words);
    expect(capacity % 16).toBe(0);
    expect(capacity).toBeLessThan(maxPatches(config, N));
    expect(lostShare(capacity)).toBeLessThan(0.005);
    expect(lostShare(capacity - 16)).toBeGreaterThan(0.005);
  });

  test("are the rule's own bound for text that reaches it, and for less than a window", () => {
    const bound = maxPatches(config, N);
    const needed = patchWindow(config, dense.subarray(0, N), bound).count;
    const capacity = trainingPatches(config, dense);
    expect(capacity).toBeLessThanOrEqual(bound);
    expect(patchWindow(config, dense.subarray(0, N), capacity).full).toBeGreaterThan(0.98 * N);
    expect(capacity).toBeGreaterThan(needed - 16);
    expect(trainingPatches(config, words.subarray(0, N - 1))).toBe(bound);
    expect(trainingPatches(config, words)).toBe(trainingPatches(config, Uint8Array.from(words)));
  });

  test("leave nothing to predict behind the last that has a row", () => {
    const capacity = 32;
    const batch = new WindowBatch(config, 2, N, capacity);
    const targets = Array.from(words.subarray(1, N + 1));
    batch.set([
      { symbols: words.subarray(0, N), targets },
      { symbols: words.subarray(0, N), targets },
    ]);
    const map = patchWindow(config, words.subarray(0, N), maxPatches(config, N));
    // The position that ends the first patch without a row would already be told of it.
    const full = map.ends[capacity]!;
    for (const w of [0, 1])
      for (let t = 0; t < N; t++) {
        expect(batch.targets[w * N + t]).toBe(t < full ? targets[t] : SKIP);
        const newest = batch.newest[w * N + t]! - w * capacity;
        expect(newest).toBe(Math.min(map.newest[t]!, capacity - 1));
        if (t >= full) expect(batch.endOf[w * N + t]).toBe(NO_ROW);
      }
    expect(batch.scored).toBe(2 * full);
    expect([...batch.ends].filter((t) => t === NO_ROW)).toEqual([]);
    expect(batch.start[2 * capacity]).toBe(2 * N);
  });
});
