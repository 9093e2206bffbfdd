/**
 * What was measured about matrix products on one GPU, in one file per GPU, driver and version of our kernels, in
 * Narrowgauge's own folder of this user. Whatever is not exactly what this engine writes for this adapter is
 * left aside whole, and said.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { AdapterIdentity } from "./gpu/adapter.ts";
import type { GpuCaps } from "./graph.ts";
import { allowed } from "./kernels/matmulCandidates.ts";
import { EPILOGUES } from "./kernels/matmulOutput.ts";
import { productKernels } from "./kernels/matmulVersion.ts";
import type { Logger } from "./logger.ts";
import { productKey, type Product, type ProductChoice, type Products } from "./products.ts";

const FORMAT = 1;

/** A measured product; without a choice the model's was as good. */
export interface TunedProduct {
  readonly product: Product;
  readonly choice: ProductChoice | null;
  /** Microseconds with the model's choice, and with the one that is kept. */
  readonly modelUs: number;
  readonly us: number;
}

/** The part of a device that its products depend on. */
export interface ProductDevice {
  readonly identity: AdapterIdentity;
  readonly caps: GpuCaps;
}

/** Choices for products of these very sizes and forms. */
export class TunedProducts implements Products {
  readonly entries: ReadonlyMap<string, TunedProduct>;

  constructor(entries: readonly TunedProduct[]) {
    this.entries = new Map(entries.map((e) => [productKey(e.product), e]));
  }

  choose(product: Product): ProductChoice | undefined {
    return this.entries.get(productKey(product))?.choice ?? undefined;
  }

  has(product: Product): boolean {
    return this.entries.has(productKey(product));
  }

  /** Products for which something better than the model's choice is known. */
  get changed(): number {
    return [...this.entries.values()].filter((e) => e.choice !== null).length;
  }
}

const zeroOrOne = z.union([z.literal(0), z.literal(1)]);
const real = z.enum(["f32", "f16"]);
const size = z.number().int().positive();
const entrySchema = z.object({
  product: z.object({
    ...{ m: size, k: size, n: size, batch: size },
    ...{ transposeA: zeroOrOne, transposeB: zeroOrOne, parted: zeroOrOne },
    ...{ a: real, b: real, out: real, hidden: real.optional() },
    epilogue: z.enum(EPILOGUES),
  }),
  choice: z
    .object({
      tile: z.number().int().optional(),
      matrixTile: z.number().int().optional(),
      splits: size,
    })
    .nullable(),
  modelUs: z.number().nonnegative(),
  us: z.number().nonnegative(),
});
const fileSchema = z.object({
  format: z.literal(FORMAT),
  adapter: z.record(z.string(), z.string()),
  products: z.array(entrySchema),
});

/** Where this user's Narrowgauge keeps what it can make again; NARROWGAUGE_CACHE names another place. */
export function cacheFolder(): string {
  const named = process.env["NARROWGAUGE_CACHE"];
  if (named !== undefined && named !== "") return named;
  const base =
    process.platform === "win32"
      ? (process.env["LOCALAPPDATA"] ?? join(homedir(), "AppData", "Local"))
      : process.platform === "darwin"
        ? join(homedir(), "Library", "Caches")
        : process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(base, "narrowgauge");
}

/** All that a measurement depends on but the product itself. */
function adapterOf({ identity, caps }: ProductDevice): Record<string, string> {
  return {
    ...identity,
    halves: caps.f16 ? "on" : "off",
    matrices: caps.subgroupMatrix ? "on" : "off",
    kernels: productKernels(),
  };
}

const keyOf = (adapter: Record<string, string>): string => JSON.stringify(Object.entries(adapter));

export function productFile(device: ProductDevice, folder = cacheFolder()): string {
  const hash = createHash("sha256")
    .update(keyOf(adapterOf(device)))
    .digest("hex");
  return join(folder, `products-${hash.slice(0, 16)}.json`);
}

/** What is known on this device: empty where there is no file, or one that is not to be trusted, which is logged. */
export function readProducts(device: ProductDevice, path: string, logger: Logger): TunedProducts {
  if (!existsSync(path)) return new TunedProducts([]);
  const refuse = (why: string): TunedProducts => {
    logger.warn(`${path} is left aside (${why}): a model chooses the tiles of matrix products`);
    return new TunedProducts([]);
  };
  let stored: unknown;
  try {
    stored = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    return refuse(`it cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const parsed = fileSchema.safeParse(stored);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return refuse(`it is damaged: ${issue.path.join(".")}: ${issue.message}`);
  }
  const { adapter, products } = parsed.data;
  if (keyOf(adapter) !== keyOf(adapterOf(device)))
    return refuse("it is of another GPU, driver or version");
  const entries = products as readonly TunedProduct[];
  const wrong = entries.find(
    (e) => e.choice !== null && !allowed(e.product, e.choice, device.caps),
  );
  if (wrong !== undefined)
    return refuse(`it is damaged: ${productKey(wrong.product)} cannot be made as it says`);
  return new TunedProducts(entries);
}

/** Adds to what the file holds, in one rename. Throws what the file system does. */
export function writeProducts(
  device: ProductDevice,
  path: string,
  entries: readonly TunedProduct[],
  logger: Logger,
): TunedProducts {
  const before = readProducts(device, path, logger);
  const products = [
    ...new Map([...before.entries, ...new TunedProducts(entries).entries]).values(),
  ];
  const folder = join(path, "..");
  mkdirSync(folder, { recursive: true });
  const temporary = `${path}.${process.pid}.new`;
  try {
    writeFileSync(
      temporary,
      `${JSON.stringify({ format: FORMAT, adapter: adapterOf(device), products }, undefined, 1)}\n`,
    );
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
  return new TunedProducts(products);
}
