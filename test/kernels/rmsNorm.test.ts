import { describe, test } from "vitest";
import { addForward, addInto } from "../../model/kernels/add.ts";
import { rmsNormBackward, rmsNormForward } from "../../model/kernels/rmsNorm.ts";
import { checkOp } from "../support/checkOp.ts";

const shapes = [
  [1, 4],
  [7, 36],
  [33, 256],
  [5, 1536],
  [2, 8192],
  [1031, 64],
] as const;

describe("rmsNorm", () => {
  for (const [rows, C] of shapes)
    test(`matches its twin and its differences on ${rows} rows of ${C}`, async () => {
      await checkOp({
        inputs: { x: { shape: [rows, C], std: 2, mean: 0.3 } },
        outputs: { y: [rows, C] },
        forward: (g, t) => rmsNormForward(g, { x: t["x"]!, y: t["y"]! }),
        backward: (g, t) => rmsNormBackward(g, { x: t["x"]!, dY: t["dY"]!, dX: t["dX"]! }),
        probes: rows * C > 10_000 ? 2 : 24,
      });
    });

  for (const [rows, C] of [
    [7, 36],
    [33, 384],
    [5, 2048],
  ] as const)
    for (const halves of [["y", "dX"], ["y", "dY"], ["dY", "dX"], []])
      test(`holds x and ${halves.join(", ") || "nothing else"} in halves on ${rows} rows of ${C}`, async () => {
        await checkOp({
          inputs: { x: { shape: [rows, C], std: 2, dtype: "f16" } },
          outputs: { y: [rows, C] },
          halves,
          forward: (g, t) => rmsNormForward(g, { x: t["x"]!, y: t["y"]! }),
          backward: (g, t) => rmsNormBackward(g, { x: t["x"]!, dY: t["dY"]!, dX: t["dX"]! }),
          probes: 4,
        });
      });

  test("adds to a gradient held in halves", async () => {
    await checkOp({
      inputs: { x: { shape: [19, 32] } },
      outputs: { y: [19, 32] },
      halves: ["dY", "dX"],
      forward: (g, t) => rmsNormForward(g, { x: t["x"]!, y: t["y"]! }),
      backward: (g, t) => {
        const none = g.temp("none", [19, 32]);
        addForward(g, { x: t["dY"]!, z: t["dY"]!, y: none, scale: -1 });
        addForward(g, { x: none, z: none, y: t["dX"]! });
        rmsNormBackward(g, { x: t["x"]!, dY: t["dY"]!, dX: t["dX"]!, accumulate: 1 });
      },
    });
  });

  test("stays finite on zeros, tiny and huge rows", async () => {
    const values = Float64Array.from(
      { length: 24 },
      (_, i) => [0, 1e-12, 1e15][Math.floor(i / 8)]!,
    );
    await checkOp({
      inputs: { x: { shape: [3, 8], values, constant: true } },
      outputs: { y: [3, 8] },
      forward: (g, t) => rmsNormForward(g, { x: t["x"]!, y: t["y"]! }),
    });
  });

  test("adds its gradient twice when it accumulates", async () => {
    await checkOp({
      inputs: { x: { shape: [19, 32] } },
      outputs: { y: [19, 32] },
      forward: (g, t) => {
        const once = g.temp("once", [19, 32]);
        rmsNormForward(g, { x: t["x"]!, y: once, channels: 32 });
        rmsNormForward(g, { x: t["x"]!, y: t["y"]! });
        addInto(g, { x: once, y: t["y"]! });
      },
      backward: (g, t) => {
        rmsNormBackward(g, { x: t["x"]!, dY: t["dY"]!, dX: t["dX"]! });
        rmsNormBackward(g, { x: t["x"]!, dY: t["dY"]!, dX: t["dX"]!, accumulate: 1 });
      },
    });
  });

  test("spreads rows over two grid dimensions beyond 65,535 workgroups", async () => {
    const rows = 65_536 * 16 + 5;
    await checkOp({
      inputs: { x: { shape: [rows, 4], constant: true } },
      outputs: { y: [rows, 4] },
      forward: (g, t) => rmsNormForward(g, { x: t["x"]!, y: t["y"]! }),
    });
  });
});
