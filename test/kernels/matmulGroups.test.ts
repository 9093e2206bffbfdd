/** Products of several sizes in one dispatch: every batch as the twin makes it, none touches another's. */
import { describe, test } from "vitest";
import { matmulGroups, type GroupSize } from "../../model/kernels/matmulGroups.ts";
import { matrixTiles } from "../../model/kernels/matmulTiles.ts";
import { checkOp } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

/** Sums of at most 200 products of halves with unit normals; results are rounded to halves by checkOp's own bound. */
const TOLERANCE = { atol: 4e-3, rtol: 1e-3 };

/** Sizes that fill no tile, one that fills several, and a batch of one. */
const groups: readonly GroupSize[] = [
  { m: 72, k: 200, n: 72, batch: 2 },
  { m: 136, k: 64, n: 128, batch: 1 },
  { m: 16, k: 40, n: 24, batch: 5 },
  { m: 8, k: 8, n: 8, batch: 1 },
];
const sum = (f: (g: GroupSize) => number): number => groups.reduce((s, g) => s + f(g), 0);
const sizes = {
  a: sum((g) => g.batch * g.m * g.k),
  b: sum((g) => g.batch * g.k * g.n),
  out: sum((g) => g.batch * g.m * g.n),
};

function check(transposeB: 0 | 1, blend: 0 | 1, matrixTile?: number): Promise<void> {
  return checkOp({
    inputs: {
      a: { shape: [sizes.a], dtype: "f16" },
      b: { shape: [sizes.b], dtype: "f16" },
      hidden: { shape: [sizes.out], dtype: "f16" },
    },
    outputs: { out: [sizes.out] },
    halves: ["out"],
    forward: (g, t) =>
      matmulGroups(g, {
        ...{ a: t["a"]!, b: t["b"]!, out: t["out"]!, groups, transposeB },
        ...(blend === 1 && {
          blend: { hidden: t["hidden"]!, shares: { hidden: -1.5, product: 0.5 } },
        }),
        ...(matrixTile === undefined ? {} : { matrixTile }),
      }),
    ...TOLERANCE,
  });
}

describe("products of several sizes", () => {
  for (const transposeB of [0, 1] as const)
    for (const blend of [0, 1] as const)
      test(`match the twin, Bᵀ ${transposeB}, blended ${blend}`, () => check(transposeB, blend));

  test.each(matrixTiles.map((t, i) => [i, t] as const))(
    "match the twin with matrix tile %i",
    async (i, tile) => {
      const device = await testGpu();
      if (device?.caps.subgroupMatrix !== true) return;
      if (tile.plain !== "ab") await check(1, 0, i);
      await check(0, 1, i);
    },
  );
});
