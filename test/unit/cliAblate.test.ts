/** Ablation tables: what they may say, what medians are, and that a run that is done is found again. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { presetConfig } from "../../model/config.ts";
import { AblationJournal } from "../../server/cli/ablateJournal.ts";
import { ablationMarkdown, mediansOf, median } from "../../server/cli/ablateReport.ts";
import type { AblationRun } from "../../server/cli/ablateReport.ts";
import { openRepository } from "../../server/cli/ablateRepository.ts";
import { readTable, TABLE_NAMES } from "../../server/cli/ablateTables.ts";
import { put, sources } from "../support/cli.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "ablate-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));
const { signal } = new AbortController();

describe("tables", () => {
  test("that are built in name variants that every preset takes", async () => {
    expect(TABLE_NAMES).toEqual(["attention", "residual", "patching", "facts", "memory"]);
    for (const name of TABLE_NAMES) {
      const { rows } = await readTable(name);
      expect(rows.length).toBeGreaterThan(1);
      expect(rows[0]!.set).toEqual({});
      for (const row of rows)
        for (const preset of ["nano", "small", "base"])
          expect(() => presetConfig(preset, row.set)).not.toThrow();
    }
  });

  test.each([
    ["nothing", /there is no table .*nothing/],
    ["{", /is not JSON/],
    ['{"name": "a", "rows": []}', /is wrong at rows/],
    ['{"name": "a", "rows": [{"name": "x"}, {"name": "x"}]}', /two rows have the same name/],
    ['{"name": "a", "rows": [{"name": "x", "sett": {}}]}', /is wrong at rows\.0.*sett/],
    ['{"name": "a", "rows": [{"name": "x", "memory": "off", "network": "off"}]}', /memory and network off/], // prettier-ignore
  ])("of one's own are checked: %s", async (content, message) => {
    const path = join(dir, "table.json");
    if (content !== "nothing") await writeFile(path, content);
    await expect(readTable(content === "nothing" ? join(dir, content) : path)).rejects.toThrow(message); // prettier-ignore
  });
});

const run = (row: string, seed: number, bpb: number, repository = "one"): AblationRun => ({
  key: `${repository} ${row} ${seed}`,
  repository,
  row,
  seed,
  params: 1e6,
  trained_bytes: 1000,
  bytes_per_s: seed * 100,
  measured_bytes: 10,
  bpb,
  bpb_network: bpb + 1,
  bpb_memory: null,
  bpb_identifier: null,
  identifier_top1: seed / 10,
  device: "CPU",
});

describe("medians", () => {
  test("are the middle of what is sorted", () => {
    expect(median([])).toBeNull();
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    const value = fc.double({ noNaN: true, min: -100, max: 100 });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const middle = median(values)!;
        expect(values.filter((x) => x < middle).length * 2).toBeLessThanOrEqual(values.length);
        expect(values.filter((x) => x > middle).length * 2).toBeLessThanOrEqual(values.length);
      }),
    );
  });

  test("are taken over seeds, apart for each repository, and compared with the first row", async () => {
    const path = join(dir, "t.json");
    await writeFile(path, '{"name": "t", "rows": [{"name": "a"}, {"name": "b"}]}');
    const { rows } = await readTable(path);
    const runs = [
      ...[1, 2, 3].map((seed) => run("a", seed, seed)),
      ...[1, 2].map((seed) => run("b", seed, 1)),
      run("b", 1, 5, "two"),
    ];
    const medians = mediansOf(rows, runs);
    expect(medians.map(({ repository, row, seeds, bpb, bpb_change }) => [repository, row, seeds, bpb, bpb_change])).toEqual([
      ["one", "a", 3, 2, 0],
      ["one", "b", 2, 1, -0.5],
      ["two", "a", 0, null, null],
      ["two", "b", 1, 5, null],
    ]); // prettier-ignore
    expect(medians[0]).toMatchObject({ bytes_per_s: 200, bpb_network: 3, bpb_memory: null });
    const table = ablationMarkdown("t", medians);
    expect(table).toContain("## one");
    expect(table).toContain("| b | 2 | 1.00 M | 1.0000 | -50.0 % | 2.0000 | – | – | 15.0 % | 150 B/s |"); // prettier-ignore
    const widths = table.split("\n").filter((line) => line.startsWith("|")).map((line) => line.split("|").length); // prettier-ignore
    expect(new Set(widths).size).toBe(1);
  });
});

describe("the journal", () => {
  test("finds what was done, and forgets a line that was cut off", async () => {
    const journal = await AblationJournal.open(join(dir, "results"));
    await journal.add(run("a", 1, 2));
    await journal.add(run("a", 2, 3));
    await appendFile(join(dir, "results", "runs.jsonl"), '{"key": "one a 3", "bp');
    const again = await AblationJournal.open(join(dir, "results"));
    expect(again.find("one a 1")).toEqual(run("a", 1, 2));
    expect(again.find("one a 2")?.bpb).toBe(3);
    expect(again.find("one a 3")).toBeUndefined();
    await again.add(run("a", 3, 4));
    const lines = (await readFile(join(dir, "results", "runs.jsonl"), "utf8")).trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as AblationRun).seed)).toEqual([1, 2, 3]);
  });
});

describe("a repository", () => {
  test("keeps what is measured apart from everything that is trained or fitted on", async () => {
    await put(join(dir, "repo"), sources(0, 60));
    const repository = await openRepository(join(dir, "repo"), { measuredBytes: 1e6, signal });
    const sets = [repository.train, repository.fitted, repository.measured].map((files) => files.map((file) => file.path)); // prettier-ignore
    expect(sets.every((set) => set.length > 0)).toBe(true);
    expect(new Set(sets.flat()).size).toBe(60);
    const less = await openRepository(join(dir, "repo"), { measuredBytes: 1, signal });
    expect(less.measured).toEqual(repository.measured.slice(0, 1));
  });

  test("that is split is taken as it is", async () => {
    await put(join(dir, "repo", "workspace"), sources(0, 6));
    await put(join(dir, "repo", "heldout"), sources(6, 8));
    const repository = await openRepository(join(dir, "repo"), { measuredBytes: 1e6, signal });
    expect(repository.measured.map((file) => file.path).sort()).toEqual(["src/handler6.ts", "src/handler7.ts"]); // prettier-ignore
    expect(repository.train.length + repository.fitted.length).toBe(6);
  });
});
