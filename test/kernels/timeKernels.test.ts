import { expect, test } from "vitest";
import { Graph } from "../../model/graph.ts";
import { addForward } from "../../model/kernels/add.ts";
import { matmul } from "../../model/kernels/matmul.ts";
import { testGpu } from "../support/gpu.ts";

test("kernels of a program are timed once per shape, with what they move and compute", async () => {
  const device = await testGpu();
  if (device === undefined) return;
  const x = device.tensor("x", [64, 64]);
  const y = device.tensor("y", [64, 64]);
  const half = device.tensor("half", [64, 64], "f16");
  const g = new Graph();
  for (let i = 0; i < 3; i++) matmul(g, { a: x, b: x, out: y, m: 64, k: 64, n: 64 });
  addForward(g, { x: y, z: x, y: half });
  const program = await device.compile(g, "timed");
  await program.run();
  const kernels = await program.kernels!();
  expect(kernels.map((k) => [k.op, k.count])).toEqual([
    ["matmul", 3],
    ["addForward", 1],
  ]);
  for (const k of kernels) expect(k.us).toBeGreaterThan(0);
  expect(kernels[0]!.flop).toBe(2 * 64 ** 3);
  expect(kernels[0]!.bytes).toBe(3 * 64 * 64 * 4);
  expect(kernels[1]!.bytes).toBe(64 * 64 * (4 + 4 + (device.caps.f16 ? 2 : 4)));
  expect(kernels[1]!.flop).toBe(0);
  program.dispose();
  for (const t of [x, y, half]) device.free(t);
});
