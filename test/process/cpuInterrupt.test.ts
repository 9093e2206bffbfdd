/** The CPU device's threads as they are shipped: an interrupted program ends with its present op, and nothing runs later. */
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Graph } from "../../model/graph.ts";
import { matmul } from "../../model/kernels/matmul.ts";

const workerUrl = new URL("../../dist/cpuWorker.mjs", import.meta.url);
const SIZE = 384;
const OPS = 60;

test.skipIf(!existsSync(workerUrl))("an interrupt ends a program with its present op", async () => {
  const device = await createCpuDevice({ threads: 2, workerUrl });
  const [a, b, out] = ["a", "b", "out"].map((name) => device.tensor(name, [SIZE, SIZE]));
  const graph = new Graph();
  for (let i = 0; i < OPS; i++)
    matmul(graph, { a: a!, b: b!, out: out!, m: SIZE, k: SIZE, n: SIZE });
  const program = await device.compile(graph, "products");
  let started = performance.now();
  await program.run();
  const whole = performance.now() - started;

  started = performance.now();
  const running = program.run();
  // Also while it is held, as a completion does.
  const release = device.hold();
  await sleep(whole / 20);
  device.interrupt();
  release();
  await expect(running).rejects.toMatchObject({ code: "NG_CPU_INTERRUPTED" });
  expect(performance.now() - started).toBeLessThan(whole / 2);
  await expect(program.run()).rejects.toMatchObject({ code: "NG_CPU_INTERRUPTED" });
  await device.dispose();
});

test("an interrupted device without threads runs nothing either", async () => {
  const device = await createCpuDevice({ threads: 0 });
  const x = device.tensor("x", [4, 4]);
  const graph = new Graph();
  matmul(graph, { a: x, b: x, out: device.tensor("out", [4, 4]), m: 4, k: 4, n: 4 });
  const program = await device.compile(graph, "product");
  await program.run();
  device.interrupt();
  await expect(program.run()).rejects.toMatchObject({ code: "NG_CPU_INTERRUPTED" });
  await expect(program.runAndRead([x])).rejects.toMatchObject({ code: "NG_CPU_INTERRUPTED" });
  await device.dispose();
});
