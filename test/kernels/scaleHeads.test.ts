import { describe, test } from "vitest";
import { scaleHeadsBackward, scaleHeadsForward } from "../../model/kernels/scaleHeads.ts";
import { checkOp } from "../support/checkOp.ts";

/** Column sums of f32 products over up to 3,000 rows. */
const GRAD = { gradAtol: 2e-3, gradRtol: 1e-3 };

describe("scaleHeads", () => {
  for (const [rows, n, std] of [
    [1, 1, 1],
    [7, 3, 2],
    [700, 16, 1],
    [3000, 24, 30],
  ] as const)
    test(`scales ${rows} rows of ${n} columns by gains of spread ${std}`, async () => {
      await checkOp({
        inputs: { x: { shape: [rows, n] }, raw: { shape: [n], std } },
        outputs: { y: [rows, n] },
        forward: (g, t) =>
          scaleHeadsForward(g, { x: t["x"]!, raw: t["raw"]!, y: t["y"]!, scale: 3 }),
        backward: (g, t) =>
          scaleHeadsBackward(g, {
            x: t["x"]!,
            raw: t["raw"]!,
            dY: t["dY"]!,
            dX: t["dX"]!,
            dRaw: t["dRaw"]!,
            scale: 3,
          }),
        ...GRAD,
      });
    });
});
