import { describe, test } from "vitest";
import { matmulColumns } from "../../model/kernels/sumColumns.ts";
import { mapGradients } from "../../model/kernels/sumMaps.ts";
import { checkOp, type Tensors } from "../support/checkOp.ts";

async function check(o: {
  m: number;
  k: number;
  nTied: number;
  nFree: number;
  nSalience: number;
  /** Columns that count nowhere. */
  spare: number;
  dtype: "f32" | "f16";
}): Promise<void> {
  const { m, k, nTied, nFree, nSalience, spare, dtype } = o;
  const widthQ = nTied + nFree + spare;
  const widthK = nTied + nFree + nSalience + spare;
  const maps = { tied: nTied, query: nFree, key: nFree, salience: nSalience };
  const names = Object.keys(maps) as (keyof typeof maps)[];
  const inputs = (t: Tensors) => ({
    ...{ x: t["x"]!, xk: t["xk"]!, dQueries: t["queries"]!, dKeys: t["keys"]! },
  });
  await checkOp({
    inputs: {
      x: { shape: [k, m], dtype },
      xk: { shape: [k, m], dtype },
      queries: { shape: [k, widthQ], dtype },
      keys: { shape: [k, widthK], dtype },
    },
    outputs: {
      ...Object.fromEntries(names.map((name) => [name, [m, maps[name]]])),
      // The same in two steps, with the kernel for columns.
      ...Object.fromEntries(names.map((name) => [`${name}Alone`, [m, maps[name]]])),
    },
    forward: (g, t) => {
      const [tied, query, key, salience] = names.map((name) => t[name]!);
      const into = { tied: tied!, query: query!, key: key!, salience: salience! };
      mapGradients(g, { ...inputs(t), ...into, m, k });
      const outs = (list: readonly (keyof typeof maps)[], accumulate: 0 | 1) =>
        list.map((name, i) => ({
          out: t[`${name}Alone`]!,
          accumulate: i === 0 ? accumulate : (0 as const),
        }));
      const { x, xk, dQueries, dKeys } = inputs(t);
      matmulColumns(g, { a: x, b: dQueries, outs: outs(["tied", "query"], 0), m, k, n: widthQ });
      const later = outs(["tied", "key", "salience"], 1);
      matmulColumns(g, { a: xk, b: dKeys, outs: later, m, k, n: widthK });
    },
    atol: 2e-5 * Math.sqrt(k),
    rtol: 1e-5,
  });
}

describe("sumMaps", () => {
  test("matches its twin on one part", () =>
    check({ m: 1, k: 3, nTied: 1, nFree: 1, nSalience: 1, spare: 0, dtype: "f32" }));
  test("matches its twin on odd sizes, with columns that count nowhere", () =>
    check({ m: 20, k: 90, nTied: 12, nFree: 5, nSalience: 3, spare: 4, dtype: "f32" }));
  test("matches its twin on many parts", () =>
    check({ m: 20, k: 5001, nTied: 12, nFree: 5, nSalience: 3, spare: 4, dtype: "f32" }));
  test("matches its twin on halves and more than a workgroup", () =>
    check({ m: 72, k: 2600, nTied: 64, nFree: 16, nSalience: 4, spare: 4, dtype: "f16" }));
});
