import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph, type Tensor } from "../../model/graph.ts";
import {
  tauAttentionBackward,
  tauAttentionForward,
  type TauAttentionShape,
} from "../../model/kernels/tauAttention.ts";
import { Random } from "../../model/random.ts";
import { checkOp, expectClose, type OpCase } from "../support/checkOp.ts";
import { onMatrices, withoutMatrices } from "../support/emulatedMatrices.ts";
import { testGpu } from "../support/gpu.ts";

/** exp and log of the GPU are a few ulp off, and weights multiply sums of up to a window of values. */
const ATOL = 2e-5;
const RTOL = 2e-4;
/** Matrix units take weights as halves, off by up to 2⁻¹² of each: sums of them times unit normals. The gradients of
 *  scores lose as much where only `out` is a half, through dOut·out. */
const MATRIX_TOLERANCE = { atol: 2e-3, rtol: 2e-3, gradAtol: 1e-2, gradRtol: 1e-2 };

interface CaseOptions {
  readonly std: number;
  readonly salience: number;
  /** v, out and their gradients. */
  readonly values?: "f16";
  /** The kernels for matrix units, emulated where the test's GPU has none; else the plain ones. */
  readonly matrices?: true;
}

function choose(g: Graph, o: CaseOptions): void {
  g.nodes.forEach((node, i) => {
    const op = o.matrices === true ? onMatrices(node.op) : withoutMatrices(node.op);
    g.nodes[i] = { ...node, op };
  });
}

function attentionCase(shape: TauAttentionShape, spread: CaseOptions): OpCase {
  const { batch, rows, nHeads, bands, headDim } = shape;
  let lse: Tensor;
  const values = spread.values ?? "f32";
  const rounding =
    spread.matrices === true
      ? MATRIX_TOLERANCE
      : values === "f16"
        ? { gradAtol: MATRIX_TOLERANCE.gradAtol, gradRtol: MATRIX_TOLERANCE.gradRtol }
        : {};
  return {
    inputs: {
      a: { shape: [batch, rows, nHeads, bands], std: spread.std },
      b: { shape: [batch, rows, nHeads, bands], std: spread.std },
      c: { shape: [batch, rows, nHeads], std: spread.salience },
      slope: { shape: [nHeads], std: 0.02, mean: 0.05 },
      v: { shape: [batch, rows, nHeads, headDim], dtype: values },
      span: { shape: [1], dtype: "u32", values: [0] },
    },
    outputs: { out: [batch, rows, nHeads, headDim] },
    halves: values === "f16" ? ["out", "dOut", "dV"] : [],
    forward: (g, t) => {
      lse = g.temp("lse", [batch, rows, nHeads]);
      tauAttentionForward(g, {
        shape,
        lse,
        a: t["a"]!,
        b: t["b"]!,
        c: t["c"]!,
        slope: t["slope"]!,
        v: t["v"]!,
        span: t["span"]!,
        out: t["out"]!,
      });
      choose(g, spread);
    },
    backward: (g, t) => {
      tauAttentionBackward(g, {
        shape,
        lse,
        a: t["a"]!,
        b: t["b"]!,
        c: t["c"]!,
        slope: t["slope"]!,
        v: t["v"]!,
        out: t["out"]!,
        dOut: t["dOut"]!,
        dA: t["dA"]!,
        dB: t["dB"]!,
        dC: t["dC"]!,
        dSlope: t["dSlope"]!,
        dV: t["dV"]!,
      });
      choose(g, spread);
    },
    atol: ATOL,
    rtol: RTOL,
    gradAtol: 1e-4,
    gradRtol: 1e-3,
    probes: 6,
    step: 1e-6,
    ...rounding,
  };
}

/** A software rasterizer compiles the backward kernels for tens of seconds per shape, more on a busy machine. */
const COMPILE_MS = 400_000;

const shapes: readonly TauAttentionShape[] = [
  { batch: 1, rows: 1, capacity: 1, nHeads: 1, bands: 1, headDim: 16, window: 0 },
  { batch: 2, rows: 131, capacity: 131, nHeads: 2, bands: 4, headDim: 64, window: 0 },
  { batch: 1, rows: 203, capacity: 203, nHeads: 2, bands: 8, headDim: 36, window: 70 },
];

describe("tauAttention", () => {
  for (const shape of shapes)
    test(
      `matches its twin and its differences at ${JSON.stringify(shape)}`,
      { timeout: COMPILE_MS },
      async () => {
        await checkOp(attentionCase(shape, { std: 1, salience: 1 }));
      },
    );

  test("takes halves", { timeout: COMPILE_MS }, async () => {
    await checkOp(attentionCase(shapes[1]!, { std: 1, salience: 1, values: "f16" }));
  });
});

/** Several tiles, a window's edge and rows that fill none; the first as large as 32 KiB of workgroup memory take, the
 *  others for matrix units only. */
const matrixShapes: readonly TauAttentionShape[] = [
  { batch: 1, rows: 131, capacity: 131, nHeads: 2, bands: 3, headDim: 16, window: 40 },
  { batch: 2, rows: 203, capacity: 203, nHeads: 2, bands: 8, headDim: 64, window: 0 },
  { batch: 2, rows: 272, capacity: 272, nHeads: 3, bands: 4, headDim: 64, window: 130 },
  { batch: 1, rows: 150, capacity: 150, nHeads: 2, bands: 5, headDim: 48, window: 70 },
  // Wider values than a tile of pairs holds.
  { batch: 1, rows: 70, capacity: 70, nHeads: 1, bands: 2, headDim: 96, window: 0 },
  { batch: 1, rows: 1, capacity: 1, nHeads: 1, bands: 1, headDim: 32, window: 0 },
];

/** Forward needs less room: other head dimensions and more bands. */
const forwardShapes: readonly TauAttentionShape[] = [
  { batch: 2, rows: 131, capacity: 131, nHeads: 2, bands: 4, headDim: 64, window: 0 },
  { batch: 1, rows: 203, capacity: 203, nHeads: 2, bands: 5, headDim: 48, window: 70 },
  { batch: 1, rows: 1, capacity: 1, nHeads: 1, bands: 1, headDim: 32, window: 64 },
];

describe("tauAttention on matrix units", () => {
  for (const shape of forwardShapes)
    test(`looks up what its twin does at ${JSON.stringify(shape)}`, async () => {
      const whole = attentionCase(shape, { std: 1, salience: 1, values: "f16", matrices: true });
      const { inputs, outputs, halves, atol, rtol } = whole;
      await checkOp({
        inputs,
        outputs,
        halves: halves!,
        forward: (g, t) => whole.forward(g, t),
        atol: atol!,
        rtol: rtol!,
      });
    });

  // Emulated, the backward pass takes a software GPU three minutes to compile: it runs where matrix units are, and
  // elsewhere on demand.
  for (const [i, shape] of matrixShapes.entries())
    test(`matches its twin at ${JSON.stringify(shape)}`, { timeout: COMPILE_MS }, async () => {
      const device = await testGpu();
      const native = device?.caps.subgroupMatrix === true;
      if (!native && (i > 0 || process.env["NARROWGAUGE_SLOW_TESTS"] !== "1")) return;
      const values = i % 2 === 0 ? ({ values: "f16" } as const) : {};
      await checkOp(attentionCase(shape, { std: 1, salience: 1, matrices: true, ...values }));
    });
});

interface RowValues {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly c: Float32Array;
  readonly slope: number;
  readonly v: Float32Array;
}

/** Runs the forward op; b, c and v may be longer than the rows (a cache). */
async function forward(
  device: Device,
  shape: TauAttentionShape,
  values: RowValues,
  offset: number,
  onUnits?: CaseOptions,
): Promise<{ out: number[]; lse: number[] }> {
  const { batch, rows, capacity, nHeads, bands, headDim } = shape;
  const t = {
    a: device.tensor("a", [batch, rows, nHeads, bands]),
    b: device.tensor("b", [batch, capacity, nHeads, bands]),
    c: device.tensor("c", [batch, capacity, nHeads]),
    slope: device.tensor("slope", [nHeads]),
    v: device.tensor("v", [batch, capacity, nHeads, headDim]),
    span: device.tensor("span", [1], "u32"),
    out: device.tensor("out", [batch, rows, nHeads, headDim]),
    lse: device.tensor("lse", [batch, rows, nHeads]),
  };
  device.write(t.a, values.a);
  device.write(t.b, values.b);
  device.write(t.c, values.c);
  device.write(t.v, values.v);
  device.write(t.slope, new Float32Array(nHeads).fill(values.slope));
  device.write(t.span, [offset]);
  const g = new Graph();
  tauAttentionForward(g, { shape, ...t });
  if (onUnits !== undefined) choose(g, onUnits);
  const program = await device.compile(g, "tauAttention");
  await program.run();
  const result = { out: [...(await device.read(t.out))], lse: [...(await device.read(t.lse))] };
  program.dispose();
  for (const tensor of Object.values(t)) device.free(tensor);
  return result;
}

async function devices(): Promise<[string, Device][]> {
  const gpu = await testGpu();
  const cpu: [string, Device] = ["CPU", await createCpuDevice({ threads: 0 })];
  return gpu === undefined ? [cpu] : [cpu, ["GPU", gpu]];
}

function draw(n: number, seed: number, scale = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: n }, () => scale * random.normal());
}

describe("tauAttention's rows", () => {
  const shape = {
    batch: 1,
    rows: 100,
    capacity: 100,
    nHeads: 2,
    bands: 2,
    headDim: 16,
    window: 40,
  };
  const values = {
    a: draw(400, 1),
    b: draw(400, 2),
    c: draw(200, 3),
    slope: 0.1,
    v: draw(3200, 4),
  };

  test("do not change a bit when later positions change or are cut off", async () => {
    for (const [label, device] of await devices()) {
      const whole = await forward(device, shape, values, 0);
      const cut = { ...shape, rows: 71, capacity: 71 };
      const head = (x: Float32Array, width: number): Float32Array => x.slice(0, 71 * width);
      const part = await forward(
        device,
        cut,
        {
          ...values,
          a: head(values.a, 4),
          b: head(values.b, 4),
          c: head(values.c, 2),
          v: head(values.v, 32),
        },
        0,
      );
      expect(part.out, label).toEqual(whole.out.slice(0, 71 * 32));
      const changed = { ...values, b: values.b.slice(), c: values.c.slice(), v: values.v.slice() };
      changed.b.fill(5, 71 * 4);
      changed.c.fill(50, 71 * 2);
      changed.v.fill(-8, 71 * 32);
      const other = await forward(device, shape, changed, 0);
      expect(other.out.slice(0, 71 * 32), label).toEqual(whole.out.slice(0, 71 * 32));
    }
  });

  test("decoded from a cache are a window's, in the same bits whatever the pieces", async () => {
    const [reference] = await devices();
    const want = await forward(reference![1], shape, values, 0);
    for (const [label, device] of await devices()) {
      const whole = await forward(device, shape, values, 0);
      const decode = (from: number, to: number): ReturnType<typeof forward> =>
        forward(
          device,
          { ...shape, rows: to - from },
          { ...values, a: values.a.slice(from * 4, to * 4) },
          from,
        );
      const decoded = await decode(63, 68);
      // On a GPU few rows take a kernel of their own, which adds up in another order.
      const tolerance = device.kind === "cpu" ? { atol: 0, rtol: 0 } : { atol: ATOL, rtol: RTOL };
      expectClose(label, decoded.out, want.out.slice(63 * 32, 68 * 32), tolerance);
      expectClose(label, decoded.lse, want.lse.slice(63 * 2, 68 * 2), tolerance);
      const pieces = [await decode(63, 64), await decode(64, 68)];
      expect(
        pieces.flatMap((piece) => piece.out),
        label,
      ).toEqual(decoded.out);
      // More rows than the kernel for few takes: the window's own bits.
      const many = await decode(30, 99);
      expect(many.out, label).toEqual(whole.out.slice(30 * 32, 99 * 32));
    }
  });

  test("of a long cache are the reference's", async () => {
    const long = { batch: 2, rows: 3, capacity: 1100, nHeads: 2, bands: 5, headDim: 36, window: 0 };
    const keys = long.batch * long.capacity * long.nHeads;
    const much = {
      a: draw(long.batch * long.rows * long.nHeads * long.bands, 11),
      b: draw(keys * long.bands, 12),
      c: draw(keys, 13),
      slope: 0.01,
      v: draw(keys * long.headDim, 14),
    };
    const [reference, ...others] = await devices();
    const want = await forward(reference![1], long, much, 1050);
    for (const [label, device] of others) {
      const got = await forward(device, long, much, 1050);
      expectClose(label, got.out, want.out, { atol: ATOL, rtol: RTOL });
      expectClose(label, got.lse, want.lse, { atol: ATOL, rtol: RTOL });
    }
  });

  test("are the same bits in two runs", async () => {
    for (const [label, device] of await devices()) {
      const one = await forward(device, shape, values, 0);
      expect(await forward(device, shape, values, 0), label).toEqual(one);
    }
  });

  test("stay finite when every distance is huge, and average to the nearest key", async () => {
    const n = 100;
    const far = {
      a: new Float32Array(400).fill(5e3),
      b: Float32Array.from({ length: 400 }, (_, i) => -5e3 - (i % 3)),
      c: new Float32Array(200).fill(-1e4),
      slope: 0,
      v: new Float32Array(3200).fill(2.5),
    };
    for (const [label, device] of await devices()) {
      const r = await forward(device, shape, far, 0);
      expect(
        r.out.every((x) => Number.isFinite(x)),
        label,
      ).toBe(true);
      // Scores near −3·10⁴ carry a float32 rounding of some thousandths, and so do the weights.
      expect(Math.max(...r.out.map((x) => Math.abs(x - 2.5))), label).toBeLessThan(2.5 * 4e-3);
      expect(r.lse.length, label).toBe(n * 2);
      expect(
        r.lse.every((x) => Number.isFinite(x) && x < -2e4),
        label,
      ).toBe(true);
    }
  });
});

describe("tauAttention's rows on matrix units", () => {
  const units: CaseOptions = { std: 1, salience: 1, matrices: true };
  const shape = { batch: 1, rows: 290, capacity: 290, nHeads: 1, bands: 2, headDim: 16, window: 0 };
  const near = {
    a: draw(580, 21),
    b: draw(580, 22),
    c: draw(290, 23),
    slope: 0.02,
    v: draw(4640, 24),
  };
  /** Keys 20 and 150 outweigh all that came before or comes after: a row far behind them first takes too low a
   *  reference, by more than halves hold, some rows by more than f32 does; others of its tile do not. */
  const far: RowValues = { ...near, a: near.a.slice(), b: near.b.slice(), c: near.c.slice() };
  far.c[20] = 26;
  far.c[150] = 250;
  // The first is near even rows only.
  far.b.set([9, 9], 40);
  for (let i = 0; i < 290; i += 2) far.a.set([8, 8], 2 * i);

  test("whose largest score is far behind are the twin's", async () => {
    const device = await testGpu();
    if (device === undefined) return;
    const cpu = await createCpuDevice({ threads: 0 });
    for (const values of [near, far]) {
      const want = await forward(cpu, shape, values, 0);
      const got = await forward(device, shape, values, 0, units);
      expectClose("out", got.out, want.out, MATRIX_TOLERANCE);
      expectClose("lse", got.lse, want.lse, { atol: ATOL, rtol: RTOL });
    }
  });

  test("are the same bits whichever rows share their tile", async () => {
    const device = await testGpu();
    if (device === undefined) return;
    for (const [values, window] of [
      [near, 170],
      [far, 0],
    ] as const) {
      const whole = await forward(device, { ...shape, window }, values, 0, units);
      const some = { ...shape, window, rows: 200 };
      const rows = { ...values, a: values.a.slice(70 * 2, 270 * 2) };
      const part = await forward(device, some, rows, 70, units);
      expect(part.out).toEqual(whole.out.slice(70 * 16, 270 * 16));
      expect(part.lse).toEqual(whole.lse.slice(70, 270));
    }
  });
});
