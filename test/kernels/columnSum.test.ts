import { describe, test } from "vitest";
import { columnSum, weightedTotal } from "../../model/kernels/columnSum.ts";
import { checkOp } from "../support/checkOp.ts";

// Sums of thousands of unit normals in f32, in another order than the twin's.
const SUM_ATOL = 1e-3;

describe("columnSum", () => {
  for (const [rows, C] of [
    [1, 1],
    [63, 5],
    [65, 64],
    [1000, 129],
    [5003, 36],
  ] as const)
    test(`matches its twin on ${rows} rows of ${C}`, async () => {
      await checkOp({
        inputs: { x: { shape: [rows, C] } },
        outputs: { y: [C] },
        forward: (g, t) => {
          columnSum(g, { x: t["x"]!, out: t["y"]! });
          columnSum(g, { x: t["x"]!, out: t["y"]!, accumulate: 1 });
        },
        atol: SUM_ATOL,
      });
    });

  test("splits a workgroup per row of chunks over two grid dimensions", async () => {
    const rows = 65_536 * 64 + 3;
    await checkOp({
      inputs: { x: { shape: [rows, 1], constant: true, std: 1e-2, mean: 1e-3 } },
      outputs: { y: [1] },
      forward: (g, t) => columnSum(g, { x: t["x"]!, out: t["y"]! }),
      atol: SUM_ATOL,
    });
  });
});

describe("weightedTotal", () => {
  for (const n of [1, 255, 257, 33_000])
    test(`matches its twin at ${n} elements`, async () => {
      await checkOp({
        inputs: { x: { shape: [n] }, weight: { shape: [1], values: [1 / n] } },
        outputs: { y: [1] },
        forward: (g, t) => weightedTotal(g, { x: t["x"]!, weight: t["weight"]!, out: t["y"]! }),
      });
    });
});
