import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph } from "../../model/graph.ts";
import { copyRows } from "../../model/kernels/copyRows.ts";
import { keyShiftBackward, keyShiftForward } from "../../model/kernels/keyShift.ts";
import { ropeBackward, ropeForward } from "../../model/kernels/rope.ts";
import { taumodeBackward, taumodeForward } from "../../model/kernels/taumode.ts";
import { checkOp, expectClose, type InputSpec } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

const SPAN: InputSpec = { shape: [1], dtype: "u32", values: [0] };
/** Sums over rows grow with their square root; these are the tolerances of float32 sums of that length. */
const SUM_ATOL = 3e-4;

async function devices(): Promise<[string, Device][]> {
  const gpu = await testGpu();
  const cpu: [string, Device] = ["CPU", await createCpuDevice({ threads: 0 })];
  return gpu === undefined ? [cpu] : [cpu, ["GPU", gpu]];
}

describe("keyShift", () => {
  for (const [batch, rows, channels] of [
    [1, 1, 1],
    [3, 2, 5],
    [2, 131, 20],
    [5, 64, 256],
  ] as const)
    test(`matches its twin and its differences at [${batch}, ${rows}, ${channels}]`, async () => {
      const sizes = { batch, rows, capacity: rows, channels };
      await checkOp({
        inputs: {
          x: { shape: [batch, rows, channels] },
          mix: { shape: [3, channels] },
          span: SPAN,
        },
        outputs: { y: [batch, rows, channels] },
        forward: (g, t) =>
          keyShiftForward(g, {
            ...sizes,
            x: t["x"]!,
            mix: t["mix"]!,
            span: t["span"]!,
            y: t["y"]!,
          }),
        backward: (g, t) =>
          keyShiftBackward(g, {
            ...sizes,
            x: t["x"]!,
            mix: t["mix"]!,
            dY: t["dY"]!,
            dX: t["dX"]!,
            dMix: t["dMix"]!,
          }),
        gradAtol: SUM_ATOL,
      });
    });

  test("gives a cache's new rows what a whole window gives them", async () => {
    const [rows, capacity, channels, offset] = [3, 9, 4, 5];
    const x = Float32Array.from({ length: capacity * channels }, (_, i) => Math.sin(i));
    const mix = Float32Array.from({ length: 3 * channels }, (_, i) => Math.cos(i));
    for (const [label, device] of await devices()) {
      const t = {
        x: device.tensor("x", [1, capacity, channels]),
        mix: device.tensor("mix", [3, channels]),
        span: device.tensor("span", [1], "u32"),
        zero: device.tensor("zero", [1], "u32"),
        part: device.tensor("part", [rows, channels]),
        whole: device.tensor("whole", [capacity, channels]),
      };
      device.write(t.x, x);
      device.write(t.mix, mix);
      device.write(t.span, [offset]);
      const g = new Graph();
      keyShiftForward(g, {
        batch: 1,
        rows,
        capacity,
        channels,
        x: t.x,
        mix: t.mix,
        span: t.span,
        y: t.part,
      });
      keyShiftForward(g, {
        batch: 1,
        rows: capacity,
        capacity,
        channels,
        x: t.x,
        mix: t.mix,
        span: t.zero,
        y: t.whole,
      });
      await (await device.compile(g, "shift")).run();
      const whole = await device.read(t.whole, offset * channels, rows * channels);
      expect([...(await device.read(t.part))], label).toEqual([...whole]);
    }
  });
});

describe("taumode", () => {
  for (const [rows, nHeads, headDim, bands, tau] of [
    [1, 1, 1, 1, 1],
    [70, 3, 12, 4, 1],
    [259, 2, 64, 4, 0.5],
    [33, 2, 16, 8, 0],
  ] as const)
    test(`matches its twin and its differences at [${rows}, ${nHeads}, ${headDim}], ${bands} bands, tau ${tau}`, async () => {
      const sizes = { rows, nHeads, headDim, bands, tau };
      const spectrum = Float64Array.from({ length: nHeads * headDim }, (_, i) =>
        Math.fround(0.1 + (i % 7) * 0.5),
      );
      await checkOp({
        inputs: {
          y: { shape: [rows, nHeads, headDim] },
          mu: { shape: [nHeads, headDim], values: spectrum },
        },
        outputs: { lambda: [rows, nHeads, bands] },
        forward: (g, t) =>
          taumodeForward(g, { ...sizes, y: t["y"]!, mu: t["mu"]!, lambda: t["lambda"]! }),
        backward: (g, t) =>
          taumodeBackward(g, {
            ...sizes,
            y: t["y"]!,
            mu: t["mu"]!,
            dLambda: t["dLambda"]!,
            dY: t["dY"]!,
            dMu: t["dMu"]!,
          }),
        gradAtol: 5e-5,
      });
    });

  test("gives a zero vector a finite value and no gradient", async () => {
    const sizes = { rows: 2, nHeads: 1, headDim: 4, bands: 2, tau: 1 };
    for (const [label, device] of await devices()) {
      const y = device.tensor("y", [2, 1, 4]);
      const mu = device.tensor("mu", [1, 4]);
      const lambda = device.tensor("lambda", [2, 1, 2]);
      const dY = device.tensor("dY", [2, 1, 4]);
      const dMu = device.tensor("dMu", [1, 4]);
      device.write(mu, [1, 2, 3, 4]);
      device.write(y, [0, 0, 0, 0, 1e4, -1e4, 1e4, 1e4]);
      const g = new Graph();
      taumodeForward(g, { ...sizes, y, mu, lambda });
      taumodeBackward(g, { ...sizes, y, mu, dLambda: lambda, dY, dMu });
      await (await device.compile(g, "zero")).run();
      expectClose(label, await device.read(lambda), [0, 0, 0.75 / 1.75, 1.75 / 2.75], {
        atol: 1e-6,
        rtol: 0,
      });
      expect(
        [...(await device.read(dY))].slice(0, 4).every((x) => x === 0),
        label,
      ).toBe(true);
    }
  });
});

describe("rope", () => {
  for (const [batch, rows, nHeads, headDim] of [
    [1, 1, 1, 2],
    [2, 37, 3, 16],
    [1, 515, 2, 64],
  ] as const)
    test(`matches its twin and its differences at [${batch}, ${rows}, ${nHeads}, ${headDim}]`, async () => {
      const sizes = { batch, rows, nHeads, headDim };
      await checkOp({
        inputs: { x: { shape: [batch, rows, nHeads, headDim] }, span: { ...SPAN, values: [3] } },
        outputs: { y: [batch, rows, nHeads, headDim] },
        forward: (g, t) => ropeForward(g, { ...sizes, x: t["x"]!, span: t["span"]!, y: t["y"]! }),
        backward: (g, t) =>
          ropeBackward(g, { ...sizes, dY: t["dY"]!, span: t["span"]!, dX: t["dX"]! }),
        // An angle of some hundreds of radians carries float32 rounding of its own size.
        atol: 5e-4,
      });
    });
});

describe("copyRows", () => {
  test("writes at the span, keeps the other rows and drops what passes the end", async () => {
    for (const [label, device] of await devices()) {
      const src = device.tensor("src", [3, 2]);
      const dst = device.tensor("dst", [5, 2]);
      const span = device.tensor("span", [1], "u32");
      device.write(src, [1, 2, 3, 4, 5, 6]);
      device.write(dst, new Float32Array(10).fill(9));
      device.write(span, [1]);
      const g = new Graph();
      copyRows(g, { src, dst, span, rows: 3, capacity: 5 });
      const program = await device.compile(g, "copy");
      await program.run();
      expect([...(await device.read(dst))], label).toEqual([9, 9, 1, 2, 3, 4, 5, 6, 9, 9]);
      device.write(span, [4]);
      await program.run();
      expect([...(await device.read(dst))], label).toEqual([9, 9, 1, 2, 3, 4, 5, 6, 1, 2]);
    }
  });
});
