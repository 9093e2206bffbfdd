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

  for (const n of [7, 1028, 70_000])
    for (const [x, z, y] of [
      ["f16", "f16", "f16"],
      ["f16", "f32", "f32"],
      ["f32", "f16", "f16"],
    ] as const)
      test(`adds ${x} and ${z} to ${y} at ${n} elements`, async () => {
        await checkOp({
          inputs: { x: { shape: [n], dtype: x }, z: { shape: [n], dtype: z } },
          outputs: { y: [n], twice: [n] },
          halves: y === "f16" ? ["y", "twice"] : [],
          forward: (g, t) => {
            addForward(g, { x: t["x"]!, z: t["z"]!, y: t["y"]!, scale: -0.75 });
            addForward(g, { x: t["x"]!, z: t["x"]!, y: t["twice"]!, scale: 0 });
            addInto(g, { x: t["x"]!, y: t["twice"]! });
          },
        });
      });
});
