import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Graph } from "../../model/graph.ts";
import { reluSquaredBackward, reluSquaredForward } from "../../model/kernels/reluSquared.ts";
import { checkOp } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

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
});

describe("a grid larger than one dimension", () => {
  test("covers every element exactly once on every device", async () => {
    // 65,535 workgroups of 256 fit in one dimension; this folds into two, with a ragged end.
    const n = 256 * 65535 + 300;
    const gpu = await testGpu();
    for (const device of [
      await createCpuDevice({ threads: 0 }),
      ...(gpu === undefined ? [] : [gpu]),
    ]) {
      const x = device.tensor("x", [n]);
      const y = device.tensor("y", [n]);
      device.write(
        x,
        Float32Array.from({ length: n }, (_, i) => i % 1000),
      );
      device.write(y, new Float32Array(n).fill(-1));
      const g = new Graph();
      reluSquaredForward(g, { x, y });
      const program = await device.compile(g, "grid");
      await program.run();
      const got = await device.read(y);
      let wrong = 0;
      for (let i = 0; i < n; i++) if (got[i] !== (i % 1000) ** 2) wrong++;
      expect(wrong, device.name).toBe(0);
      program.dispose();
      device.free(x);
      device.free(y);
    }
  });
});
