/** Sums that were joined: the twin's values, and to the bit those of each sum by itself. */
import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph, type Tensor } from "../../model/graph.ts";
import { addForward } from "../../model/kernels/add.ts";
import { columnSum } from "../../model/kernels/columnSum.ts";
import { joinSums } from "../../model/kernels/joinSums.ts";
import { matmul } from "../../model/kernels/matmul.ts";
import { Random } from "../../model/random.ts";
import { checkOp } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

/** Long enough for every product to be made in parts. */
const K = 1024;
const sizes = [
  { m: 4, n: 8 },
  { m: 12, n: 36 },
  { m: 64, n: 20 },
  { m: 1, n: 4 },
  { m: 72, n: 64 },
  { m: 3, n: 5 },
  { m: 8, n: 8 },
];

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

type Tensors = Readonly<Record<string, Tensor>>;

function record(g: Graph, t: Tensors, count: number): void {
  sizes
    .slice(0, count)
    .forEach(({ m, n }, i) =>
      matmul(g, { a: t[`a${i}`]!, b: t[`b${i}`]!, out: t[`y${i}`]!, m, k: K, n, transposeA: 1 }),
    );
}

const sumsOf = (g: Graph): string[] =>
  g.nodes.map((node) => node.op.name).filter((name) => name.startsWith("sumParts"));

describe("joinSums", () => {
  for (const count of [1, 2, 3, 4, 5, 7])
    test(`of ${count} products matches the twin`, () =>
      checkOp({
        inputs: Object.fromEntries(
          sizes.slice(0, count).flatMap(({ m, n }, i) => [
            [`a${i}`, { shape: [K, m], constant: true }],
            [`b${i}`, { shape: [K, n], constant: true }],
          ]),
        ),
        outputs: Object.fromEntries(sizes.slice(0, count).map(({ m, n }, i) => [`y${i}`, [m, n]])),
        forward: (g, t) => {
          record(g, t, count);
          joinSums(g);
        },
        atol: 1e-6 * Math.sqrt(K) * 4, // As in matmul.test.ts.
        rtol: 1e-5,
      }));

  test("takes five at a time, and not those that are no quads", () => {
    const g = new Graph();
    const t = Object.fromEntries(
      sizes.flatMap(({ m, n }, i) => [
        [`a${i}`, g.temp("a", [K, m])],
        [`b${i}`, g.temp("b", [K, n])],
        [`y${i}`, g.temp("y", [m, n])],
      ]),
    );
    record(g, t, sizes.length);
    expect(sumsOf(g)).toHaveLength(7);
    joinSums(g);
    expect(sumsOf(g).sort()).toEqual(["sumParts", "sumParts", "sumParts5"]);
  });

  for (const count of [1, 2, 5, 6])
    test(`of ${count} columns' sums matches the twin`, () => {
      const shapes = range(count).map((i) => [
        [3, 1000, 40, 1, 2000, 700][i]!,
        [768, 3, 9, 4, 33, 8][i]!,
      ]);
      return checkOp({
        inputs: Object.fromEntries(shapes.map((shape, i) => [`x${i}`, { shape, constant: true }])),
        outputs: Object.fromEntries(shapes.map(([, C], i) => [`y${i}`, [C!]])),
        forward: (g, t) => {
          for (const i of range(count)) columnSum(g, { x: t[`x${i}`]!, out: t[`y${i}`]! });
          joinSums(g);
          expect(g.nodes.filter((n) => n.op.name === "columnSumCombine").length).toBe(
            count % 5 === 1 ? 1 : 0,
          );
        },
        atol: 1e-3, // Sums of two thousand unit normals in f32.
      });
    });

  async function results(device: Device, join: 0 | 1): Promise<number[][]> {
    const random = new Random(3);
    const make = (name: string, shape: readonly number[]): Tensor => {
      const x = device.tensor(name, shape);
      device.write(
        x,
        Float32Array.from({ length: x.size }, () => random.normal()),
      );
      return x;
    };
    const t = Object.fromEntries(
      sizes.flatMap(({ m, n }, i) => [
        [`a${i}`, make(`a${i}`, [K, m])],
        [`b${i}`, make(`b${i}`, [K, n])],
        [`y${i}`, make(`y${i}`, [m, n])],
      ]),
    );
    const g = new Graph();
    record(g, t, 3);
    // Reads and overwrites what the first products wrote.
    const z = make("z", [sizes[1]!.m, sizes[1]!.n]);
    addForward(g, { x: t["y1"]!, z: t["y1"]!, y: z });
    record(g, t, sizes.length);
    // The second of these is of what is then overwritten.
    const column = [
      make("c0", [8, 4]),
      make("c1", [8, 4]),
      make("s0", [4]),
      make("s1", [4]),
    ] as const;
    columnSum(g, { x: column[0], out: column[2] });
    columnSum(g, { x: column[1], out: column[3] });
    addForward(g, { x: column[0], z: column[0], y: column[1] });
    if (join === 1) joinSums(g);
    const program = await device.compile(g, "joined");
    await program.run();
    const out: number[][] = [];
    for (const x of [z, ...column, ...sizes.map((_, i) => t[`y${i}`]!)])
      out.push([...(await device.read(x))]);
    return out;
  }

  test("gives the same bits, also where something in between reads or overwrites a sum", async () => {
    const devices = [await createCpuDevice({ threads: 0 }), await testGpu()];
    for (const device of devices) {
      if (device === undefined) continue;
      const joined = await results(device, 1);
      expect(joined).toEqual(await results(device, 0));
      expect(joined.flat().every(Number.isFinite)).toBe(true);
    }
  });
});
