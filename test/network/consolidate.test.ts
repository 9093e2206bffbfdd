/** A trained model learns changed files, is refused when it becomes worse, and can go back. */
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CorpusFile } from "../../model/bytes.ts";
import { readManifest } from "../../model/checkpoint.ts";
import { consolidate } from "../../model/consolidate.ts";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Model } from "../../model/model.ts";
import { restoreVersion, versions } from "../../model/promote.ts";
import { train } from "../../model/train.ts";
import { tinyConfig } from "../support/tinyModel.ts";

const text = new TextEncoder();
const file = (path: string, source: string): CorpusFile => ({ path, bytes: text.encode(source) });
const alike = (i: number, verb: string): CorpusFile =>
  file(
    `src/f${i}.ts`,
    `export function ${verb}Item${i}(item: Item): Item {\n  return item;\n}\n`.repeat(3),
  );
const learned = Array.from({ length: 5 }, (_, i) => alike(i, "read"));
const heldout = [alike(8, "read"), alike(9, "read")];
/** New text of the held-out files' kind, and text that pulls away from it. */
const near = alike(3, "write");
const far = file("src/f3.ts", "%%%%^^^^~~~~||||".repeat(60));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "narrowgauge-consolidate-"));
  await train({
    files: learned,
    heldout,
    out: join(folder, "model"),
    preset: "nano",
    seed: 1,
    device: "cpu",
    on: { device: await createCpuDevice({ threads: 0 }), reason: "a test" },
    overrides: tinyConfig({ batch: 4, fimRate: 0 }),
    bytes: 64 * 4 * 200,
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A copy of the model that a test may change. */
async function copy(name: string): Promise<string> {
  const dir = join(folder, name);
  await cp(join(folder, "model"), dir, { recursive: true });
  return dir;
}

async function run(
  dir: string,
  changed: CorpusFile,
  o: { signal?: AbortSignal; rate?: number; older?: readonly CorpusFile[] } = {},
) {
  const { older = learned, ...options } = o;
  const files = [...older.filter((f) => f.path !== changed.path), changed, ...heldout];
  return consolidate({
    dir,
    files,
    changed: new Set([changed.path]),
    device: "cpu",
    seed: 1,
    on: { device: await createCpuDevice({ threads: 0 }), reason: "a test" },
    ...options,
  });
}

async function bits(dir: string, f: CorpusFile): Promise<number> {
  const device = await createCpuDevice({ threads: 0 });
  const model = await Model.load(dir, { device: "cpu", on: { device, reason: "a test" } });
  const score = await model.score({ ...f, memory: "off", network: "on" });
  await model.dispose();
  return score.bits.reduce((a, b) => a + b, 0) / score.bits.length;
}

const manifestText = (dir: string): Promise<string> => readFile(join(dir, "manifest.json"), "utf8");

describe("consolidation", () => {
  test("learns a surprising file, no worse on held-out ones, and keeps the version before", async () => {
    const dir = await copy("near");
    const before = await manifestText(dir);
    const surprise = await bits(dir, near);
    const result = await run(dir, near);
    expect(result.replayed.map((r) => r.path)).toEqual([near.path]);
    expect(result.replayed[0]!.bpb).toBeCloseTo(surprise, 3);
    expect(result.outcome).toBe("accepted");
    expect(result.after!).toBeLessThanOrEqual(result.before!);
    expect(await bits(dir, near)).toBeLessThan(surprise);
    expect(readManifest(dir).step).toBe(
      (JSON.parse(before) as { step: number }).step + result.steps,
    );
    expect(versions(dir)).toHaveLength(1);
    expect(restoreVersion(dir)).toBe(true);
    expect(await manifestText(dir)).toBe(before);
    expect(await bits(dir, near)).toBe(surprise);
    expect(versions(dir)).toEqual([]);
    expect(restoreVersion(dir)).toBe(false);
  });

  test("keeps three versions at most", async () => {
    const dir = await copy("many");
    for (let i = 0; i < 5; i++) await run(dir, alike(3, `step${i}`));
    expect(versions(dir).length).toBeLessThanOrEqual(3);
    expect((await readdir(join(dir, "previous"))).length).toBeLessThanOrEqual(3);
  });

  test("is refused where held-out files are predicted worse, and nothing changes", async () => {
    const dir = await copy("far");
    const before = await manifestText(dir);
    // Replay of other files holds a model in place; here they are of no help.
    const unlike = learned.map((f) => ({ ...f, bytes: f.bytes.toReversed() }));
    const result = await run(dir, far, { rate: 1, older: unlike });
    expect(result.after!).toBeGreaterThan(result.before!);
    expect(result.outcome).toBe("refused");
    expect(await manifestText(dir)).toBe(before);
    expect(versions(dir)).toEqual([]);
  });

  test("does nothing for changes to held-out files alone, or when it is stopped", async () => {
    const dir = await copy("nothing");
    const before = await manifestText(dir);
    expect((await run(dir, alike(9, "write"))).outcome).toBe("nothing");
    expect((await run(dir, near, { signal: AbortSignal.abort() })).outcome).not.toBe("accepted");
    expect(await manifestText(dir)).toBe(before);
  });
});
