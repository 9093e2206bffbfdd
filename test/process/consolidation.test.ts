/**
 * The model host as it is shipped, while it learns changed files: completions come first, a cancelled run ends within an
 * operation, a whole one leaves a better model beside the version before, which can be taken back.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { readCorpus } from "../../model/hostInput.ts";
import { silentLogger } from "../../model/logger.ts";
import { train } from "../../model/train.ts";
import { ModelProcess } from "../../server/modelProcess.ts";
import { readConsolidations } from "../../server/trainingHistory.ts";
import { bundlesExist } from "../support/shippedServer.ts";
import { tinyConfig } from "../support/tinyModel.ts";

const host = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "dist", "model.mjs");
/** A loaded machine with two cores. */
const BOUND_MS = 1500;

let folder = "";
let process: ModelProcess | undefined;
afterEach(async () => {
  await process?.dispose();
  if (folder !== "") await rm(folder, { recursive: true, force: true });
});

const base64 = (text: string): string => Buffer.from(text).toString("base64");

describe.skipIf(!bundlesExist)("the shipped host", () => {
  test("learns changed files, gives way, and goes back", async () => {
    folder = await mkdtemp(join(tmpdir(), "narrowgauge-consolidation-"));
    const source = (n: number, verb: string): string =>
      `export function ${verb}Item${n}(item: Item): Item {\n  return item;\n}\n`.repeat(40);
    const files = await Promise.all(
      Array.from({ length: 8 }, async (_, n) => {
        const absolute = join(folder, `item${n}.ts`);
        await writeFile(absolute, source(n, "read"));
        return { absolute, path: `item${n}.ts`, heldout: n >= 6 };
      }),
    );
    const filesManifest = join(folder, "files.json");
    await writeFile(filesManifest, JSON.stringify({ files }));
    const phases: string[] = [];
    process = new ModelProcess({
      modulePath: host,
      execPath: globalThis.process.execPath,
      args: [],
      protocolVersion: 1,
      logger: silentLogger,
      backOff: { firstMs: 20, maxMs: 80, windowMs: 60_000, safeModeAfter: 2, giveUpAfter: 4 },
      onEvent: (event) => {
        if (event.event === "consolidating") phases.push(event.progress.phase);
      },
      onStarted: () => undefined,
      onCrash: () => undefined,
    });
    const dir = join(folder, "model");
    const { files: learned, heldout } = readCorpus(filesManifest, silentLogger);
    // Small enough to know something within seconds.
    await train({
      files: learned,
      heldout,
      out: dir,
      preset: "nano",
      seed: 1,
      device: "cpu",
      on: { device: await createCpuDevice({ threads: 0 }), reason: "a test" },
      overrides: tinyConfig({ batch: 4, fimRate: 0 }),
      bytes: 64 * 4 * 200,
    });
    await process.request("load", { dir, device: "cpu" });
    const manifest = await readFile(join(dir, "manifest.json"), "utf8");
    const consolidate = (signal?: AbortSignal) =>
      process!.request("consolidate", { dir, filesManifest, device: "cpu", seed: 1 }, signal);
    expect(await consolidate()).toMatchObject({ outcome: "nothing", files: 0 });

    await writeFile(join(folder, "item3.ts"), source(3, "write"));
    const abort = new AbortController();
    const dropped = consolidate(abort.signal).catch((error: unknown) => error);
    // Held in place, or it could be over before it is looked at.
    await process.request("pause", {});
    await sleep(300);
    const seen = phases.length;
    await sleep(300);
    expect(phases.length).toBe(seen);
    await process.request("resume", {});
    while (phases.length === seen) await sleep(5);
    const asked = performance.now();
    await process.request("complete", {
      path: "other.ts",
      before: base64("export function readItem5(item: It"),
      after: "",
      maxBytes: 24,
      singleLine: 1,
    });
    expect(performance.now() - asked).toBeLessThan(BOUND_MS);
    abort.abort();
    const dropping = performance.now();
    expect(await dropped).toBe(abort.signal.reason);
    // Nothing is left of it: the host has room for other work.
    await process.request("stopTraining", {});
    expect(performance.now() - dropping).toBeLessThan(BOUND_MS);
    expect(await readFile(join(dir, "manifest.json"), "utf8")).toBe(manifest);
    expect(await readConsolidations(dir)).toEqual([]);

    const report = await consolidate();
    expect(report).toMatchObject({ outcome: "accepted", files: 1 });
    expect(report.changedAfter!).toBeLessThan(report.changedControl!);
    expect(await readConsolidations(dir)).toEqual([report]);
    expect(await readdir(join(dir, "previous"))).toHaveLength(1);
    expect(await readFile(join(dir, "manifest.json"), "utf8")).not.toBe(manifest);
    const { loaded } = await process.request("load", { dir, device: "cpu" });
    expect(loaded).not.toBeNull();

    expect(await process.request("restoreVersion", { dir })).toEqual({ restored: true });
    expect(await readFile(join(dir, "manifest.json"), "utf8")).toBe(manifest);
    expect((await readConsolidations(dir)).map((one) => one.outcome)).toEqual([
      "accepted",
      "restored",
    ]);
    expect(await process.request("restoreVersion", { dir })).toEqual({ restored: false });
  });
});
