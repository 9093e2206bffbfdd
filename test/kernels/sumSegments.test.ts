import { describe, test } from "vitest";
import { gatherRowsForward } from "../../model/kernels/gatherRows.ts";
import { sumSegmentsForward } from "../../model/kernels/sumSegments.ts";
import { checkOp } from "../support/checkOp.ts";

describe("sumSegments", () => {
  test("sums runs of rows, and a gather is its gradient", async () => {
    // Rows 0 and 9 lie outside all segments; the second segment is empty.
    const start = Uint32Array.of(1, 4, 4, 5, 9);
    const owner = Uint32Array.of(0xffffffff, 0, 0, 0, 2, 3, 3, 3, 3, 0xffffffff);
    await checkOp({
      inputs: {
        x: { shape: [10, 8] },
        start: { shape: [5], dtype: "u32", values: start },
        index: { shape: [10], dtype: "u32", values: owner },
      },
      outputs: { y: [4, 8] },
      forward: (g, t) => sumSegmentsForward(g, { x: t["x"]!, start: t["start"]!, out: t["y"]! }),
      backward: (g, t) => gatherRowsForward(g, { x: t["dY"]!, index: t["index"]!, out: t["dX"]! }),
      probes: 80,
    });
  });
});
