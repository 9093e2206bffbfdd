import { test } from "vitest";
import { convert } from "../../model/kernels/convert.ts";
import { checkOp } from "../support/checkOp.ts";

test.each([4, 1020, 1024, 5000])("%i elements change how they are held", async (n) => {
  for (const [dtype, halves] of [
    ["f32", ["y"]],
    ["f16", []],
    ["f32", []],
  ] as const)
    await checkOp({
      inputs: { x: { shape: [n], dtype } },
      outputs: { y: [n] },
      halves,
      forward: (g, t) => convert(g, { x: t["x"]!, y: t["y"]! }),
      atol: 0,
      rtol: 0,
    });
});
