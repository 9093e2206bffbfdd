import { describe, test } from "vitest";
import { addForward, addInto } from "../../model/kernels/add.ts";
import { checkOp } from "../support/checkOp.ts";

describe("add", () => {
  for (const n of [1, 7, 1025, 70_001])
    test(`matches its twin at ${n} elements, into a third tensor and in place`, async () => {
      await checkOp({
        inputs: { x: { shape: [n] }, z: { shape: [n] } },
        outputs: { y: [n] },
        forward: (g, t) => {
          addForward(g, { x: t["x"]!, z: t["z"]!, y: t["y"]!, scale: -0.75 });
          addInto(g, { x: t["z"]!, y: t["y"]!, scale: 2.5 });
        },
      });
    });
});
