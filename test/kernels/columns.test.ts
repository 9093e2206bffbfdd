import { describe, test } from "vitest";
import { joinColumns, splitColumns } from "../../model/kernels/columns.ts";
import { softcapBackward, softcapForward } from "../../model/kernels/softcap.ts";
import { checkOp } from "../support/checkOp.ts";

describe("joinColumns", () => {
  for (const [rows, n1, n2] of [
    [1, 1, 1],
    [5, 3, 7],
    [301, 8, 8],
  ] as const)
    test(`joins [${rows}, ${n1}] and [${rows}, ${n2}] and its backward splits`, async () => {
      await checkOp({
        inputs: { a: { shape: [rows, n1] }, b: { shape: [rows, n2] } },
        outputs: { y: [rows, n1 + n2] },
        forward: (g, t) => joinColumns(g, { x1: t["a"]!, x2: t["b"]!, y: t["y"]!, rows }),
        backward: (g, t) => splitColumns(g, { x1: t["dA"]!, x2: t["dB"]!, y: t["dY"]!, rows }),
      });
    });
});

describe("softcap", () => {
  for (const [n, std] of [
    [1, 1],
    [7, 20],
    [1031, 5],
    [70_000, 1000],
  ] as const)
    test(`bounds ${n} values of scale ${std}`, async () => {
      await checkOp({
        inputs: { x: { shape: [n], std } },
        outputs: { y: [n] },
        forward: (g, t) => softcapForward(g, { x: t["x"]!, y: t["y"]!, cap: 8 }),
        backward: (g, t) => softcapBackward(g, { x: t["x"]!, dY: t["dY"]!, dX: t["dX"]!, cap: 8 }),
        probes: n > 10_000 ? 1 : 24,
      });
    });
});
