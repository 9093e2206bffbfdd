/** The n-gram memory's contexts, index and batches: what is looked up, and what never may be. */
import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { BOS, headerSymbols, PATH_END, PRE, SUF, type CorpusFile } from "../../model/bytes.ts";
import { EngramBatch } from "../../model/engramBatch.ts";
import { EngramContexts, engramContextCount } from "../../model/engramContexts.ts";
import { EngramIndex } from "../../model/engramIndex.ts";
import { NO_ROW } from "../../model/kernels/embedBytes.ts";
import { tinyConfig } from "../support/tinyModel.ts";

const config = tinyConfig({
  engram: "on",
  engramRows: 4096,
  engramLongest: 6,
  engramFiles: 3,
  engramDropout: 0.3,
});
const K = engramContextCount(config);
const text = new TextEncoder();
const file = (path: string, content: string): CorpusFile => ({ path, bytes: text.encode(content) });

const files = [
  file("a.ts", "const counter = increment(counter);\n"),
  file("b.ts", "const counter = decrement(counter);\n"),
  file("c.ts", "let counter = counters.increment();\n"),
  file("d.ts", "onlyHere();\n"),
];

const hashesAfter = (symbols: readonly number[]): number[] => {
  const contexts = new EngramContexts(config);
  for (const s of symbols) contexts.push(s);
  return [...contexts.hashes];
};
const rowsOf = (index: EngramIndex, symbols: ArrayLike<number>): Uint32Array => {
  const out = new Uint32Array(symbols.length * K);
  index.rows(symbols, out, 0);
  return out;
};
/** Contexts that have a row of their own. */
const owned = (rows: Uint32Array): number =>
  rows.reduce((n, id) => n + (id !== NO_ROW && id % config.engramRows !== 0 ? 1 : 0), 0);

const symbols = fc.array(
  fc.oneof(fc.constantFrom(...text.encode("ab_ (.\n")), fc.constantFrom(BOS, PATH_END, SUF, PRE)),
  { maxLength: 60 },
);

describe("contexts", () => {
  test("are the last bytes, the word and the pair of words", () => {
    const h = (s: string): number[] => hashesAfter([...text.encode(s)]);
    // Orders 3 and 4 agree where the last bytes do; order 5 sees the difference.
    expect(h("xxabcd").slice(0, 2)).toEqual(h("yyabcd").slice(0, 2));
    expect(h("xxabcd")[3]).not.toBe(h("xyabcd")[3]);
    // The word's context reaches back to its start and no further.
    expect(h("one two.th")[K - 2]).toBe(h("x two.th")[K - 2]);
    expect(h("one two.th")[K - 1]).toBe(h("x two.th")[K - 1]);
    expect(h("one two.th")[K - 1]).not.toBe(h("one tw.th")[K - 1]);
    expect(h("foo ")[K - 2]).not.toBe(h("foo.")[K - 2]);
    expect(h(" \n(")[K - 2]).toBe(0);
  });

  test("end at markers, and paths have none", () => {
    expect(hashesAfter(headerSymbols("abcdef/gh.ts")).every((h) => h === 0)).toBe(true);
    const tail = [...text.encode("let x")];
    expect(hashesAfter([...text.encode("const a = "), PRE, ...tail])).toEqual(hashesAfter(tail));
  });

  test("depend on the symbols so far and on nothing behind", () => {
    const index = EngramIndex.build(files, config);
    fc.assert(
      fc.property(symbols, symbols, symbols, (head, one, other) => {
        const n = head.length * K;
        expect(rowsOf(index, [...head, ...one]).subarray(0, n)).toEqual(
          rowsOf(index, [...head, ...other]).subarray(0, n),
        );
      }),
    );
  });
});

describe("index", () => {
  test("owns rows of every context that enough files hold, and of no other", () => {
    const index = EngramIndex.build(files, config);
    const rows = rowsOf(index, text.encode("onlyHere"));
    expect(owned(rows)).toBe(0);
    const known = rowsOf(index, text.encode("= counter"));
    // "ter" and "nter" are in three files; "counter" as a word too.
    expect(known.at(-K)! % config.engramRows).not.toBe(0);
    expect(known.at(-2)! % config.engramRows).not.toBe(0);
    // Six bytes in two files are not enough for engramFiles = 3, three bytes are.
    const two = rowsOf(index, text.encode("const c"));
    expect(two.at(-K)! % config.engramRows).not.toBe(0);
    expect(two.at(-K + 3)! % config.engramRows).toBe(0);
  });

  test("leaves out what one file alone holds: without it, its text finds the same rows", () => {
    // Of random files, a context that has a row while its file is known has one when it is not, unless the file was
    // needed to reach the count; never is a row owned that no other file holds.
    const content = fc.string({ unit: fc.constantFrom(..."ab .\n"), maxLength: 40 });
    fc.assert(
      fc.property(fc.array(content, { minLength: 2, maxLength: 5 }), (contents) => {
        const all = contents.map((c, i) => file(`${i}.ts`, c));
        const index = EngramIndex.build(all, config);
        const first = rowsOf(index, all[0]!.bytes);
        const elsewhere = new Set<number>();
        for (const f of all.slice(1)) for (const id of rowsOf(index, f.bytes)) elsewhere.add(id);
        for (const id of first)
          if (id !== NO_ROW && id % config.engramRows !== 0)
            expect(elsewhere.has(id), `row ${id}`).toBe(true);
      }),
    );
  });

  test("does not depend on the order of files, and survives being stored", () => {
    const index = EngramIndex.build(files, config);
    const stored = index.serialize();
    expect(EngramIndex.build(files.toReversed(), config).serialize()).toEqual(stored);
    const bytes = text.encode("const counter = decrement(");
    expect(rowsOf(EngramIndex.deserialize(stored, config), bytes)).toEqual(rowsOf(index, bytes));
    expect(() => EngramIndex.deserialize(stored.subarray(4), config)).toThrow(/n-gram index/);
  });
});

describe("batch", () => {
  const index = EngramIndex.build(files, config);
  const windows = [{ symbols: files[0]!.bytes }, { symbols: files[2]!.bytes }];
  const batchOf = (step: number): EngramBatch => {
    const batch = new EngramBatch(config, index, config.batch, config.context);
    batch.set(windows);
    batch.drop(7, step);
    batch.invert();
    return batch;
  };

  test("lists each touched row once, and inverts what is left after dropout", () => {
    // The same batch object again, so that what the last step left behind is seen.
    const batch = new EngramBatch(config, index, config.batch, config.context);
    for (let step = 0; step < 5; step++) {
      batch.set(windows);
      batch.drop(7, step);
      batch.invert();
      const touched = batch.touched.subarray(1, 1 + batch.touched[0]!);
      expect(new Set(touched).size).toBe(touched.length);
      expect(new Set(touched)).toEqual(new Set(batch.ids.filter((id) => id !== NO_ROW)));
      batch.ids.forEach((id, i) => {
        if (id === NO_ROW) expect(batch.entries[i]).toBe(NO_ROW);
        else expect(touched[batch.entries[i]!]).toBe(id);
      });
      touched.forEach((id, entry) => {
        const from = batch.listStart[entry]!;
        const to = batch.listStart[entry + 1]!;
        expect(to).toBeGreaterThan(from);
        for (const at of batch.list.subarray(from, to)) expect(batch.ids[at]).toBe(id);
      });
    }
  });

  test("drops about the share it is told, the same again for the same step", () => {
    const whole = new EngramBatch(config, index, config.batch, config.context);
    whole.set(windows);
    const present = whole.ids.filter((id) => id !== NO_ROW).length;
    let left = 0;
    for (let step = 0; step < 40; step++)
      left += batchOf(step).ids.filter((id) => id !== NO_ROW).length / 40;
    expect(left / present).toBeGreaterThan(0.7 * 0.7 - 0.06);
    expect(left / present).toBeLessThan(0.7 * 0.7 + 0.06);
    expect(batchOf(3).ids).toEqual(batchOf(3).ids);
    expect(batchOf(3).ids).not.toEqual(batchOf(4).ids);
  });
});
