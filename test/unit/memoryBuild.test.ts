import { describe, expect, test } from "vitest";
import { runMemoryTask, type MemoryTask } from "../../model/memory/build.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const files = [
  { path: "a.ts", bytes: bytes("const width = 1;\n".repeat(20)) },
  { path: "b.ts", bytes: bytes("const height = 2;\n".repeat(20)) },
];
const task: MemoryTask = {
  files,
  calibration: { maxBytes: 400, leastBytes: 0, seed: 1, budgetMs: 60_000 },
  scored: [],
  absorbed: [],
};
const quiet = new AbortController().signal;
const never = { stop: quiet, enough: quiet };

describe("the memory that is built beside a training", () => {
  test("holds the files and is calibrated", async () => {
    const { bytes: built, report } = await runMemoryTask(task, never);
    const memory = SuffixMemory.deserialize(built);
    expect(memory.files()).toEqual(["a.ts", "b.ts"]);
    expect(memory.calibratedBytes).toBeGreaterThan(0);
    expect(report?.bytes).toBe(memory.calibratedBytes);
  });

  test("takes over stored weights and brings the files up to date", async () => {
    const { bytes: stored } = await runMemoryTask(task, never);
    const changed = [files[0]!, { path: "c.ts", bytes: bytes("let depth = 3;\n") }];
    const again = await runMemoryTask({ ...task, files: changed, stored }, never);
    expect(again.report).toBeUndefined();
    expect(SuffixMemory.deserialize(again.bytes).files()).toEqual(["a.ts", "c.ts"]);
  });

  test("starts anew where the stored one is of an earlier version, and not where it is damaged", async () => {
    const { bytes: stored } = await runMemoryTask(task, never);
    const old = Uint8Array.from(stored);
    old.set(bytes("NGMEM002"));
    const { report } = await runMemoryTask({ ...task, stored: old }, never);
    expect(report?.bytes).toBeGreaterThan(0);
    const damaged = Uint8Array.from(stored);
    damaged[damaged.length - 1]! ^= 1;
    await expect(runMemoryTask({ ...task, stored: damaged }, never)).rejects.toThrow(/checksum/);
  });

  test("records what it says of held-out files before it absorbs them", async () => {
    const held = { path: "c.ts", bytes: bytes("const width = 3;\nconst depth = 4;\n") };
    const built = await runMemoryTask({ ...task, scored: [held], absorbed: [held] }, never);
    const cursor = SuffixMemory.deserialize(built.bytes).cursor({ exclude: "c.ts" });
    const p = new Float64Array(256);
    held.bytes.forEach((byte, at) => {
      const { matchLength, total } = cursor.predict(p);
      expect([...built.records[0]!.memory.subarray(256 * at, 256 * (at + 1))]).toEqual([
        ...Float32Array.from(p),
      ]);
      expect(built.records[0]!.matchLength[at]).toBe(matchLength);
      expect(built.records[0]!.total[at]).toBe(total);
      cursor.push(byte);
    });
    expect(SuffixMemory.deserialize(built.whole).files()).toEqual(["a.ts", "b.ts", "c.ts"]);
  });

  test("that is stopped learns, records and absorbs nothing more", async () => {
    const held = { path: "c.ts", bytes: bytes("let depth = 3;\n") };
    const stop = AbortSignal.abort();
    const built = await runMemoryTask(
      { ...task, scored: [held], absorbed: [held] },
      { stop, enough: quiet },
    );
    expect(built.report?.bytes).toBe(0);
    expect(built.records).toEqual([]);
    expect(SuffixMemory.deserialize(built.whole).files()).toEqual(["a.ts", "b.ts"]);
  });

  test("that is waited for calibrates on a least number of bytes", async () => {
    const line = (i: number): string => `const value${i} = ${i * i};\n`;
    const file = (name: string) => ({
      path: name,
      bytes: bytes(
        Array.from({ length: 200 }, (_, i) => line(i))
          .join("")
          .slice(0, 2_000),
      ),
    });
    const many = Array.from({ length: 8 }, (_, i) => file(`${i}.ts`));
    const calibration = { maxBytes: 16_000, leastBytes: 10_000, seed: 1, budgetMs: 600_000 };
    const enough = AbortSignal.abort();
    const { report } = await runMemoryTask(
      { ...task, files: many, calibration },
      { stop: quiet, enough },
    );
    expect(report?.bytes).toBe(10_000);
  });
});
