import { describe, expect, test } from "vitest";
import {
  embedBytesBackward,
  embedBytesForward,
  invertIds,
  NO_ROW,
} from "../../model/kernels/embedBytes.ts";
import { Random } from "../../model/random.ts";
import { checkOp } from "../support/checkOp.ts";

function makeIds(rows: number, K: number, tableRows: number, frequent: number): Uint32Array {
  const random = new Random(rows + K);
  return Uint32Array.from({ length: rows * K }, () => {
    const u = random.uniform();
    if (u < 0.1) return NO_ROW;
    return u < 0.1 + frequent ? 2 % tableRows : random.below(tableRows);
  });
}

async function check(o: {
  rows: number;
  K: number;
  tableRows: number;
  C: number;
  frequent?: number;
  halves?: readonly string[];
}): Promise<void> {
  const ids = makeIds(o.rows, o.K, o.tableRows, o.frequent ?? 0.15);
  const listStart = new Uint32Array(o.tableRows + 1);
  const list = new Uint32Array(o.rows * o.K).fill(123456789);
  invertIds({ ids, tableRows: o.tableRows, listStart, list });
  await checkOp({
    inputs: {
      table: { shape: [o.tableRows, o.C] },
      ids: { shape: [o.rows, o.K], dtype: "u32", values: ids },
      listStart: { shape: [o.tableRows + 1], dtype: "u32", values: listStart },
      list: { shape: [o.rows * o.K], dtype: "u32", values: list },
    },
    outputs: { out: [o.rows, o.C] },
    ...(o.halves === undefined ? {} : { halves: o.halves }),
    forward: (g, t) => embedBytesForward(g, { table: t["table"]!, ids: t["ids"]!, out: t["out"]! }),
    backward: (g, t) =>
      embedBytesBackward(g, {
        dOut: t["dOut"]!,
        ids: t["ids"]!,
        listStart: t["listStart"]!,
        list: t["list"]!,
        dTable: t["dTable"]!,
      }),
    probes: o.rows > 100 ? 4 : 24,
    atol: 1e-4, // Sums of thousands of unit normals in f32.
  });
}

describe("embedBytes", () => {
  test("matches its twin and its differences on one position", () =>
    check({ rows: 1, K: 1, tableRows: 1, C: 4 }));
  test("matches on several rows per position and odd sizes", () =>
    check({ rows: 13, K: 3, tableRows: 7, C: 12 }));
  test("matches when a position names a row several times", () =>
    check({ rows: 90, K: 10, tableRows: 12, C: 16 }));
  test("matches when lists cross many chunks", () =>
    check({ rows: 700, K: 2, tableRows: 31, C: 20 }));
  for (const halves of [["out", "dOut"], ["out"], ["dOut"]])
    test(`matches with ${halves.join(", ")} in halves`, () =>
      check({ rows: 700, K: 2, tableRows: 31, C: 20, halves }));
  test("matches when one row holds nearly all positions", () =>
    check({ rows: 3000, K: 1, tableRows: 272, C: 16, frequent: 0.89 }));
  test("matches when the table is larger than the batch and wider than a workgroup", () =>
    check({ rows: 40, K: 2, tableRows: 5000, C: 264 }));

  test("inverts ids into ascending positions per table row and leaves out NO_ROW", () => {
    const ids = Uint32Array.of(2, NO_ROW, 0, 2, 2, 0);
    const listStart = new Uint32Array(5);
    const list = new Uint32Array(6);
    invertIds({ ids, tableRows: 4, listStart, list });
    expect([...listStart]).toEqual([0, 2, 2, 5, 5]);
    expect([...list.subarray(0, 5)]).toEqual([2, 5, 0, 3, 4]);
  });
});
