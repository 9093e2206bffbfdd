/** The model host as it is shipped: a completion asked for while it trains does not wait for the training. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../model/logger.ts";
import { ModelProcess } from "../../server/modelProcess.ts";
import { bundlesExist } from "../support/shippedServer.ts";

const host = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "dist", "model.mjs");
/** A loaded machine with two cores; a training step alone takes longer there. */
const BOUND_MS = 1500;
const ASKED = 6;

let folder = "";
let process: ModelProcess | undefined;
afterEach(async () => {
  await process?.dispose();
  if (folder !== "") await rm(folder, { recursive: true, force: true });
});

const base64 = (text: string): string => Buffer.from(text).toString("base64");

describe.skipIf(!bundlesExist)("the shipped host", () => {
  test("answers completions in time while it trains", async () => {
    folder = await mkdtemp(join(tmpdir(), "narrowgauge-neighbour-"));
    const files = await Promise.all(
      Array.from({ length: 12 }, async (_, n) => {
        const absolute = join(folder, `shape${n}.ts`);
        const text = `export function areaOfShape${n}(width: number, height: number): number {\n  return width * height * ${n};\n}\n`;
        await writeFile(absolute, text.repeat(12));
        return { absolute, path: `shape${n}.ts`, heldout: n === 11 };
      }),
    );
    const filesManifest = join(folder, "files.json");
    await writeFile(filesManifest, JSON.stringify({ files }));
    const progress: string[] = [];
    process = new ModelProcess({
      modulePath: host,
      execPath: globalThis.process.execPath,
      args: [],
      protocolVersion: 1,
      logger: silentLogger,
      backOff: { firstMs: 20, maxMs: 80, windowMs: 60_000, safeModeAfter: 2, giveUpAfter: 4 },
      onEvent: (event) => {
        if (event.event === "progress") progress.push((event.progress as { phase: string }).phase);
      },
      onStarted: () => undefined,
      onCrash: () => undefined,
    });
    const out = join(folder, "model");
    const train = (bytes: number): Promise<unknown> =>
      process!.request("train", {
        out,
        filesManifest,
        preset: "nano",
        seed: 1,
        device: "cpu",
        bytes,
      } as never);
    await train(8192);
    await process.request("load", { dir: out, device: "cpu" } as never);
    const ask = async (at: number): Promise<number> => {
      const started = performance.now();
      await process!.request("complete", {
        path: "other.ts",
        before: base64(`export function areaOfShape${at}(width: number, hei`),
        after: "",
        maxBytes: 24,
        singleLine: 1,
      } as never);
      return performance.now() - started;
    };
    // The first one compiles.
    await ask(0);
    progress.length = 0;
    const training = train(1 << 24).catch(() => undefined);
    while (!progress.includes("training")) await sleep(20);
    const times: number[] = [];
    for (let i = 0; i < ASKED; i++) {
      times.push(await ask(i));
      await sleep(150);
    }
    expect(Math.max(...times), times.map((t) => t.toFixed(0)).join(" ")).toBeLessThan(BOUND_MS);
    await process.request("stopTraining", {});
    await training;
  });
});
