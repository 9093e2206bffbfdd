import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Graph } from "../../model/graph.ts";
import { joinMaps } from "../../model/kernels/joinMaps.ts";
import { matmul } from "../../model/kernels/matmul.ts";
import { matmulColumns } from "../../model/kernels/sumColumns.ts";
import { checkOp, type Tensors } from "../support/checkOp.ts";

const shapes = [
  { C: 24, tied: 12, free: 8, H: 3, queries: 24, keys: 24 },
  { C: 17, tied: 0, free: 6, H: 2, queries: 8, keys: 8 },
  { C: 20, tied: 16, free: 0, H: 2, queries: 16, keys: 24 },
] as const;

describe("maps side by side", () => {
  for (const s of shapes)
    for (const halves of [[], ["queries", "keys"]])
      test(`${s.tied} tied, ${s.free} free, ${s.H} of salience${halves.length > 0 ? ", in halves" : ""}`, async () => {
        await checkOp({
          inputs: {
            ...(s.tied > 0 && { tied: { shape: [s.C, s.tied] } }),
            ...(s.free > 0 && { query: { shape: [s.C, s.free] }, key: { shape: [s.C, s.free] } }),
            salience: { shape: [s.C, s.H] },
          },
          outputs: { queries: [s.C, s.queries], keys: [s.C, s.keys] },
          halves,
          forward: (g, t) =>
            joinMaps(g, {
              tied: t["tied"],
              query: t["query"],
              key: t["key"],
              salience: t["salience"]!,
              queries: t["queries"]!,
              keys: t["keys"]!,
            }),
        });
      });

  test("stand in the order tied, free, salience, zeros", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const filled = (name: string, width: number, value: number): Tensors[string] => {
      const t = device.tensor(name, [2, width]);
      device.write(t, new Float32Array(2 * width).fill(value));
      return t;
    };
    const queries = filled("queries", 8, 9);
    const keys = filled("keys", 8, 9);
    const g = new Graph();
    joinMaps(g, {
      tied: filled("tied", 2, 1),
      query: filled("query", 3, 2),
      key: filled("key", 3, 3),
      salience: filled("salience", 1, 4),
      queries,
      keys,
    });
    await (await device.compile(g, "join")).run();
    const twice = (row: readonly number[]): number[] => [...row, ...row];
    expect([...(await device.read(queries))]).toEqual(twice([1, 1, 2, 2, 2, 0, 0, 0]));
    expect([...(await device.read(keys))]).toEqual(twice([1, 1, 3, 3, 3, 4, 0, 0]));
  });
});

describe("a product whose columns belong to several matrices", () => {
  for (const [k, dtype] of [
    [90, "f32"],
    [5001, "f32"],
    [2600, "f16"],
  ] as const)
    test(`sums its parts into each of them: k ${k}, ${dtype}`, async () => {
      const [m, n] = [20, 24];
      const widths = { first: 12, second: 5, third: 4 };
      const into = (t: Tensors, accumulate: 0 | 1): Parameters<typeof matmulColumns>[1] => ({
        ...{ a: t["a"]!, b: t["b"]!, m, k, n },
        outs: Object.keys(widths).map((name, i) => ({
          out: t[name]!,
          accumulate: i === 0 ? accumulate : 0,
        })),
      });
      await checkOp({
        inputs: { a: { shape: [k, m], dtype }, b: { shape: [k, n], dtype } },
        outputs: {
          whole: [m, n],
          ...Object.fromEntries(Object.entries(widths).map(([name, w]) => [name, [m, w]])),
        },
        forward: (g, t) => {
          matmul(g, { a: t["a"]!, b: t["b"]!, out: t["whole"]!, m, k, n, transposeA: 1 });
          matmulColumns(g, into(t, 0));
          matmulColumns(g, into(t, 1));
        },
        atol: 2e-5 * Math.sqrt(k),
        rtol: 1e-5,
      });
    });

  test("leaves out the columns that are left over, and nothing else", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const [m, k, n] = [3, 4, 8];
    const a = device.tensor("a", [k, m]);
    const b = device.tensor("b", [k, n]);
    device.write(a, new Float32Array(a.size).fill(1));
    device.write(
      b,
      Float32Array.from({ length: b.size }, (_, i) => i % n),
    );
    const outs = [2, 3].map((width) => ({
      out: device.tensor("out", [m, width]),
      accumulate: 0 as const,
    }));
    const g = new Graph();
    matmulColumns(g, { a, b, outs, m, k, n });
    await (await device.compile(g, "columns")).run();
    expect([...(await device.read(outs[0]!.out))]).toEqual([0, 4, 0, 4, 0, 4]);
    expect([...(await device.read(outs[1]!.out))]).toEqual([8, 12, 16, 8, 12, 16, 8, 12, 16]);
  });
});
