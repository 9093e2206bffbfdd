import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Graph } from "../../model/graph.ts";
import { dropoutBackward, dropoutForward } from "../../model/kernels/dropout.ts";
import { checkOp } from "../support/checkOp.ts";

async function kept(
  n: number,
  o: { seed: [number, number]; site: number; rate: number },
): Promise<number[]> {
  const device = await createCpuDevice({ threads: 0 });
  const x = device.tensor("x", [n]);
  const seed = device.tensor("seed", [2], "u32");
  const y = device.tensor("y", [n]);
  device.write(x, new Float32Array(n).fill(1));
  device.write(seed, o.seed);
  const g = new Graph();
  dropoutForward(g, { x, seed, y, rate: o.rate, site: o.site });
  await (await device.compile(g, "dropout")).run();
  return [...(await device.read(y))];
}

describe("dropout", () => {
  for (const n of [1, 1025, 70_001])
    test(`drops the same elements on both devices at ${n} elements`, async () => {
      await checkOp({
        inputs: {
          x: { shape: [n], mean: 3 },
          seed: { shape: [2], dtype: "u32", values: [0xfedcba98, 12345] },
        },
        outputs: { y: [n] },
        forward: (g, t) =>
          dropoutForward(g, { x: t["x"]!, seed: t["seed"]!, y: t["y"]!, rate: 0.1, site: 7 }),
        backward: (g, t) =>
          dropoutBackward(g, { dY: t["dY"]!, seed: t["seed"]!, dX: t["dX"]!, rate: 0.1, site: 7 }),
        probes: n > 100 ? 3 : 1,
      });
    });

  test("drops the same of halves", async () => {
    await checkOp({
      inputs: {
        x: { shape: [2050], mean: 3, dtype: "f16" },
        seed: { shape: [2], dtype: "u32", values: [7, 9] },
      },
      outputs: { y: [2050] },
      halves: ["y", "dY", "dX"],
      forward: (g, t) =>
        dropoutForward(g, { x: t["x"]!, seed: t["seed"]!, y: t["y"]!, rate: 0.5, site: 2 }),
      backward: (g, t) =>
        dropoutBackward(g, { dY: t["dY"]!, seed: t["seed"]!, dX: t["dX"]!, rate: 0.5, site: 2 }),
      probes: 3,
    });
  });

  test("drops its share and keeps the mean", async () => {
    const y = await kept(100_000, { seed: [1, 2], site: 3, rate: 0.25 });
    expect(y.filter((v) => v === 0).length / y.length).toBeCloseTo(0.25, 2);
    expect(y.reduce((a, b) => a + b, 0) / y.length).toBeCloseTo(1, 2);
  });

  test("draws independent masks for another seed and another site", async () => {
    const one = await kept(20_000, { seed: [1, 2], site: 3, rate: 0.5 });
    for (const other of [
      await kept(20_000, { seed: [1, 3], site: 3, rate: 0.5 }),
      await kept(20_000, { seed: [2, 2], site: 3, rate: 0.5 }),
      await kept(20_000, { seed: [1, 2], site: 4, rate: 0.5 }),
    ])
      expect(one.filter((v, i) => v === other[i]).length / one.length).toBeCloseTo(0.5, 1);
  });

  test("keeps everything at rate zero", async () => {
    expect(new Set(await kept(1000, { seed: [5, 6], site: 0, rate: 0 }))).toEqual(new Set([1]));
  });
});
