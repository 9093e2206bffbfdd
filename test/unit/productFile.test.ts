/** The file of tuned matrix products: found again, added to, and never trusted where it is not ours. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { GpuCaps } from "../../model/graph.ts";
import { silentLogger, type Logger } from "../../model/logger.ts";
import {
  cacheFolder,
  productFile,
  readProducts,
  writeProducts,
  type ProductDevice,
  type TunedProduct,
} from "../../model/productFile.ts";
import type { Product } from "../../model/products.ts";

const caps: GpuCaps = {
  software: false,
  f16: true,
  subgroups: true,
  subgroupMatrix: true,
  maxWorkgroupStorageSize: 49152,
  maxInvocations: 1024,
};
const device: ProductDevice = {
  caps,
  identity: { vendor: "maker", architecture: "new", device: "Model 1", driver: "driver 1.2" },
};
const product: Product = {
  ...{ m: 8704, k: 384, n: 1536, batch: 1, transposeA: 0, transposeB: 0 },
  ...{ a: "f16", b: "f16", out: "f16", epilogue: "none", parted: 0 },
};
const changed: TunedProduct = {
  product,
  choice: { matrixTile: 3, splits: 1 },
  modelUs: 50,
  us: 40,
};
const stays: TunedProduct = {
  product: { ...product, epilogue: "reluSquaredBackward", hidden: "f16" },
  choice: null,
  modelUs: 30,
  us: 30,
};

let folder: string;
let path: string;
let warned: string[];
let logger: Logger;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "narrowgauge-products-"));
  path = join(folder, "deep", "products.json");
  warned = [];
  logger = { ...silentLogger, warn: (line) => void warned.push(line) };
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** Rewrites what was written. */
function spoil(change: (text: string) => string): void {
  writeProducts(device, path, [changed, stays], logger);
  writeFileSync(path, change(readFileSync(path, "utf8")));
}

describe("the file of tuned products", () => {
  test("gives the choices back, and what was measured without a gain counts as known", () => {
    writeProducts(device, path, [changed, stays], logger);
    const read = readProducts(device, path, logger);
    expect(read.choose(product)).toEqual(changed.choice);
    expect(read.choose(stays.product)).toBeUndefined();
    expect(read.has(stays.product)).toBe(true);
    expect(read.changed).toBe(1);
    expect(read.entries.size).toBe(2);
    const other: Product = { ...product, m: 8705 };
    expect(read.has(other)).toBe(false);
    expect(read.choose(other)).toBeUndefined();
    expect(warned).toEqual([]);
  });

  test("grows, a later measurement replaces an earlier one, and nothing else is left in the folder", () => {
    writeProducts(device, path, [changed], logger);
    const later = { ...changed, choice: { matrixTile: 1, splits: 1 }, us: 35 };
    const now = writeProducts(device, path, [stays, later], logger);
    expect(now.choose(product)).toEqual(later.choice);
    expect(readProducts(device, path, logger).entries.size).toBe(2);
    expect(readdirSync(join(path, ".."))).toEqual(["products.json"]);
  });

  test("is absent without a word on a machine that measured nothing", () => {
    expect(readProducts(device, path, logger).entries.size).toBe(0);
    expect(warned).toEqual([]);
  });

  test.each([
    ["cut off", (t: string) => t.slice(0, t.length / 2)],
    ["empty", () => ""],
    ["of another format", (t: string) => t.replace('"format": 1', '"format": 2')],
    ["of another driver", (t: string) => t.replace("driver 1.2", "driver 1.3")],
    ["of other kernels", (t: string) => t.replace(/"kernels": "[0-9a-f]+"/, '"kernels": "0"')],
    ["naming no tile", (t: string) => t.replace('"matrixTile": 3', '"matrixTile": 300')],
    ["naming a register tile", (t: string) => t.replace('"matrixTile": 3', '"tile": 3')],
    ["cutting a forward product", (t: string) => t.replace('"splits": 1', '"splits": 8')],
    ["with a size that is none", (t: string) => t.replace('"m": 8704', '"m": -1')],
  ])("%s is left aside whole, and said", (_, change) => {
    spoil(change);
    const read = readProducts(device, path, logger);
    expect(read.entries.size).toBe(0);
    expect(read.choose(product)).toBeUndefined();
    expect(warned).toHaveLength(1);
    expect(warned[0]).toContain(path);
    // And it is replaced by the next measurement.
    writeProducts(device, path, [stays], silentLogger);
    expect(readProducts(device, path, silentLogger).entries.size).toBe(1);
  });

  test("has a name of its own for every adapter, driver and set of abilities", () => {
    const others: ProductDevice[] = [
      { ...device, identity: { ...device.identity, device: "Model 2" } },
      { ...device, identity: { ...device.identity, vendor: "other" } },
      { ...device, identity: { ...device.identity, driver: "driver 1.3" } },
      { ...device, caps: { ...caps, subgroupMatrix: false } },
    ];
    const names = [device, ...others].map((d) => productFile(d, folder));
    expect(new Set(names).size).toBe(names.length);
    expect(productFile({ ...device }, folder)).toBe(names[0]);
  });

  test("lies where the environment says", () => {
    vi.stubEnv("NARROWGAUGE_CACHE", folder);
    expect(cacheFolder()).toBe(folder);
    vi.stubEnv("NARROWGAUGE_CACHE", "");
    expect(cacheFolder()).toMatch(/[/\\]narrowgauge$/);
  });
});
