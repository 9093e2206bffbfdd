/** What was tuned is there again when the device is opened, and a file that cannot be trusted is reported then. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GpuDevice } from "../../model/gpu/device.ts";
import { silentLogger } from "../../model/logger.ts";
import { openDevice } from "../../model/openDevice.ts";
import { productFile, writeProducts, type TunedProduct } from "../../model/productFile.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "narrowgauge-tuned-"));
  vi.stubEnv("NARROWGAUGE_CACHE", folder);
  vi.stubEnv("NARROWGAUGE_SOFTWARE_GPU", "1");
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

interface Opened {
  readonly device: GpuDevice;
  readonly said: { level: string; line: string }[];
}

async function open(): Promise<Opened | undefined> {
  const said: Opened["said"] = [];
  const level = (name: string) => (line: string) => void said.push({ level: name, line });
  const logger = { ...silentLogger, info: level("info"), warn: level("warn") };
  const required = process.env["CI"] === "true" || process.env["NARROWGAUGE_REQUIRE_GPU"] === "1";
  const { device } = await openDevice(required ? "gpu" : "auto", { logger });
  return device instanceof GpuDevice ? { device, said } : undefined;
}

const tuned: TunedProduct = {
  product: {
    ...{ m: 64, k: 4096, n: 64, batch: 1, transposeA: 1, transposeB: 0 },
    ...{ a: "f32", b: "f32", out: "f32", epilogue: "none", parted: 0 },
  },
  choice: { tile: 7, splits: 4 },
  modelUs: 20,
  us: 10,
};

test("a device opens with what was tuned on it, and without what is damaged", async () => {
  const first = await open();
  if (first === undefined) return;
  const { device, said } = first;
  expect(said).toEqual([]);
  expect(device.products?.entries.size).toBe(0);
  const path = productFile(device);
  expect(path.startsWith(folder)).toBe(true);
  writeProducts(device, path, [tuned], silentLogger);
  await device.dispose();

  const second = await open();
  expect(second!.device.products?.choose(tuned.product)).toEqual(tuned.choice);
  expect(second!.said.map((s) => s.level)).toEqual(["info"]);
  expect(second!.said[0]!.line).toContain(path);
  await second!.device.dispose();

  writeFileSync(path, "{ half a fi");
  const third = await open();
  expect(third!.device.products?.choose(tuned.product)).toBeUndefined();
  expect(third!.said.map((s) => s.level)).toEqual(["warn"]);
  expect(third!.said[0]!.line).toContain(path);
  await third!.device.dispose();
});
