/** Curves of a training begun in an earlier session are read back from the host's figures. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { joinHistory, readHistory } from "../../server/trainingHistory.ts";

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
