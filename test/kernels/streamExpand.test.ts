import { describe, test } from "vitest";
import {
  streamCollapseBackward,
  streamCollapseForward,
} from "../../model/kernels/streamCollapse.ts";
import { streamExpandBackward, streamExpandForward } from "../../model/kernels/streamExpand.ts";
import { checkOp } from "../support/checkOp.ts";

const shapes = [
  [1, 1, 4],
  [7, 3, 12],
  [301, 4, 68],
] as const;

for (const [T, S, C] of shapes) {
  describe("streamExpand", () => {
    test(`copies ${T} vectors of ${C} to ${S} streams`, async () => {
      await checkOp({
        inputs: { x: { shape: [T, C] } },
        outputs: { y: [T, S, C] },
        forward: (g, t) => streamExpandForward(g, { x: t["x"]!, y: t["y"]! }),
        backward: (g, t) => streamExpandBackward(g, { dY: t["dY"]!, dX: t["dX"]! }),
        probes: T > 100 ? 2 : 24,
      });
    });
  });

  describe("streamCollapse", () => {
    test(`averages ${S} streams of ${T} vectors of ${C}`, async () => {
      await checkOp({
        inputs: { x: { shape: [T, S, C] } },
        outputs: { y: [T, C] },
        forward: (g, t) => streamCollapseForward(g, { x: t["x"]!, y: t["y"]! }),
        backward: (g, t) => streamCollapseBackward(g, { dY: t["dY"]!, dX: t["dX"]! }),
        probes: T > 100 ? 2 : 24,
      });
    });
  });
}
