/** The whole optimizer pass on small parameters: what it skips, and what scaling leaves alone. */
import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph, type Tensor } from "../../model/graph.ts";
import { Optimizer, type OptimizerOptions } from "../../model/optimizer.ts";
import type { ParamSpec } from "../../model/params.ts";
import { Random } from "../../model/random.ts";
import { testGpu } from "../support/gpu.ts";
import { tinyConfig } from "../support/tinyModel.ts";

const specs: readonly ParamSpec[] = (
  [
    ["tall", [40, 17], "muon"],
    ["bias", [5], "adam"],
    ["table", [3, 3], "fixed"],
    ["wide", [16, 24], "muon"],
    ["embed", [7, 11], "adam"],
  ] as const
).map(([name, shape, optimizer]) => ({ name, shape, optimizer, init: () => undefined }));

const devices = async (): Promise<Device[]> => {
  const gpu = await testGpu();
  return [await createCpuDevice({ threads: 0 }), ...(gpu === undefined ? [] : [gpu])];
};

const normals = (seed: number, size: number): Float32Array => {
  const random = new Random(seed);
  return Float32Array.from({ length: size }, () => random.normal());
};

async function readAll(device: Device, optimizer: Optimizer): Promise<Record<string, number[]>> {
  const out: Record<string, number[]> = {};
  for (const t of [optimizer.params, optimizer.ema, optimizer.state].flatMap((m) => [
    ...m.values(),
  ]))
    out[t.name] = Array.from(await device.read(t));
  return out;
}

/** Runs steps whose gradients are normal, times the loss scale, with `bad` entries put in at the steps named. */
async function run(
  device: Device,
  o: OptimizerOptions & { steps: number; bad?: ReadonlyMap<number, readonly [string, number]> },
) {
  const optimizer = new Optimizer(device, tinyConfig(), specs, o);
  for (const [name, t] of [...optimizer.params, ...optimizer.ema])
    device.write(t, normals(name.length, t.size));
  const weight = device.tensor("weight", [1]);
  device.write(weight, [1]);
  const g = new Graph();
  const scaled = optimizer.scaledWeight(g, weight);
  optimizer.record(g);
  const program = await device.compile(g, "optimizer");
  const after: Record<string, number[]>[] = [];
  for (let step = 0; step < o.steps; step++) {
    const { scale } = await optimizer.lossScaling();
    for (const [i, [, t]] of [...optimizer.gradients].entries())
      device.write(
        t,
        normals(100 * step + i, t.size).map((v) => v * scale),
      );
    const bad = o.bad?.get(step);
    if (bad !== undefined) {
      const t: Tensor = optimizer.gradients.get(bad[0])!;
      device.write(t, [bad[1]], t.size - 1);
    }
    optimizer.setStep(step, 1);
    await program.run();
    if (scaled !== weight) expect((await device.read(scaled))[0]).toBe(scale);
    after.push(await readAll(device, optimizer));
  }
  const scaling = await optimizer.lossScaling();
  program.dispose();
  optimizer.dispose();
  device.free(weight);
  return { after, scaling };
}

describe("an optimizer step", () => {
  for (const [name, entry] of [
    ["tall", NaN],
    ["wide", Infinity],
    ["bias", -Infinity],
    ["embed", NaN],
  ] as const)
    test(`leaves everything as it is where the gradient of ${name} holds ${entry}`, async () => {
      for (const device of await devices()) {
        const bad = new Map([[2, [name, entry] as const]]);
        const { after, scaling } = await run(device, { steps: 4, lossScale: 16, bad });
        expect(after[0]).not.toEqual(after[1]);
        expect(after[2], device.name).toEqual(after[1]);
        // The next good step goes on, at half the scale.
        expect(after[3]).not.toEqual(after[2]);
        expect(Object.values(after[3]!).flat().every(Number.isFinite)).toBe(true);
        expect(scaling).toEqual({ overflows: 1, scale: 8 });
      }
    });

  test("gives the same bits whatever the loss is scaled by", async () => {
    for (const device of await devices()) {
      const plain = await run(device, { steps: 3 });
      const scaled = await run(device, { steps: 3, lossScale: 2 ** 14 });
      expect(scaled.after).toEqual(plain.after);
    }
  });

  test("moves trained parameters, leaves fixed tables and frees all it took", async () => {
    for (const device of await devices()) {
      const before = device.allocatedBytes;
      const { after } = await run(device, { steps: 2 });
      for (const s of specs)
        if (s.optimizer === "fixed") expect(after[1]![s.name]).toEqual(after[0]![s.name]);
        else expect(after[1]![s.name]).not.toEqual(after[0]![s.name]);
      expect(device.allocatedBytes).toBe(before);
    }
  });
});
