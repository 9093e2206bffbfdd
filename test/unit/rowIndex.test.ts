/** The rows of a memory's index: sorted by the contexts before them, each file readable along `follow`. */
import { describe, expect, test } from "vitest";
import {
  indexRows,
  NO_ROW,
  ROW_DEPTH,
  SHALLOW_ROW_DEPTH,
  workOnRows,
  type RowIndex,
} from "../../model/memory/rowIndex.ts";
import { MAX_ORDER } from "../../model/memory/segment.ts";
import { Random } from "../../model/random.ts";

/** Few letters and whole repeated passages: contexts that agree for long and groups of every size. */
function drawFiles(count: number, length: number, letters: number, seed: number): Uint8Array[] {
  const random = new Random(seed);
  const passage = Uint8Array.from({ length: 300 }, () => random.below(letters));
  return Array.from({ length: count }, () => {
    const bytes = Uint8Array.from({ length: random.below(2 * length) }, () =>
      random.below(letters),
    );
    for (let at = 0; at + 300 < bytes.length; at += 700) bytes.set(passage, at);
    return bytes;
  });
}

/** The bytes before a place, nearest first, up to `depth` symbols: −1 is the beginning of the file. */
function contextOf(bytes: Uint8Array, at: number, depth: number): number[] {
  const context: number[] = [];
  for (let i = at - 1; i >= -1 && context.length < depth; i--) context.push(i < 0 ? -1 : bytes[i]!);
  return context;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

/** Reads every file along the rows and checks the contexts' order. */
function check(files: readonly Uint8Array[], index: RowIndex, depth: number = ROW_DEPTH): void {
  const { next, follow } = index;
  const contexts: number[][] = [];
  const found: string[] = [];
  for (let first = 0; first < files.length; first++) {
    const bytes: number[] = [];
    const rows = [first];
    for (let row = first; follow[row] !== NO_ROW; row = follow[row]!) {
      bytes.push(next[row]!);
      rows.push(follow[row]!);
    }
    const file = Uint8Array.from(bytes);
    rows.forEach((row, at) => (contexts[row] = contextOf(file, at, depth)));
    found.push(Buffer.from(file).toString("latin1"));
  }
  expect(found.toSorted()).toEqual(
    files.map((bytes) => Buffer.from(bytes).toString("latin1")).toSorted(),
  );
  expect(Object.keys(contexts).length).toBe(next.length);
  for (let row = 1; row < contexts.length; row++)
    if (compare(contexts[row - 1]!, contexts[row]!) > 0) expect.fail(`row ${row} is out of order`);
}

describe("the rows of an index", () => {
  test("are sorted as deep as contexts are asked for", () =>
    expect(ROW_DEPTH).toBeGreaterThanOrEqual(MAX_ORDER));

  for (const [name, files] of [
    ["a few bytes", drawFiles(5, 30, 3, 1)],
    ["no bytes", [new Uint8Array(0), new Uint8Array(0)]],
    ["one run", [new Uint8Array(40_000).fill(32), new Uint8Array(10).fill(32)]],
    ["many repetitions", drawFiles(60, 2000, 4, 2)],
    ["many letters", drawFiles(40, 2500, 200, 3)],
    ["all byte values", drawFiles(20, 3000, 256, 4)],
  ] as const) {
    test(`are sorted and read every file: ${name}`, () => check(files, indexRows(files)));
    test(`are the same made by others: ${name}`, () => {
      const index = indexRows(files, { join: workOnRows });
      check(files, index);
      expect(index).toEqual(indexRows(files));
    });
    test(`are sorted to a smaller depth: ${name}`, () =>
      check(files, indexRows(files, { depth: SHALLOW_ROW_DEPTH }), SHALLOW_ROW_DEPTH));
  }
});
