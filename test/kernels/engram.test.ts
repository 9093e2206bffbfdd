import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph } from "../../model/graph.ts";
import { engramGateBackward, engramGateForward } from "../../model/kernels/engramGate.ts";
import { engramStep } from "../../model/kernels/engramStep.ts";
import { Random } from "../../model/random.ts";
import { checkOp, expectClose } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

describe("engramGate", () => {
  const check = (rows: number, C: number, halves: readonly string[] = []): Promise<void> =>
    checkOp({
      inputs: {
        n: { shape: [rows, C] },
        kv: { shape: [rows, 2 * C] },
        x: { shape: [rows, C], constant: true },
      },
      outputs: { y: [rows, C] },
      halves,
      forward: (g, t) => engramGateForward(g, { x: t["x"]!, n: t["n"]!, kv: t["kv"]!, y: t["y"]! }),
      backward: (g, t) =>
        engramGateBackward(g, {
          dY: t["dY"]!,
          n: t["n"]!,
          kv: t["kv"]!,
          dN: t["dN"]!,
          dKv: t["dKv"]!,
        }),
      probes: rows * C > 2000 ? 6 : 24,
    });
  for (const [rows, C] of [
    [1, 4],
    [17, 36],
    [33, 256],
    [5, 516],
  ] as const)
    test(`matches its twin and its differences on ${rows} rows of ${C}`, () => check(rows, C));
  for (const halves of [["y", "dY"], ["dN"], ["dKv", "dY"]])
    test(`matches with ${halves.join(", ")} in halves`, () => check(19, 68, halves));
});

describe("engramStep", () => {
  const [tableRows, capacity, C] = [23, 9, 12];
  const touched = [5, 22, 3, 0, 17, 8, 1, 1, 1, 1];

  async function run(
    device: Device,
    o: { take: 0 | 1; poison?: number },
  ): Promise<Record<string, Float64Array>> {
    const random = new Random(3);
    const g = new Graph();
    const tensor = (name: string, shape: number[], values: (i: number) => number) => {
      const t = device.tensor(name, shape);
      device.write(
        t,
        Float64Array.from({ length: t.size }, (_, i) => Math.fround(values(i))),
      );
      return t;
    };
    const table = tensor("table", [tableRows, C], () => random.normal());
    const m = tensor("m", [tableRows, C], () => random.normal());
    const v = tensor("v", [tableRows, C], () => random.uniform());
    const grad = tensor("grad", [capacity, C], (i) => {
      const value = random.normal();
      return i === o.poison ? Number.NaN : value;
    });
    const hyper = tensor("hyper", [8], (i) => [0.01, 0.9, 0.95, 1e-8, 0, 0.3, 0.2, 0][i]!);
    const verdict = tensor("verdict", [8], (i) => [o.take, 0.5, 2, 0, 0, 2, 0, 0][i]!);
    const list = device.tensor("touched", [1 + capacity], "u32");
    device.write(list, touched);
    engramStep(g, { table, m, v, grad, touched: list, hyper, verdict });
    await (await device.compile(g, "engramStep")).run();
    const out: Record<string, Float64Array> = {};
    for (const [name, t] of Object.entries({ table, m, v }))
      out[name] = Float64Array.from(await device.read(t));
    return out;
  }

  const devices = async (): Promise<Device[]> => {
    const gpu = await testGpu();
    return [await createCpuDevice({ threads: 0 }), ...(gpu === undefined ? [] : [gpu])];
  };

  test("moves the touched rows as Adam does, and no others", async () => {
    const f64 = await createCpuDevice({ threads: 0, precision: "f64" });
    const before = await run(f64, { take: 0 });
    const want = await run(f64, { take: 1 });
    const rows = new Set(touched.slice(1, 1 + touched[0]!));
    for (let row = 0; row < tableRows; row++)
      for (const name of ["table", "m", "v"])
        for (let c = 0; c < C; c++)
          expect(want[name]![row * C + c] !== before[name]![row * C + c], `${name} ${row}`).toBe(
            rows.has(row),
          );
    // Adam by hand for one entry: the second touched row, channel 4.
    const at = 3 * C + 4;
    const random = new Random(3);
    for (let i = 0; i < 2 * tableRows * C; i++) random.normal();
    for (let i = 0; i < tableRows * C; i++) random.uniform();
    for (let i = 0; i < C + 4; i++) random.normal();
    const g = Math.fround(random.normal()) * 0.5;
    const first = 0.9 * before["m"]![at]! + 0.1 * g;
    const second = 0.95 * before["v"]![at]! + 0.05 * g * g;
    expect(want["m"]![at]).toBeCloseTo(first, 6);
    expect(want["table"]![at]).toBeCloseTo(
      before["table"]![at]! - (0.01 * (first / 0.3)) / Math.sqrt(second / 0.2),
      6,
    );
    for (const device of await devices()) {
      const got = await run(device, { take: 1 });
      for (const name of ["table", "m", "v"])
        expectClose(`${device.name}, ${name}`, got[name]!, want[name]!, {
          atol: 1e-6,
          rtol: 1e-5,
        });
      expect((await run(device, { take: 0 }))["table"]).toEqual(before["table"]);
    }
  });

  test("leaves a quadruple alone whose gradient is no number", async () => {
    for (const device of await devices()) {
      const before = await run(device, { take: 0 });
      const clean = await run(device, { take: 1 });
      // Entry 1 is row 3; its second quadruple is poisoned.
      const got = await run(device, { take: 1, poison: C + 5 });
      for (let i = 0; i < tableRows * C; i++) {
        const poisoned = i >= 3 * C + 4 && i < 3 * C + 8;
        if (poisoned) expect(got["table"]![i]).toBe(before["table"]![i]);
        else expect(got["table"]![i]).toBe(clean["table"]![i]);
        expect(Number.isFinite(got["table"]![i])).toBe(true);
      }
    }
  });
});
