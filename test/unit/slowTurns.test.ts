import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { slowly } from "../../model/gpu/slowTurns.ts";

/** Turns of the event loop while a promise is pending, and how long that took. */
async function turnsDuring(promise: Promise<unknown>): Promise<{ turns: number; ms: number }> {
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  const from = performance.now();
  count();
  await promise;
  isOver = true;
  return { turns, ms: performance.now() - from };
}

/** Its timers of whole milliseconds do not wait for parts of one. */
const isCoarse = process.platform === "win32";

describe("waiting in slow turns", () => {
  test("gives what the promise gives", async () => {
    expect(await slowly(Promise.resolve(3), 0.1)).toBe(3);
    expect(await slowly(sleep(5, "later"), 0.1)).toBe("later");
    await expect(slowly(Promise.reject(new Error("lost")), 0.1)).rejects.toThrow("lost");
  });

  test.skipIf(isCoarse)(
    "turns the event loop no more often than it was told, and as before once it is over",
    async () => {
      const slow = await turnsDuring(slowly(sleep(60), 0.5));
      // The first turns and the last are not slow.
      expect(slow.turns).toBeLessThanOrEqual(slow.ms / 0.5 + 4);
      const free = await turnsDuring(sleep(60));
      expect(free.turns).toBeGreaterThan(2 * slow.turns);
    },
  );

  test.skipIf(isCoarse)("of several waits the most hurried one counts", async () => {
    const long = slowly(sleep(60), 0.9);
    const short = await turnsDuring(Promise.all([slowly(sleep(60), 0.1), long]));
    const alone = await turnsDuring(slowly(sleep(60), 0.9));
    expect(short.turns).toBeGreaterThan(1.5 * alone.turns);
  });
});
