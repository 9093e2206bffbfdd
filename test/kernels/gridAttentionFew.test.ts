/** Grid attention for new rows against caches, and where it must agree with whole windows. */
import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph, type Tensor } from "../../model/graph.ts";
import { gridAttentionForward } from "../../model/kernels/gridAttention.ts";
import { gridAttentionFew } from "../../model/kernels/gridAttentionFew.ts";
import {
  COLDEST,
  gridScalarsBackward,
  gridScalarsForward,
} from "../../model/kernels/gridAttentionScalars.ts";
import { Random } from "../../model/random.ts";
import { checkOp, expectClose, type OpCase } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

const random = new Random(11);
const uniform = (n: number): Float64Array =>
  Float64Array.from({ length: n }, () => Math.fround(random.uniform()));
const temperatures = [COLDEST, 0.1, 2].map(Math.fround);

interface FewShape {
  readonly batch: number;
  readonly rows: number;
  readonly capacity: number;
  readonly nHeads: number;
  readonly headDim: number;
  readonly span: number;
}

function fewCase(s: FewShape, dtype: "f32" | "f16" = "f32"): OpCase {
  const { batch, rows, capacity, nHeads, headDim, span } = s;
  return {
    inputs: {
      a: { shape: [batch, rows, nHeads], values: uniform(batch * rows * nHeads) },
      b: { shape: [batch, capacity, nHeads], values: uniform(batch * capacity * nHeads) },
      c: { shape: [batch, capacity, nHeads], std: 2 },
      temperature: { shape: [nHeads], values: temperatures },
      slope: { shape: [nHeads], values: [0, 0.01, 0.3].map(Math.fround) },
      v: { shape: [batch, capacity, nHeads, headDim], dtype },
      span: { shape: [1], dtype: "u32", values: [span] },
    },
    outputs: { out: [batch, rows, nHeads, headDim] },
    halves: dtype === "f16" ? ["out"] : [],
    forward: (g, t) =>
      gridAttentionFew(g, {
        shape: s,
        a: t["a"]!,
        b: t["b"]!,
        c: t["c"]!,
        temperature: t["temperature"]!,
        slope: t["slope"]!,
        v: t["v"]!,
        span: t["span"]!,
        out: t["out"]!,
      }),
  };
}

describe("gridAttentionFew", () => {
  for (const [shape, dtype] of [
    [{ batch: 1, rows: 1, capacity: 1, nHeads: 1, headDim: 16, span: 0 }, "f32"],
    [{ batch: 2, rows: 5, capacity: 140, nHeads: 3, headDim: 32, span: 126 }, "f32"],
    [{ batch: 1, rows: 3, capacity: 1100, nHeads: 3, headDim: 48, span: 1090 }, "f32"],
    [{ batch: 1, rows: 70, capacity: 100, nHeads: 2, headDim: 64, span: 20 }, "f16"],
  ] as const)
    test(`matches its twin at ${JSON.stringify(shape)}, values in ${dtype}`, async () => {
      await checkOp(fewCase(shape, dtype));
    });
});

interface WindowValues {
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly c: Float64Array;
  readonly v: Float64Array;
}
const nHeads = 3;
const headDim = 16;
const slope = [0, 0.01, 0.3];

function windowValues(rows: number): WindowValues {
  const normal = (n: number): Float64Array =>
    Float64Array.from({ length: n }, () => Math.fround(random.normal()));
  const n = rows * nHeads;
  return { a: uniform(n), b: uniform(n), c: normal(n), v: normal(n * headDim) };
}

/** [rows, H, D]: through chunks, or row by row against caches in pieces of so many rows. */
async function looked(device: Device, w: WindowValues, piece?: number): Promise<Float64Array> {
  const rows = w.a.length / nHeads;
  const tensor = (name: string, data: ArrayLike<number>, dtype: "f32" | "u32" = "f32"): Tensor => {
    const t = device.tensor(name, [data.length], dtype);
    device.write(t, data);
    return t;
  };
  const cached = {
    temperature: tensor("temperature", temperatures),
    slope: tensor("slope", slope),
    b: tensor("b", w.b),
    c: tensor("c", w.c),
    v: tensor("v", w.v),
  };
  const all = new Float64Array(w.v.length);
  for (let first = 0; first < rows; first += piece ?? rows) {
    const count = Math.min(piece ?? rows, rows - first);
    const shape = { batch: 1, rows: count, nHeads, headDim };
    const a = tensor("a", w.a.slice(first * nHeads, (first + count) * nHeads));
    const out = device.tensor("out", [count * nHeads * headDim]);
    const g = new Graph();
    const t = { ...cached, a, out };
    if (piece === undefined)
      gridAttentionForward(g, { ...t, shape, total: g.temp("total", [rows, nHeads]) });
    else
      gridAttentionFew(g, {
        ...t,
        shape: { ...shape, capacity: rows },
        span: tensor("span", [first], "u32"),
      });
    const program = await device.compile(g, "looked");
    await program.run();
    all.set(await device.read(out), first * nHeads * headDim);
    program.dispose();
  }
  return all;
}

async function devices(): Promise<Device[]> {
  const gpu = await testGpu();
  return [
    await createCpuDevice({ threads: 0, precision: "f64" }),
    await createCpuDevice({ threads: 0 }),
    ...(gpu === undefined ? [] : [gpu]),
  ];
}

describe("grid attention over chunks and over caches", () => {
  test("is one function, wherever chunks end", async () => {
    const w = windowValues(200);
    for (const device of await devices()) {
      const whole = await looked(device, w);
      for (const piece of [50, 64, 200])
        expectClose(`${device.name}, pieces of ${piece}`, await looked(device, w, piece), whole, {
          atol: 1e-5,
          rtol: 1e-4,
        });
    }
  });

  test("reads nothing behind a row: other rows there leave its bits", async () => {
    const w = windowValues(150);
    for (const device of await devices())
      for (const cut of [1, 63, 64, 65, 100, 128, 149]) {
        const other = windowValues(150);
        for (const name of ["a", "b", "c", "v"] as const) {
          const each = w[name].length / 150;
          other[name].set(w[name].subarray(0, cut * each));
        }
        const kept = cut * nHeads * headDim;
        for (const piece of [undefined, 150]) {
          const before = await looked(device, w, piece);
          const after = await looked(device, other, piece);
          expect(after.subarray(0, kept), `${device.name}, cut at ${cut}`).toEqual(
            before.subarray(0, kept),
          );
          expect(after.subarray(kept)).not.toEqual(before.subarray(kept));
        }
      }
  });
});

describe("gridAttentionScalars", () => {
  test("places scalars on the grid, with the gradients of offsets and temperatures", async () => {
    const [rows, H] = [131, 3];
    await checkOp({
      inputs: {
        rawA: { shape: [rows, H], std: 3 },
        rawB: { shape: [rows, H], std: 3 },
        offset: { shape: [H], values: [0, 15, -2] },
        heat: { shape: [H], values: [-3, 0, 8] },
      },
      outputs: { a: [rows, H], b: [rows, H], temperature: [H] },
      forward: (g, t) =>
        gridScalarsForward(g, {
          rawA: t["rawA"]!,
          rawB: t["rawB"]!,
          offset: t["offset"]!,
          heat: t["heat"]!,
          a: t["a"]!,
          b: t["b"]!,
          temperature: t["temperature"]!,
        }),
      backward: (g, t) =>
        gridScalarsBackward(g, {
          a: t["a"]!,
          b: t["b"]!,
          heat: t["heat"]!,
          dA: t["dA"]!,
          dB: t["dB"]!,
          dTemperature: t["dTemperature"]!,
          dRawA: t["dRawA"]!,
          dRawB: t["dRawB"]!,
          dOffset: t["dOffset"]!,
          dHeat: t["dHeat"]!,
        }),
    });
  });

  test("keeps every scalar on the grid and every temperature at least four cells", async () => {
    for (const device of await devices()) {
      const raw = [-1e30, -200, -17, 0, 17, 200, 1e30];
      const [rawA, rawB, a, b] = ["rawA", "rawB", "a", "b"].map((n) => device.tensor(n, [7, 1]));
      const [offset, heat, temperature] = ["o", "h", "t"].map((n) => device.tensor(n, [1]));
      device.write(rawA!, raw);
      device.write(rawB!, raw);
      device.write(offset!, [0]);
      device.write(heat!, [-1e4]);
      const g = new Graph();
      const t = { rawA: rawA!, rawB: rawB!, a: a!, b: b!, offset: offset!, heat: heat! };
      gridScalarsForward(g, { ...t, temperature: temperature! });
      await (await device.compile(g, "placed")).run();
      const placed = [...(await device.read(a!))];
      expect(placed.every((z) => z >= 0 && z <= 1)).toBe(true);
      expect(placed).toEqual([...placed].sort((x, y) => x - y));
      expect(placed[3]).toBeCloseTo(0.5, 6);
      expect((await device.read(temperature!))[0]).toBeCloseTo(4 / 63, 6);
    }
  });
});
