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
  calibration: { maxBytes: 400, seed: 1, budgetMs: 60_000 },
};
const never = new AbortController().signal;

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
});
