/** Curves of a training begun in an earlier session are read back from the host's figures. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { describeConsolidation } from "../../media/consolidations.ts";
import type { ConsolidationReport } from "../../server/protocol.ts";
import { joinHistory, readConsolidations, readHistory } from "../../server/trainingHistory.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "narrowgauge-history-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const line = (step: number, more: Record<string, unknown> = {}) =>
  JSON.stringify({ step, seconds: step * 2, bytes: step * 10, loss: 5, ...more });

describe("readHistory", () => {
  test("reads the figures of the model in use and of the run at work from their places", async () => {
    await mkdir(join(folder, "candidate"));
    await writeFile(join(folder, "metrics.jsonl"), `${line(1)}\n${line(2, { heldoutBpb: 3 })}\n`);
    await writeFile(join(folder, "candidate", "metrics.jsonl"), `${line(7)}\n`);
    const used = await readHistory(folder, "finished");
    expect(used.map((point) => [point.step, point.loss, point.heldoutBpb])).toEqual([
      [1, 5, null],
      [2, 5, 3],
    ]);
    expect((await readHistory(folder, "running")).map((point) => point.step)).toEqual([7]);
  });

  test("passes over what is damaged, and has nothing where there is no file", async () => {
    await writeFile(
      join(folder, "metrics.jsonl"),
      `{"step":\n${line(2)}\n{"loss":1}\n[]\nnull\n{"ste`,
    );
    expect((await readHistory(folder, "finished")).map((point) => point.step)).toEqual([2]);
    expect(await readHistory(join(folder, "absent"), "running")).toEqual([]);
  });

  test("thins a long run", async () => {
    const lines = Array.from({ length: 20_000 }, (_, step) => line(step));
    await writeFile(join(folder, "metrics.jsonl"), lines.join("\n"));
    const points = await readHistory(folder, "finished");
    expect(points.length).toBeGreaterThan(1000);
    expect(points.length).toBeLessThanOrEqual(4000);
  });
});

describe("joinHistory", () => {
  test("shows each step once, the part seen here as it was seen", async () => {
    await writeFile(
      join(folder, "metrics.jsonl"),
      [1, 2, 3, 4].map((step) => line(step)).join("\n"),
    );
    const before = await readHistory(folder, "finished");
    const seen = before.slice(2).map((point) => ({ ...point, device: "seen" }));
    expect(joinHistory(before, seen).map((point) => [point.step, point.device])).toEqual([
      [1, ""],
      [2, ""],
      [3, "seen"],
      [4, "seen"],
    ]);
    expect(joinHistory(before, [])).toEqual(before);
  });
});

describe("readConsolidations", () => {
  const report = (files: number): ConsolidationReport => ({
    outcome: "accepted",
    at: "2026-01-01T00:00:00.000Z",
    files,
    steps: 8,
    seconds: 20.4,
    heldoutBefore: 2,
    heldoutAfter: 1.9,
    changedBefore: 3,
    changedAfter: 2.5,
    changedControl: 2.9,
  });

  test("has the last ones, passes over what is damaged, and is empty without a file", async () => {
    expect(await readConsolidations(folder)).toEqual([]);
    const lines = Array.from({ length: 30 }, (_, i) => JSON.stringify(report(i)));
    await writeFile(
      join(folder, "consolidations.jsonl"),
      ["{", '{"outcome":"else"}', ...lines, '{"at":"x'].join("\n"),
    );
    const read = await readConsolidations(folder);
    expect(read.map((one) => one.files)).toEqual(Array.from({ length: 20 }, (_, i) => i + 10));
    expect(read.at(-1)).toEqual(report(29));
  });

  test("each has its words", () => {
    expect(describeConsolidation(report(1))).toBe(
      "Learned 1 changed file in 20 s: held-out files 2.000 → 1.900; lines held back of the changed files 3.000 → 2.500 (bits per byte, network alone)",
    );
    expect(describeConsolidation({ ...report(3), outcome: "refused" })).toMatch(
      /^Not kept after 3 changed files: /,
    );
    const restored = { ...report(0), outcome: "restored" as const };
    expect(describeConsolidation(restored)).toBe("The model before was taken back");
  });
});
