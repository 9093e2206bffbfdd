/** Which choice the tuner keeps, by a timer that says what it is told. */
import { describe, expect, test } from "vitest";
import type { GpuCaps } from "../../model/graph.ts";
import { allowed, candidates } from "../../model/kernels/matmulCandidates.ts";
import { modelSplits, partsOf } from "../../model/kernels/matmul.ts";
import { pickMatrixTile, matrixTiles } from "../../model/kernels/matmulTiles.ts";
import { silentLogger } from "../../model/logger.ts";
import { productKey, type Product, type ProductChoice } from "../../model/products.ts";
import { trainingProducts } from "../../model/trainingProducts.ts";
import { presetConfig } from "../../model/config.ts";
import {
  MARGIN,
  tuneProducts,
  type Candidate,
  type TuneOptions,
} from "../../model/tuneProducts.ts";

const product: Product = {
  ...{ m: 512, k: 256, n: 256, batch: 1, transposeA: 0, transposeB: 0 },
  ...{ a: "f16", b: "f16", out: "f16", epilogue: "none", parted: 0 },
};
const gradient: Product = {
  ...product,
  ...{ m: 256, k: 32768, n: 1024, transposeA: 1, out: "f32" },
};
const matrices: GpuCaps = {
  software: false,
  f16: true,
  subgroups: true,
  subgroupMatrix: true,
  maxWorkgroupStorageSize: 49152,
  maxInvocations: 1024,
};
const registers: GpuCaps = { ...matrices, subgroupMatrix: false, maxInvocations: 256 };
const A: ProductChoice = { matrixTile: 1, splits: 1 };
const B: ProductChoice = { matrixTile: 2, splits: 1 };

/** `times`: what each call of measure gives, in the order of its choices. */
function options(times: readonly (readonly number[])[], more: Partial<TuneOptions> = {}) {
  const asked: Candidate[][] = [];
  const warned: string[] = [];
  const o: TuneOptions = {
    products: [product],
    candidates: () => [A, B],
    prepare: () => Promise.resolve(),
    measure: (_, choices) => {
      asked.push([...choices]);
      return Promise.resolve(times[asked.length - 1]!);
    },
    seconds: 10,
    logger: { ...silentLogger, warn: (line) => void warned.push(line) },
    now: () => 0,
    ...more,
  };
  return { o, asked, warned };
}

describe("tuning", () => {
  test("keeps what wins by the margin twice, and measures the second time against the model alone", async () => {
    const { o, asked } = options([
      [100, 90, 80],
      [100, 82],
    ]);
    const { entries, left } = await tuneProducts(o);
    expect(entries).toEqual([{ product, choice: B, modelUs: 100, us: 82 }]);
    expect(asked).toEqual([
      [undefined, A, B],
      [undefined, B],
    ]);
    expect(left).toBe(0);
  });

  test("keeps the model's choice where the gain is within the margin, or is not seen again", async () => {
    const little = 100 * (1 - MARGIN);
    const once = await tuneProducts(options([[100, little, 120]]).o);
    expect(once.entries).toEqual([{ product, choice: null, modelUs: 100, us: 100 }]);
    const noise = options([
      [100, 50, 120],
      [99, 98],
    ]);
    const twice = await tuneProducts(noise.o);
    expect(twice.entries).toEqual([{ product, choice: null, modelUs: 99, us: 99 }]);
  });

  test("leaves out what does not compile, and says so", async () => {
    const { o, asked, warned } = options([[100, 110]], {
      prepare: (_, choice) =>
        choice === B ? Promise.reject(new Error("too large")) : Promise.resolve(),
    });
    await tuneProducts(o);
    expect(asked).toEqual([[undefined, A]]);
    expect(warned).toHaveLength(1);
    expect(warned[0]).toContain("too large");
  });

  test("begins nothing after its time, and counts what is left", async () => {
    let now = 0;
    const { o, asked } = options(
      [
        [100, 110, 120],
        [100, 110, 120],
      ],
      {
        products: [product, gradient, { ...product, m: 8 }],
        prepare: () => {
          now += 1000;
          return Promise.resolve();
        },
        now: () => now,
        seconds: 8,
      },
    );
    // Three pipelines each: the third product would be begun after six of eight seconds.
    const { entries, left } = await tuneProducts(o);
    expect(entries.map((e) => e.product)).toEqual([product, gradient]);
    expect(asked).toHaveLength(2);
    expect(left).toBe(1);
  });

  test("ends when it is told to", async () => {
    const stop = new AbortController();
    const { o } = options([[100, 110, 120]], {
      products: [product, gradient],
      signal: stop.signal,
    });
    const { entries, left } = await tuneProducts({
      ...o,
      measure: (p, choices, first) => {
        stop.abort();
        return o.measure(p, choices, first);
      },
    });
    expect(entries).toHaveLength(1);
    expect(left).toBe(1);
  });
});

describe("candidates", () => {
  const forms: [string, GpuCaps, Product][] = [matrices, registers].flatMap((caps) =>
    [
      product,
      gradient,
      { ...product, n: 24, k: 1536, m: 8704 },
      { ...gradient, parted: 1 as const },
    ].map((p): [string, GpuCaps, Product] => [
      `${productKey(p)} ${caps.subgroupMatrix ? "on matrix units" : "in registers"}`,
      caps,
      p,
    ]),
  );

  test.each(forms)("of %s are distinct, few, allowed and not the model's", (_, caps, p) => {
    const choices = candidates(p, caps);
    expect(choices.length).toBeGreaterThanOrEqual(3);
    expect(choices.length).toBeLessThanOrEqual(6);
    expect(new Set(choices.map((c) => JSON.stringify(c))).size).toBe(choices.length);
    for (const c of choices) expect(allowed(p, c, caps)).toBe(true);
    const { splits, chunk } = partsOf(p.k, p.transposeA === 1 ? modelSplits(true, p) : 1);
    if (caps.subgroupMatrix) {
      const { tile } = pickMatrixTile(p.m, chunk, p.n, splits, { ...p, ...caps });
      const index = matrixTiles.findIndex((t) => t === tile);
      expect(choices).not.toContainEqual({ matrixTile: index, splits });
    }
    // A GPU of other size wants more parts of k, or none.
    if (p.transposeA === 1) {
      expect(choices.map((c) => c.splits)).toContain(1);
      expect(Math.max(...choices.map((c) => c.splits))).toBeGreaterThan(splits);
    } else for (const c of choices) expect(c.splits).toBe(1);
  });

  test("are not allowed where the device or the form forbids them", () => {
    expect(allowed(product, { matrixTile: 0, splits: 1 }, registers)).toBe(false);
    expect(allowed(product, { tile: 0, splits: 1 }, matrices)).toBe(false);
    expect(allowed(product, { tile: 8, splits: 1 }, registers)).toBe(false);
    expect(allowed(product, { tile: 99, splits: 1 }, registers)).toBe(false);
    expect(allowed(product, { matrixTile: 99, splits: 1 }, matrices)).toBe(false);
    expect(allowed(product, { splits: 4 }, matrices)).toBe(false);
    expect(allowed(gradient, { splits: 4000 }, matrices)).toBe(false);
    // The slices of k take f32 alone.
    expect(allowed(product, { tile: -2, splits: 1 }, registers)).toBe(false);
    const wide = matrixTiles.findIndex((t) => t.plain !== undefined);
    expect(allowed(gradient, { matrixTile: wide, splits: 8 }, matrices)).toBe(false);
  });
});

test("a training step's products are found without a GPU, each form once", async () => {
  const config = presetConfig("nano", { batch: 2, batchStart: 0 });
  const found = await trainingProducts({ config, patches: 48 }, { half: "f16", grouped: 0 });
  const keys = found.map(({ product: p }) => productKey(p));
  expect(new Set(keys).size).toBe(keys.length);
  expect(found.some(({ product: p }) => p.transposeA === 1)).toBe(true);
  expect(found.some(({ product: p }) => p.parted === 1)).toBe(true);
  expect(
    found.some(({ product: p }) => p.epilogue === "reluSquaredBackward" && p.hidden === "f16"),
  ).toBe(true);
  // Newton–Schulz of several layers at once.
  expect(found.some(({ product: p }) => p.epilogue === "blend" && p.batch > 1)).toBe(true);
  expect(found.some(({ product: p }) => p.m === 2 * config.context)).toBe(true);
  expect(found.some(({ product: p }) => p.m === 2 * 48)).toBe(true);
  const grouped = await trainingProducts({ config, patches: 48 }, { half: "f16", grouped: 1 });
  expect(grouped.some(({ product: p }) => p.epilogue === "blend")).toBe(false);
  expect(grouped.length).toBeLessThan(found.length);
  const single = await trainingProducts({ config, patches: 48 }, { half: "f32", grouped: 0 });
  for (const { product: p } of single) expect([p.a, p.b, p.out]).toEqual(["f32", "f32", "f32"]);
});
