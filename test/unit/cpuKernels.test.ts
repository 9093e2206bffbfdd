/** The CPU device's SIMD kernels against the plain float64 loops, at shapes that leave rows, keys and bands over. */
import { describe, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph, type Tensor } from "../../model/graph.ts";
import { matmul } from "../../model/kernels/matmul.ts";
import {
  tauAttentionBackward,
  tauAttentionForward,
  type TauAttentionShape,
} from "../../model/kernels/tauAttention.ts";
import { Random } from "../../model/random.ts";
import { expectClose } from "../support/checkOp.ts";

const draw = (n: number, seed: number): Float32Array => {
  const random = new Random(seed);
  return Float32Array.from({ length: n }, () => random.normal());
};

async function gradients(
  device: Device,
  shape: TauAttentionShape,
): Promise<Record<string, ArrayLike<number>>> {
  const { batch, rows, nHeads, bands, headDim } = shape;
  const n = batch * rows * nHeads;
  const sizes = { a: n * bands, b: n * bands, c: n, v: n * headDim, dOut: n * headDim };
  const t: Record<string, Tensor> = {};
  for (const [i, [name, size]] of Object.entries(sizes).entries()) {
    t[name] = device.tensor(name, [size]);
    device.write(t[name], draw(size, i));
  }
  const results = { out: n * headDim, lse: n, dA: n * bands, dB: n * bands, dC: n };
  for (const [name, size] of Object.entries({ ...results, dV: n * headDim, dSlope: nHeads }))
    t[name] = device.tensor(name, [size]);
  t["slope"] = device.tensor("slope", [nHeads]);
  device.write(t["slope"], new Float32Array(nHeads).fill(0.05));
  t["span"] = device.tensor("span", [1], "u32");
  const g = new Graph();
  const all = t as Record<
    "a" | "b" | "c" | "slope" | "v" | "span" | "out" | "lse" | "dOut" | "dA" | "dB" | "dC",
    Tensor
  > & { dV: Tensor; dSlope: Tensor };
  tauAttentionForward(g, { shape, ...all });
  tauAttentionBackward(g, { shape, ...all });
  const program = await device.compile(g, "attention");
  await program.run();
  const read: Record<string, ArrayLike<number>> = {};
  for (const name of ["out", "lse", "dA", "dB", "dC", "dV", "dSlope"])
    read[name] = await device.read(t[name]!);
  return read;
}

describe("the CPU's kernels", () => {
  for (const shape of [
    { batch: 2, rows: 37, capacity: 37, nHeads: 3, bands: 3, headDim: 8, window: 0 },
    { batch: 1, rows: 50, capacity: 50, nHeads: 2, bands: 8, headDim: 24, window: 50 },
    { batch: 1, rows: 66, capacity: 66, nHeads: 1, bands: 4, headDim: 32, window: 20 },
    { batch: 3, rows: 3, capacity: 3, nHeads: 2, bands: 4, headDim: 16, window: 8 },
  ])
    test(`look up and go back as the loops do at ${JSON.stringify(shape)}`, async () => {
      const want = await gradients(await createCpuDevice({ threads: 0, precision: "f64" }), shape);
      const got = await gradients(await createCpuDevice({ threads: 0 }), shape);
      for (const [name, values] of Object.entries(want))
        expectClose(name, got[name]!, values, { atol: 1e-4, rtol: 1e-4 });
    });

  for (const epilogue of ["reluSquared", "reluSquaredBackward", "blend"] as const)
    for (const [m, k, n] of [
      [2, 300, 7],
      [9, 40, 19],
      [21, 520, 270],
    ] as const)
      test(`end a product of ${m} × ${k} × ${n} with ${epilogue}`, async () => {
        const results: ArrayLike<number>[] = [];
        for (const precision of ["f64", "f32"] as const) {
          const device = await createCpuDevice({ threads: 0, precision });
          const tensor = (name: string, size: number, seed: number): Tensor => {
            const t = device.tensor(name, [size]);
            device.write(
              t,
              draw(size, seed).map((x) => (name === "hidden" ? x * x : x)),
            );
            return t;
          };
          const out = device.tensor("out", [m * n]);
          const g = new Graph();
          matmul(g, {
            a: tensor("a", m * k, 1),
            b: tensor("b", k * n, 2),
            hidden: tensor("hidden", m * n, 3),
            shares: { hidden: 0.75, product: -1.5 },
            out,
            m,
            k,
            n,
            epilogue,
          });
          await (await device.compile(g, "product")).run();
          results.push(await device.read(out));
        }
        // The square of a sum of k products of normals, each rounded.
        const atol = epilogue === "reluSquared" ? 1e-5 * k : 1e-4;
        expectClose(epilogue, results[1]!, results[0]!, { atol, rtol: 1e-4 });
      });
});
