import { describe, test } from "vitest";
import { addForward } from "../../model/kernels/add.ts";
import { addNorm } from "../../model/kernels/addNorm.ts";
import { rmsNormBackward } from "../../model/kernels/rmsNorm.ts";
import { checkOp } from "../support/checkOp.ts";

const shapes = [
  [1, 4],
  [7, 36],
  [33, 256],
  [5, 1536],
  [1031, 64],
] as const;

function check(rows: number, C: number, dtype: "f32" | "f16"): Promise<void> {
  return checkOp({
    inputs: {
      x: { shape: [rows, C], std: 2, mean: 0.3, dtype },
      f: { shape: [rows, C], dtype },
    },
    outputs: { y: [rows, C], normed: [rows, C] },
    halves: dtype === "f16" ? ["y", "normed"] : [],
    forward: (g, t) => addNorm(g, { x: t["x"]!, f: t["f"]!, y: t["y"]!, normed: t["normed"]! }),
    backward: (g, t) => {
      const through = g.temp("through", [rows, C]);
      rmsNormBackward(g, { x: t["y"]!, dY: t["dNormed"]!, dX: through });
      addForward(g, { x: t["dY"]!, z: through, y: t["dX"]! });
      addForward(g, { x: t["dY"]!, z: through, y: t["dF"]! });
    },
    // In halves the gradient is of the rounded y.
    ...(dtype === "f16" ? { gradRtol: 2e-3, gradAtol: 2e-3 } : {}),
    probes: rows * C > 10_000 ? 2 : 12,
  });
}

describe("addNorm", () => {
  for (const [rows, C] of shapes)
    test(`matches its twin and its differences on ${rows} rows of ${C}`, () =>
      check(rows, C, "f32"));

  test("takes halves", () => check(37, 36, "f16"));
});
