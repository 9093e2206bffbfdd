import { describe, test } from "vitest";
import { reluSquaredBackward, reluSquaredForward } from "../../model/kernels/reluSquared.ts";
import { checkOp } from "../support/checkOp.ts";

const sizes = [1, 7, 1031, 70_000] as const;

describe("reluSquared", () => {
  for (const n of sizes)
    test(`matches its twin and its differences at ${n} elements`, async () => {
      await checkOp({
        inputs: { x: { shape: [n] } },
        outputs: { y: [n] },
        forward: (g, t) => reluSquaredForward(g, { x: t["x"]!, y: t["y"]! }),
        backward: (g, t) => reluSquaredBackward(g, { x: t["x"]!, dY: t["dY"]!, dX: t["dX"]! }),
        probes: n > 10_000 ? 1 : 24,
      });
    });

  for (const n of [7, 1032, 70_000])
    for (const halves of [["y", "dY", "dX"], ["dX"], []])
      test(`holds x and ${halves.join(", ") || "nothing else"} in halves at ${n} elements`, async () => {
        await checkOp({
          inputs: { x: { shape: [n], dtype: "f16" } },
          outputs: { y: [n] },
          halves,
          forward: (g, t) => reluSquaredForward(g, { x: t["x"]!, y: t["y"]! }),
          backward: (g, t) => reluSquaredBackward(g, { x: t["x"]!, dY: t["dY"]!, dX: t["dX"]! }),
          probes: n > 10_000 ? 1 : 8,
        });
      });
});
