import { describe, test } from "vitest";
import { aheadTargets } from "../../model/kernels/aheadTargets.ts";
import { SKIP } from "../../model/kernels/crossEntropy.ts";
import { Random } from "../../model/random.ts";
import { checkOp } from "../support/checkOp.ts";

async function check(o: { windows: number; rows: number; heads: number; skip: number }) {
  const size = o.windows * o.rows;
  const random = new Random(size + o.heads);
  const targets = Uint32Array.from({ length: size }, () =>
    random.uniform() < o.skip ? SKIP : random.below(272),
  );
  await checkOp({
    inputs: { targets: { shape: [size], dtype: "u32", values: targets } },
    outputs: { out: [size, o.heads] },
    integers: ["out"],
    forward: (g, t) =>
      aheadTargets(g, { targets: t["targets"]!, out: t["out"]!, rows: o.rows, heads: o.heads }),
    atol: 0,
    rtol: 0,
  });
}

describe("aheadTargets", () => {
  test("matches its twin on one position", () => check({ windows: 1, rows: 1, heads: 1, skip: 0 }));
  test("matches on several windows of an odd size", () =>
    check({ windows: 3, rows: 13, heads: 3, skip: 0.2 }));
  test("matches where more bytes are asked for than a window has", () =>
    check({ windows: 5, rows: 3, heads: 7, skip: 0 }));
  test("matches over many workgroups", () =>
    check({ windows: 4, rows: 1024, heads: 3, skip: 0.02 }));
});
