/** A trained model learns changed files, is refused when it becomes worse, and can go back. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CorpusFile } from "../../model/bytes.ts";
import { readManifest, readModelFile } from "../../model/checkpoint.ts";
import { compareReplays, consolidate, isBetter } from "../../model/consolidate.ts";
import type { ConsolidateOptions } from "../../model/consolidate.ts";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { decodeMemory } from "../../model/memory/memoryFile.ts";
import { Model } from "../../model/model.ts";
import { restoreVersion, versions } from "../../model/promote.ts";
import { train } from "../../model/train.ts";
import { runCommandLine } from "../../server/cli/commandLine.ts";
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
const far = file("src/f3.ts", "%%%%^^^^~~~~||||\n".repeat(60));

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
  o: Partial<ConsolidateOptions> & { older?: readonly CorpusFile[] } = {},
) {
  return consolidate(await optionsFor(dir, changed, o));
}

async function optionsFor(
  dir: string,
  changed: CorpusFile,
  o: Partial<ConsolidateOptions> & { older?: readonly CorpusFile[] } = {},
): Promise<ConsolidateOptions> {
  const { older = learned, ...options } = o;
  const files = [...older.filter((f) => f.path !== changed.path), changed, ...heldout];
  return {
    dir,
    files,
    device: "cpu",
    seed: 1,
    on: { device: await createCpuDevice({ threads: 0 }), reason: "a test" },
    ...options,
  };
}

/** Bits per byte of the lines that the file before does not have: those with its new word. */
async function bits(dir: string, f: CorpusFile): Promise<number> {
  const device = await createCpuDevice({ threads: 0 });
  const model = await Model.load(dir, { device: "cpu", on: { device, reason: "a test" } });
  const score = await model.score({ ...f, memory: "off", network: "on" });
  await model.dispose();
  let sum = 0;
  let n = 0;
  let lineStart = 0;
  f.bytes.forEach((byte, t) => {
    if (byte !== 10) return;
    const line = score.bits.subarray(lineStart, t + 1);
    if (f.bytes[lineStart] === "e".charCodeAt(0)) {
      sum += line.reduce((a, b) => a + b, 0);
      n += line.length;
    }
    lineStart = t + 1;
  });
  return sum / n;
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
    expect(result.changedAfter!).toBeLessThan(result.changedBefore!);
    expect(result.changedAfter!).toBeLessThan(result.changedControl!);
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
    const result = await run(dir, far, {
      rate: 1,
      older: unlike,
      changed: new Set([far.path]),
    });
    expect(result.after!).toBeGreaterThan(result.before!);
    expect(result.outcome).toBe("refused");
    expect(await manifestText(dir)).toBe(before);
    expect(versions(dir)).toEqual([]);
  });

  test("does nothing for changes to held-out files alone, or when it is stopped", async () => {
    const dir = await copy("nothing");
    const before = await manifestText(dir);
    const changedHeldout = alike(9, "write");
    const rest = { heldout: heldout.filter((f) => f.path !== changedHeldout.path) };
    const files = [...learned, ...rest.heldout, changedHeldout];
    expect((await run(dir, changedHeldout, { files })).outcome).toBe("nothing");
    expect((await run(dir, near, { signal: AbortSignal.abort() })).outcome).not.toBe("accepted");
    expect(await manifestText(dir)).toBe(before);
  });

  test("finds what changed in the memory, and leaves little to the memory", async () => {
    const dir = await copy("found");
    expect((await run(dir, learned[3]!)).outcome).toBe("nothing");
    expect((await run(dir, near, { worthBytes: 10_000 })).outcome).toBe("nothing");
    const gone = learned.find((f) => f.path !== near.path)!;
    const left = learned.filter((f) => f !== gone);
    const result = await run(dir, near, { older: left });
    expect(result.replayed.map((r) => r.path)).toEqual([near.path]);
    // What was learned is remembered, so it is no change any more; what went is forgotten.
    expect(result.outcome).toBe("accepted");
    const memory = readModelFile(dir, readManifest(dir), "memory.bin")!;
    expect(decodeMemory(memory).files.has(near.path)).toBe(true);
    expect(decodeMemory(memory).files.has(gone.path)).toBe(false);
    expect((await run(dir, near, { older: left })).outcome).toBe("nothing");
  });

  test("that is stopped in the middle leaves the model as it was", async () => {
    const dir = await copy("stopped");
    const before = await manifestText(dir);
    for (const phase of ["choosing", "comparing", "learning", "checking"]) {
      const abort = new AbortController();
      const result = await run(dir, near, {
        signal: abort.signal,
        onProgress: (p) => {
          if (p.phase === phase) abort.abort();
        },
      });
      expect(result.outcome, phase).toBe("aborted");
    }
    expect(await manifestText(dir)).toBe(before);
    expect(versions(dir)).toEqual([]);
  });

  test("waits while it is paused", async () => {
    const dir = await copy("paused");
    const control = { paused: false };
    let steps = 0;
    const running = run(dir, near, {
      control,
      onProgress: ({ phase }) => {
        if (phase === "learning" && ++steps === 2) control.paused = true;
      },
    });
    while (steps < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(steps).toBe(2);
    control.paused = false;
    expect((await running).outcome).toBe("accepted");
    expect(steps).toBeGreaterThan(2);
  });

  test("has controls: only the replay of changed files learns them, and none is saved", async () => {
    const dir = await copy("control");
    const before = await manifestText(dir);
    const control = await compareReplays(await optionsFor(dir, near));
    if (typeof control === "string") throw new Error(control);
    const [older, changed] = control.comparisons;
    expect([older, changed].map((c) => c!.replay)).toEqual(["older", "changed"]);
    expect(older!.learned.difference).toBe(0);
    expect(changed!.learned.difference).toBeLessThan(0);
    expect(changed!.changed.difference).toBeLessThan(0);
    expect(await manifestText(dir)).toBe(before);
    // The same model and seed: what is accepted is what was compared.
    const result = await run(dir, near);
    expect(result.after).toBe(changed!.heldout.after);
    expect(result.changedControl).toBe(older!.changed.after);
  });
});

describe("the command line", () => {
  async function command(...argv: string[]): Promise<{ status: number; lines: string[] }> {
    const lines: string[] = [];
    const status = await runCommandLine(argv, {
      out: (line) => void lines.push(...line.split("\n")),
      err: () => undefined,
      isTty: false,
      columns: 80,
      signal: new AbortController().signal,
      debug: false,
    });
    return { status, lines };
  }

  test("finds changed files, shows the control, learns and goes back", async () => {
    const dir = await copy("commandLine");
    const before = await manifestText(dir);
    const workspace = join(folder, "workspace");
    await mkdir(join(workspace, "src"), { recursive: true });
    for (const f of [...learned, ...heldout, near])
      await writeFile(join(workspace, f.path), f.bytes);
    const asked = ["consolidate", "--model", dir, "--workspace", workspace, "--device", "cpu"];

    const control = await command(...asked, "--control");
    expect(control.status).toBe(0);
    expect(control.lines).toHaveLength(3);
    expect(control.lines[0]).toMatch(/^1 file, \d+ steps/);
    expect(control.lines[1]).toMatch(/^older files alone: held out [+-]?\d\.\d{4} ± \d\.\d{4}/);
    expect(control.lines[2]).toMatch(/^changed files and older ones: .* files -\d\.\d{4} ±/);
    expect(await manifestText(dir)).toBe(before);

    const learning = await command(...asked, "--json");
    expect(JSON.parse(learning.lines[0]!)).toMatchObject({
      outcome: "accepted",
      replayed: [{ path: near.path }],
    });
    const again = await command(...asked);
    expect(again.lines[0]).toBe("nothing that changed surprises the model");

    expect((await command("consolidate", "--model", dir, "--restore")).status).toBe(0);
    expect(await manifestText(dir)).toBe(before);
  });
});

describe("the gate", () => {
  const difference = (value: number, error = 0.01) => ({
    before: 2,
    after: 2 + value,
    difference: value,
    error,
  });
  const good = {
    heldout: difference(0),
    changed: difference(-0.1),
    learned: difference(-0.05),
  };

  test("lets through what learned the changed files and forgot nothing", () => {
    expect(isBetter(good)).toBe(true);
  });

  test.each([
    ["held-out files are predicted worse", { heldout: difference(0.0001) }],
    ["the changed files are not predicted better", { changed: difference(0) }],
    ["older files do as much", { learned: difference(0) }],
    ["older files do as much within the noise", { learned: difference(-0.005) }],
  ])("refuses where %s", (_, one) => {
    expect(isBetter({ ...good, ...one })).toBe(false);
  });
});
