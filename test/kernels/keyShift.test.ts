import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Graph } from "../../model/graph.ts";
import { addForward } from "../../model/kernels/add.ts";
import { copyRows } from "../../model/kernels/copyRows.ts";
import { keyShiftBackward, keyShiftForward } from "../../model/kernels/keyShift.ts";
import { checkOp } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

/** Column sums of f32 products over up to 1,000 rows. */
const GRAD = { gradAtol: 1e-3, gradRtol: 1e-3 };

describe("keyShift", () => {
  for (const [batch, rows, channels] of [
    [1, 1, 1],
    [2, 2, 5],
    [3, 67, 12],
    [2, 500, 64],
  ] as const)
    test(`mixes three positions in ${batch} windows of ${rows} × ${channels}`, async () => {
      const shape = { batch, rows, capacity: rows, channels };
      await checkOp({
        inputs: {
          x: { shape: [batch, rows, channels] },
          mix: { shape: [3, channels] },
          span: { shape: [1], dtype: "u32", values: [0] },
        },
        outputs: { y: [batch, rows, channels] },
        forward: (g, t) =>
          keyShiftForward(g, {
            ...shape,
            x: t["x"]!,
            mix: t["mix"]!,
            span: t["span"]!,
            y: t["y"]!,
          }),
        backward: (g, t) =>
          keyShiftBackward(g, {
            ...shape,
            x: t["x"]!,
            mix: t["mix"]!,
            dY: t["dY"]!,
            dX: t["dX"]!,
            dMix: t["dMix"]!,
          }),
        ...GRAD,
      });
    });

  for (const channels of [5, 64])
    for (const [x, halves] of [
      ["f16", ["y", "dY", "dX"]],
      ["f32", ["y", "dY"]],
      ["f16", ["dX"]],
    ] as const)
      test(`mixes ${x} of ${channels} channels with ${halves.join(", ")} in halves`, async () => {
        const shape = { batch: 3, rows: 67, capacity: 67, channels };
        await checkOp({
          inputs: {
            x: { shape: [3, 67, channels], dtype: x },
            mix: { shape: [3, channels] },
            span: { shape: [1], dtype: "u32", values: [0] },
          },
          outputs: { y: [3, 67, channels] },
          halves,
          forward: (g, t) =>
            keyShiftForward(g, {
              ...shape,
              x: t["x"]!,
              mix: t["mix"]!,
              span: t["span"]!,
              y: t["y"]!,
            }),
          // Minus what it adds stands in dX before, then it is added twice.
          backward: (g, t) => {
            const common = { ...shape, x: t["x"]!, mix: t["mix"]!, dY: t["dY"]!, dMix: t["dMix"]! };
            const once = g.temp("once", [3, 67, channels]);
            keyShiftBackward(g, { ...common, dX: once });
            addForward(g, { x: once, z: once, y: t["dX"]!, scale: -2 });
            keyShiftBackward(g, { ...common, dX: t["dX"]!, accumulate: 1 });
            keyShiftBackward(g, { ...common, dX: t["dX"]!, accumulate: 1 });
          },
          probes: 6,
          ...GRAD,
        });
      });

  for (const offset of [0, 1, 2, 9])
    test(`reads a cache at offset ${offset} as the whole window does`, async () => {
      const [capacity, channels, rows] = [16, 6, 4];
      await checkOp({
        inputs: {
          x: { shape: [1, capacity, channels] },
          mix: { shape: [3, channels] },
          span: { shape: [1], dtype: "u32", values: [offset] },
        },
        outputs: { y: [1, rows, channels] },
        forward: (g, t) =>
          keyShiftForward(g, {
            batch: 1,
            rows,
            capacity,
            channels,
            x: t["x"]!,
            mix: t["mix"]!,
            span: t["span"]!,
            y: t["y"]!,
          }),
      });
    });
});

describe("copyRows", () => {
  for (const channels of [3, 8])
    for (const [src, halves] of [
      ["f16", ["y"]],
      ["f32", ["y"]],
      ["f16", []],
    ] as const)
      test(`copies ${src} rows of ${channels} into ${halves.length === 1 ? "halves" : "f32"}`, async () => {
        await checkOp({
          inputs: {
            x: { shape: [6, channels], dtype: src },
            span: { shape: [1], dtype: "u32", values: [0] },
          },
          outputs: { y: [6, channels] },
          halves,
          forward: (g, t) =>
            copyRows(g, { src: t["x"]!, dst: t["y"]!, span: t["span"]!, rows: 6, capacity: 6 }),
        });
      });

  test("writes rows at the span, keeps the others and drops what passes the end", async () => {
    const gpu = await testGpu();
    for (const device of [
      await createCpuDevice({ threads: 0 }),
      ...(gpu === undefined ? [] : [gpu]),
    ]) {
      for (const at of [0, 3, 8]) {
        const src = device.tensor("src", [4, 3]);
        const dst = device.tensor("dst", [10, 3]);
        const span = device.tensor("span", [1], "u32");
        device.write(
          src,
          Array.from({ length: 12 }, (_, i) => i + 1),
        );
        device.write(dst, new Float32Array(30).fill(-1));
        device.write(span, [at]);
        const g = new Graph();
        copyRows(g, { src, dst, span, rows: 4, capacity: 10 });
        await (await device.compile(g, "copy")).run();
        const want = new Float32Array(30).fill(-1);
        for (let i = 0; i < 12; i++) if (at * 3 + i < 30) want[at * 3 + i] = i + 1;
        expect([...(await device.read(dst))]).toEqual([...want]);
      }
    }
  });
});
