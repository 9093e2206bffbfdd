import { describe, test } from "vitest";
import { gatherRowsForward } from "../../model/kernels/gatherRows.ts";
import { sumSegmentsForward } from "../../model/kernels/sumSegments.ts";
import { Random } from "../../model/random.ts";
import { checkOp } from "../support/checkOp.ts";

const NO_ROW = 0xffffffff;

/** Segment starts of P runs of 0..6 rows; the last row index they reach is returned as rows. */
function makeSegments(P: number): { start: Uint32Array; rows: number; owner: Uint32Array } {
  const random = new Random(P);
  const start = new Uint32Array(P + 1);
  for (let p = 0; p < P; p++) start[p + 1] = start[p]! + (p === 0 ? 3 : random.below(7));
  const rows = start[P]! + 2;
  const owner = new Uint32Array(rows).fill(NO_ROW);
  for (let p = 0; p < P; p++) owner.fill(p, start[p], start[p + 1]);
  return { start, rows, owner };
}

describe("gatherRows", () => {
  for (const [P, C] of [
    [1, 4],
    [23, 12],
    [900, 68],
  ] as const)
    test(`repeats ${P} rows of ${C}, and sumSegments is its gradient`, async () => {
      const { start, rows, owner } = makeSegments(P);
      await checkOp({
        inputs: {
          x: { shape: [P, C] },
          index: { shape: [rows], dtype: "u32", values: owner },
          start: { shape: [P + 1], dtype: "u32", values: start },
        },
        outputs: { y: [rows, C] },
        forward: (g, t) => gatherRowsForward(g, { x: t["x"]!, index: t["index"]!, out: t["y"]! }),
        backward: (g, t) =>
          sumSegmentsForward(g, { x: t["dY"]!, start: t["start"]!, out: t["dX"]! }),
        probes: P > 100 ? 4 : 24,
      });
    });

  for (const [x, halves] of [
    ["f16", ["y", "dY", "dX"]],
    ["f32", ["y", "dX"]],
    ["f16", ["dY"]],
  ] as const)
    test(`gathers ${x} rows with ${halves.join(", ")} in halves`, async () => {
      const { start, rows, owner } = makeSegments(61);
      await checkOp({
        inputs: {
          x: { shape: [61, 36], dtype: x },
          index: { shape: [rows], dtype: "u32", values: owner },
          start: { shape: [62], dtype: "u32", values: start },
        },
        outputs: { y: [rows, 36] },
        halves,
        forward: (g, t) => {
          gatherRowsForward(g, { x: t["x"]!, index: t["index"]!, out: t["y"]! });
          gatherRowsForward(g, { x: t["x"]!, index: t["index"]!, out: t["y"]!, accumulate: 1 });
        },
        backward: (g, t) => {
          sumSegmentsForward(g, { x: t["dY"]!, start: t["start"]!, out: t["dX"]! });
          sumSegmentsForward(g, { x: t["dY"]!, start: t["start"]!, out: t["dX"]!, accumulate: 1 });
        },
        probes: 4,
        // Doubled halves are rounded twice.
        rtol: 1e-3,
        atol: 1e-3,
      });
    });

  test("adds to what is there when it accumulates", async () => {
    const { start, rows, owner } = makeSegments(37);
    await checkOp({
      inputs: {
        x: { shape: [37, 8] },
        index: { shape: [rows], dtype: "u32", values: owner },
        start: { shape: [38], dtype: "u32", values: start },
      },
      outputs: { y: [rows, 8] },
      forward: (g, t) => {
        gatherRowsForward(g, { x: t["x"]!, index: t["index"]!, out: t["y"]! });
        gatherRowsForward(g, { x: t["x"]!, index: t["index"]!, out: t["y"]!, accumulate: 1 });
      },
      backward: (g, t) => {
        sumSegmentsForward(g, { x: t["dY"]!, start: t["start"]!, out: t["dX"]! });
        sumSegmentsForward(g, { x: t["dY"]!, start: t["start"]!, out: t["dX"]!, accumulate: 1 });
      },
    });
  });
});
