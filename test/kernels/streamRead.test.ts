import { describe, test } from "vitest";
import { addInto } from "../../model/kernels/add.ts";
import { streamReadBackward, streamReadForward } from "../../model/kernels/streamRead.ts";
import { checkOp } from "../support/checkOp.ts";

const shapes = [
  [1, 1, 4],
  [3, 2, 12],
  [9, 4, 132],
  [17, 8, 20],
  [1031, 4, 16],
] as const;

describe("streamRead", () => {
  for (const [T, S, C] of shapes)
    test(`matches its twin and its differences on ${T} tokens, ${S} streams of ${C}`, async () => {
      await checkOp({
        inputs: { x: { shape: [T, S, C] }, pre: { shape: [T, S] } },
        outputs: { h: [T, C] },
        forward: (g, t) => streamReadForward(g, { x: t["x"]!, pre: t["pre"]!, h: t["h"]! }),
        backward: (g, t) =>
          streamReadBackward(g, {
            x: t["x"]!,
            pre: t["pre"]!,
            dH: t["dH"]!,
            dPre: t["dPre"]!,
            dX: t["dX"]!,
          }),
        probes: T > 100 ? 2 : 12,
      });
    });

  test("adds its gradient to the streams' when it accumulates", async () => {
    await checkOp({
      inputs: { x: { shape: [9, 4, 24] }, pre: { shape: [9, 4] } },
      outputs: { h: [9, 24] },
      forward: (g, t) => {
        const once = g.temp("once", [9, 24]);
        streamReadForward(g, { x: t["x"]!, pre: t["pre"]!, h: once });
        streamReadForward(g, { x: t["x"]!, pre: t["pre"]!, h: t["h"]! });
        addInto(g, { x: once, y: t["h"]! });
      },
      backward: (g, t) => {
        const dPre = g.temp("dPre", [9, 4]);
        const a = { x: t["x"]!, pre: t["pre"]!, dH: t["dH"]!, dX: t["dX"]! };
        streamReadBackward(g, { ...a, dPre: t["dPre"]! });
        streamReadBackward(g, { ...a, dPre, accumulate: 1 });
        addInto(g, { x: dPre, y: t["dPre"]! });
      },
      probes: 12,
    });
  });
});
