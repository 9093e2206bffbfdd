/** The exact memory: counts are those of an index built from scratch, whatever the history; the file being read is not
 *  in them; nothing depends on bytes to come; every distribution is normalized. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../model/errors.ts";
import type { MemoryCursor } from "../../model/memory/memoryCursor.ts";
import { MAX_ORDER } from "../../model/memory/segment.ts";
import { SuffixMemory, type CursorOptions } from "../../model/memory/suffixMemory.ts";

/** Sums of 256 doubles. */
const SUM_TOLERANCE = 1e-9;

type Files = ReadonlyMap<string, Uint8Array>;

/** Few letters make contexts repeat; all bytes and empty files come up too. */
const content = fc.oneof(
  fc
    .array(fc.integer({ min: 97, max: 99 }), { maxLength: 120 })
    .map((letters) => Uint8Array.from(letters)),
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 1, maxLength: 1 }),
  fc.constant(new TextEncoder().encode("function f(a) { return a + 1; }\n".repeat(8))),
  fc.constant(new TextEncoder().encode("function g(bee) { return bee; }\nx = g(x1);\n".repeat(3))),
);
const corpus = fc
  .dictionary(fc.constantFrom("a.ts", "b.ts", "c/d.ts", "e", "f"), content)
  .map((record): Files => new Map(Object.entries(record)));

function memoryOf(files: Files): SuffixMemory {
  const memory = new SuffixMemory();
  for (const [path, bytes] of files) memory.setFile(path, bytes);
  return memory;
}

/** Every distribution and report of a cursor over `text`, as one list of numbers. */
function trace(cursor: MemoryCursor, text: Uint8Array): number[] {
  const out = new Float64Array(256);
  const values: number[] = [];
  for (let i = 0; i <= text.length; i++) {
    const { matchLength, total } = cursor.predict(out);
    values.push(matchLength, total, ...out, ...cursor.draft(8), -1);
    for (const { bytes, tokens, sameNames, replaced, places } of cursor.renamedLines(20))
      values.push(...bytes, tokens, sameNames, replaced, places, -1);
    if (i < text.length) cursor.push(text[i]!);
  }
  return values;
}

/** What followed the last `order` bytes of `context` in these files, counted the slow way. */
function countByHand(files: Iterable<Uint8Array>, context: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const bytes of files) {
    for (let at = context.length; at < bytes.length; at++) {
      if (context.every((byte, i) => bytes[at - context.length + i] === byte)) {
        counts.set(bytes[at]!, (counts.get(bytes[at]!) ?? 0) + 1);
      }
    }
  }
  return counts;
}

describe("SuffixMemory", () => {
  test("gives 256 probabilities above 0 that sum to 1", () => {
    fc.assert(
      fc.property(corpus, content, fc.constantFrom<0 | 1>(0, 1), (files, text, absorbOwn) => {
        const cursor = memoryOf(files).cursor({ absorbOwn });
        const out = new Float64Array(256);
        for (let i = 0; i <= text.length; i++) {
          cursor.predict(out);
          expect(out.every((probability) => probability > 0)).toBe(true);
          const sum = out.reduce((a, b) => a + b, 0);
          expect(Math.abs(sum - 1)).toBeLessThan(SUM_TOLERANCE);
          if (i < text.length) cursor.push(text[i]!);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("an empty memory knows nothing and says so", () => {
    const cursor = new SuffixMemory().cursor({ absorbOwn: 0 });
    const out = new Float64Array(256);
    expect(cursor.predict(out)).toMatchObject({ matchLength: 0, total: 0 });
    expect(out[0]).toBeCloseTo(1 / 256, 12);
    expect(cursor.draft(10)).toHaveLength(0);
  });

  test("reports the longest match and its mass as counted by hand", () => {
    fc.assert(
      fc.property(corpus, content, (files, text) => {
        const cursor = memoryOf(files).cursor({ absorbOwn: 0 });
        const out = new Float64Array(256);
        for (let at = 0; at <= text.length; at++) {
          const { matchLength, total } = cursor.predict(out);
          // The beginning of a file counts as one more byte of context: skip what only it can match.
          if (at > matchLength || matchLength === 0) {
            const counts = countByHand(files.values(), [
              ...text.subarray(at - Math.min(at, matchLength), at),
            ]);
            expect(total).toBe([...counts.values()].reduce((sum, count) => sum + count, 0));
            if (matchLength < MAX_ORDER && matchLength < at) {
              expect(
                countByHand(files.values(), [...text.subarray(at - matchLength - 1, at)]).size,
              ).toBe(0);
            }
          }
          if (at < text.length) cursor.push(text[at]!);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("leaving a file out equals never having had it", () => {
    fc.assert(
      fc.property(corpus, content, fc.constantFrom<0 | 1>(0, 1), (files, text, absorbOwn) => {
        const memory = memoryOf(files);
        for (const path of files.keys()) {
          const without = memoryOf(new Map([...files].filter(([other]) => other !== path)));
          expect(trace(memory.cursor({ exclude: path, absorbOwn }), text)).toEqual(
            trace(without.cursor({ absorbOwn }), text),
          );
        }
      }),
      { numRuns: 25 },
    );
  });

  test("a file does not see itself", () => {
    const text = new TextEncoder().encode("const unique = somethingThatNobodyElseWrites;\n");
    const memory = memoryOf(new Map([["only.ts", text]]));
    const out = new Float64Array(256);
    const cursor = memory.cursor({ exclude: "only.ts", absorbOwn: 0, adapt: 0 });
    for (const byte of text) {
      cursor.predict(out);
      expect(out[byte]).toBeCloseTo(1 / 256, 12);
      cursor.push(byte);
    }
  });

  test("changes in place equal a rebuild", () => {
    const change = fc.record({
      path: fc.constantFrom("a.ts", "b.ts", "c/d.ts", "e", "f", "g"),
      bytes: fc.option(content, { nil: undefined }),
      read: fc.boolean(),
    });
    fc.assert(
      fc.property(corpus, fc.array(change, { maxLength: 12 }), content, (files, changes, text) => {
        const memory = memoryOf(files);
        const now = new Map<string, Uint8Array>(files);
        for (const { path, bytes, read } of changes) {
          if (bytes === undefined) {
            memory.removeFile(path);
            now.delete(path);
          } else {
            memory.setFile(path, bytes);
            now.set(path, bytes);
          }
          if (read) memory.settle();
        }
        const exclude: CursorOptions = changes[0] === undefined ? {} : { exclude: changes[0].path };
        expect(memory.files()).toEqual([...now.keys()].sort());
        expect(trace(memory.cursor(exclude), text)).toEqual(
          trace(memoryOf(now).cursor(exclude), text),
        );
      }),
      { numRuns: 40 },
    );
  });

  test("changes in a large memory, where files are taken away by subtraction, equal a rebuild", () => {
    const line = (i: number) =>
      `export const value${i % 97} = compute(${i}, "${(i * 7919) % 1013}");\n`;
    const encode = (from: number) =>
      new TextEncoder().encode(Array.from({ length: 700 }, (_, i) => line(from + i)).join(""));
    const files = new Map(
      Array.from({ length: 12 }, (_, i) => [`f${i}.ts`, encode(i * 31)] as const),
    );
    const memory = memoryOf(files);
    memory.settle();
    const now = new Map<string, Uint8Array>(files);
    memory.removeFile("f3.ts");
    now.delete("f3.ts");
    for (const [path, from] of [
      ["f5.ts", 9000],
      ["new.ts", 123],
    ] as const) {
      memory.setFile(path, encode(from));
      now.set(path, encode(from));
    }
    const text = encode(500).subarray(0, 400);
    for (const exclude of ["f1.ts", "f5.ts", "new.ts", "absent.ts"]) {
      expect(trace(memory.cursor({ exclude }), text)).toEqual(
        trace(memoryOf(now).cursor({ exclude }), text),
      );
    }
  });

  test("later bytes do not change earlier predictions", () => {
    fc.assert(
      fc.property(corpus, content, content, content, (files, before, one, other) => {
        const memory = memoryOf(files);
        const join = (rest: Uint8Array) => Uint8Array.from([...before, ...rest]);
        const values = trace(memory.cursor(), before);
        const head = values.length;
        expect(trace(memory.cursor(), join(one)).slice(0, head)).toEqual(values);
        expect(trace(memory.cursor(), join(other)).slice(0, head)).toEqual(values);
      }),
      { numRuns: 25 },
    );
  });

  test("contexts do not cross from one file into the next", () => {
    const text = new TextEncoder();
    const memory = memoryOf(
      new Map([
        ["1", text.encode("xyz")],
        ["2", text.encode("abc")],
      ]),
    );
    const cursor = memory.cursor({ absorbOwn: 0 });
    for (const byte of text.encode("xyz")) cursor.push(byte);
    expect(cursor.predict(new Float64Array(256))).toMatchObject({ matchLength: 0, total: 6 });
  });

  test("a cursor keeps what it saw when the memory changes", () => {
    const text = new TextEncoder().encode("let a = 1;\nlet b = 2;\n");
    const memory = memoryOf(new Map([["a.ts", text]]));
    const cursor = memory.cursor();
    const expected = trace(memory.cursor(), text);
    memory.setFile("a.ts", new TextEncoder().encode("nothing alike"));
    memory.settle();
    expect(trace(cursor, text)).toEqual(expected);
  });

  test("a forked cursor reads on like the one it came from, and leaves that one alone", () => {
    fc.assert(
      fc.property(corpus, content, content, content, (files, first, other, rest) => {
        const memory = memoryOf(files);
        const base = memory.cursor({ exclude: "a.ts" });
        for (const byte of first) base.push(byte);
        trace(base.fork(), other);
        const plain = memory.cursor({ exclude: "a.ts" });
        for (const byte of first) plain.push(byte);
        const expected = trace(plain, rest);
        expect(trace(base.fork(), rest)).toEqual(expected);
        expect(trace(base, rest)).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  test("drafts what followed the same context elsewhere", () => {
    const text = new TextEncoder();
    const memory = memoryOf(
      new Map([["a.ts", text.encode("const response = await client.get(url);\n")]]),
    );
    const cursor = memory.cursor();
    for (const byte of text.encode("  return response = await cl")) cursor.push(byte);
    expect(new TextDecoder().decode(cursor.draft(100))).toBe("ient.get(url);\n");
    expect(cursor.draft(4)).toEqual(text.encode("ient"));
  });

  test("drafts from the file itself where that match is longer", () => {
    const text = new TextEncoder();
    const cursor = new SuffixMemory().cursor();
    for (const byte of text.encode("alpha beta gamma;\nalpha be")) cursor.push(byte);
    expect(new TextDecoder().decode(cursor.draft(9))).toBe("ta gamma;");
  });

  test("a long run of one byte leaves every other byte possible", () => {
    const memory = memoryOf(new Map([["run", new Uint8Array(200_000).fill(32)]]));
    const cursor = memory.cursor({ adapt: 0 });
    const out = new Float64Array(256);
    for (let i = 0; i < 2000; i++) cursor.push(32);
    cursor.predict(out);
    expect(out[32]).toBeGreaterThan(0.99);
    expect(Math.min(...out)).toBeGreaterThan(1e-12);
  });

  test("adapting one cursor leaves the next one alone", () => {
    const text = new TextEncoder().encode("let a = 1;\nlet b = a + a;\nlet c = a + b;\n");
    const memory = memoryOf(new Map([["a.ts", text]]));
    const first = trace(memory.cursor(), text);
    expect(trace(memory.cursor(), text)).toEqual(first);
  });

  test("learns to predict better by calibration, and differs by nothing between two runs", async () => {
    const line = (i: number) =>
      `  if (table.get("key${i % 13}") === ${i % 7}) return handle${i % 5}(table);\n`;
    const encode = (from: number) =>
      new TextEncoder().encode(Array.from({ length: 60 }, (_, i) => line(from + i * i)).join(""));
    const files = new Map(
      Array.from({ length: 10 }, (_, i) => [`f${i}.ts`, encode(i * 17)] as const),
    );
    const bits = (memory: SuffixMemory) => {
      const cursor = memory.cursor({ adapt: 0 });
      const out = new Float64Array(256);
      let sum = 0;
      for (const byte of encode(5)) {
        cursor.predict(out);
        sum -= Math.log2(out[byte]!);
        cursor.push(byte);
      }
      return sum;
    };
    const [one, two] = [memoryOf(files), memoryOf(files)];
    const before = bits(one);
    const report = await one.calibrate({ maxBytes: 30_000, seed: 3 });
    await two.calibrate({ maxBytes: 30_000, seed: 3 });
    expect(report.bytes).toBe(30_000);
    expect(bits(one)).toBeLessThan(before);
    expect(bits(two)).toBe(bits(one));
  });

  test("calibration stops at its budget and at an abort, and does nothing without files", async () => {
    const memory = memoryOf(
      new Map([["a.ts", new TextEncoder().encode("let a = 1;\n".repeat(50))]]),
    );
    expect((await memory.calibrate({ maxBytes: 1e6, seed: 1, budgetMs: 0 })).bytes).toBe(0);
    const signal = AbortSignal.abort();
    expect((await memory.calibrate({ maxBytes: 1e6, seed: 1, signal })).bytes).toBe(0);
    const nothing = { files: 0, bytes: 0, bitsPerByte: 0 };
    expect(await new SuffixMemory().calibrate({ maxBytes: 100, seed: 1 })).toMatchObject(nothing);
  });

  test("comes back from its bytes as it was", async () => {
    const files = new Map([
      ["ü/a.ts", new TextEncoder().encode("let a = 1;\n".repeat(30))],
      ["empty", new Uint8Array(0)],
      ["b", Uint8Array.from([0, 255, 0, 255, 128])],
    ]);
    const memory = memoryOf(files);
    await memory.calibrate({ maxBytes: 300, seed: 1 });
    const back = SuffixMemory.deserialize(memory.serialize());
    expect(back.files()).toEqual(memory.files());
    for (const [path, bytes] of files) expect(back.bytesOf(path)).toEqual(bytes);
    const text = new TextEncoder().encode("let b = 1;\nlet");
    expect(trace(back.cursor({ exclude: "b" }), text)).toEqual(
      trace(memory.cursor({ exclude: "b" }), text),
    );
    expect(back.calibratedBytes).toBe(memory.calibratedBytes);
  });

  test("says so where a memory was written by an earlier version", () => {
    const bytes = memoryOf(new Map([["a", new Uint8Array(3)]])).serialize();
    bytes.set(new TextEncoder().encode("NGMEM002"));
    expect(() => SuffixMemory.deserialize(bytes)).toThrow(/earlier version/);
  });

  test("refuses damaged bytes with a hint", () => {
    const bytes = memoryOf(new Map([["a", new TextEncoder().encode("some text")]])).serialize();
    fc.assert(
      fc.property(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (at, flip, cut) => {
          const damaged = cut ? bytes.slice(0, at) : bytes.slice();
          if (!cut) damaged[at]! ^= flip;
          let error: unknown;
          try {
            SuffixMemory.deserialize(damaged);
          } catch (thrown) {
            error = thrown;
          }
          expect(error).toBeInstanceOf(CheckpointError);
          expect((error as CheckpointError).hint).toBeTruthy();
        },
      ),
      { numRuns: 100 },
    );
  });
});
