import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Graph } from "../../model/graph.ts";
import { probabilitiesForward } from "../../model/kernels/probabilities.ts";
import { checkOp } from "../support/checkOp.ts";

describe("probabilities", () => {
  for (const [rows, std] of [
    [1, 1],
    [9, 20],
    [513, 1e6],
  ] as const)
    test(`matches its twin on ${rows} rows of logits of size ${std}`, async () => {
      await checkOp({
        inputs: { logits: { shape: [rows, 272], std } },
        outputs: { p: [rows, 256], eom: [rows] },
        forward: (g, t) =>
          probabilitiesForward(g, {
            logits: t["logits"]!,
            p: t["p"]!,
            eom: t["eom"]!,
            softcap: 15,
          }),
      });
    });

  test("gives bytes a total of one and EOM its share among all symbols", async () => {
    const device = await createCpuDevice({ threads: 0, precision: "f64" });
    const logits = device.tensor("logits", [1, 272]);
    const p = device.tensor("p", [1, 256]);
    const eom = device.tensor("eom", [1]);
    const g = new Graph();
    probabilitiesForward(g, { logits, p, eom, softcap: 15 });
    await (await device.compile(g, "probabilities")).run();
    const total = [...(await device.read(p))].reduce((a, b) => a + b, 0);
    expect(total).toBeCloseTo(1, 12);
    expect((await device.read(eom))[0]).toBeCloseTo(1 / 272, 12);
  });
});
