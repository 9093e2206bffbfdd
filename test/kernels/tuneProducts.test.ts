/** Tuned matrix products on a real device: every choice gives the same result, and what is found is found again. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Graph } from "../../model/graph.ts";
import { candidates } from "../../model/kernels/matmulCandidates.ts";
import { matmul, productOf } from "../../model/kernels/matmul.ts";
import { matmulColumns } from "../../model/kernels/sumColumns.ts";
import { silentLogger } from "../../model/logger.ts";
import { readProducts } from "../../model/productFile.ts";
import type { ProductChoice, Products } from "../../model/products.ts";
import { tune } from "../../model/tune.ts";
import { checkOp, type Tensors } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";
import { tinyConfig } from "../support/tinyModel.ts";

/** Sums of 300 products of unit normals, in whatever order: 1e-6 a step is ample. */
const TOLERANCE = { atol: 3e-4, rtol: 1e-4 };
/** A software GPU compiles a tile for seconds. */
const TUNE_SECONDS = 15;

const always = (choice: ProductChoice): Products => ({ choose: () => choice });
/** Records with a choice into a graph of its own, and moves the nodes over. */
function recordWith(g: Graph, choice: ProductChoice, record: (own: Graph) => void): void {
  const own = new Graph(always(choice));
  record(own);
  g.nodes.push(...own.nodes);
}

test.each([{ tile: 7, splits: 1 }, { tile: 7, splits: 2 }, { splits: 3 }])(
  "a weight's gradient with choice %o is the twin's",
  async (choice) => {
    const [m, k, n] = [20, 300, 36];
    await checkOp({
      inputs: { a: { shape: [k * m] }, b: { shape: [k * n] } },
      outputs: { out: [m * n] },
      forward: (g, t) =>
        recordWith(g, choice, (own) =>
          matmul(own, { a: t["a"]!, b: t["b"]!, out: t["out"]!, m, k, n, transposeA: 1 }),
        ),
      ...TOLERANCE,
    });
  },
);

test("columns of several matrices with a choice are the twin's", async () => {
  const [m, k, n] = [20, 300, 24];
  await checkOp({
    inputs: { a: { shape: [k * m] }, b: { shape: [k * n] } },
    outputs: { first: [m * 16], second: [m * 8] },
    forward: (g, t: Tensors) =>
      recordWith(g, { tile: 7, splits: 2 }, (own) =>
        matmulColumns(own, {
          ...{ a: t["a"]!, b: t["b"]!, m, k, n },
          outs: [
            { out: t["first"]!, accumulate: 0 },
            { out: t["second"]!, accumulate: 0 },
          ],
        }),
      ),
    ...TOLERANCE,
  });
});

test("every candidate of a product on this device gives what the model's choice gives, up to the order of sums", async () => {
  const device = await testGpu();
  if (device === undefined) return;
  const [m, k, n] = [40, 64, 48];
  const a = device.tensor("a", [m, k]);
  const b = device.tensor("b", [k, n]);
  const out = device.tensor("out", [m, n]);
  for (const t of [a, b])
    device.write(
      t,
      Float32Array.from({ length: t.size }, (_, i) => Math.sin(i * 1.7) + 0.1),
    );
  const run = async (choice: ProductChoice | undefined): Promise<number[]> => {
    const g = new Graph({ choose: () => choice });
    matmul(g, { a, b, out, m, k, n });
    const program = await device.compile(g, "choice");
    await program.run();
    program.dispose();
    return [...(await device.read(out))];
  };
  const expected = await run(undefined);
  expect(expected.some((x) => x !== 0)).toBe(true);
  const choices = candidates(productOf({ a, b, out, m, k, n }), device.caps);
  expect(choices.length).toBeGreaterThan(0);
  // Kernels of other forms add up in another order: a rounding for each of k products of at most 1.1².
  const bound = k * 2 ** -23 * 1.21;
  for (const choice of choices) {
    const got = await run(choice);
    got.forEach((x, i) => expect(Math.abs(x - expected[i]!)).toBeLessThan(bound));
    expect(got.length).toBe(expected.length);
  }
  for (const t of [a, b, out]) device.free(t);
});

test("tuning a tiny model keeps a file that is read again, and measures nothing twice", async () => {
  const device = await testGpu();
  if (device === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "narrowgauge-tune-"));
  const path = join(folder, "products.json");
  const { allocatedBytes } = device;
  try {
    const request = {
      device,
      runs: [{ config: tinyConfig(), patches: 16 }],
      logger: silentLogger,
      path,
    };
    const first = await tune({ ...request, seconds: TUNE_SECONDS });
    expect(first.entries.length).toBeGreaterThan(0);
    expect(device.allocatedBytes).toBe(allocatedBytes);
    for (const e of first.entries) {
      expect(e.modelUs).toBeGreaterThan(0);
      if (e.choice !== null) expect(e.us).toBeLessThan(e.modelUs);
    }
    const read = readProducts(device, path, silentLogger);
    expect([...read.entries.values()]).toEqual(first.entries);
    const again = await tune({ ...request, seconds: 0 });
    expect(again.known).toBe(first.entries.length);
    expect(again.entries).toEqual([]);
    expect(again.left).toBe(first.left);
  } finally {
    device.products = undefined;
    rmSync(folder, { recursive: true, force: true });
  }
});
