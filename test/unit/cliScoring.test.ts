/** The figures of eval: which lines are completed, what counts as exact, what an identifier is. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ClassFigures } from "../../server/cli/classFigures.ts";
import { LineFigures } from "../../server/cli/lineFigures.ts";
import {
  byFile,
  commonPrefix,
  cutLines,
  editSimilarity,
  firstLine,
  identifierHits,
  isExact,
  quantile,
  sample,
} from "../../server/cli/scoring.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (u8: Uint8Array): string => new TextDecoder().decode(u8);

describe("lines", () => {
  test("of twelve bytes are cut after a third, behind the indentation", () => {
    const source = bytes("short\n    return value;\r\nx\n\tlet abcdefgh = 1;");
    const cuts = cutLines(source, 3);
    expect(
      cuts.map((cut) => [
        cut.fileIdx,
        text(source.subarray(0, cut.offset)).split("\n").pop(),
        text(cut.rest),
      ]),
    ).toEqual([
      [3, "    retu", "rn value;"],
      [3, "\tlet a", "bcdefgh = 1;"],
    ]);
  });

  test("are never cut inside a character", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 6, maxLength: 40 }), (line) => {
        const source = bytes(line);
        for (const cut of cutLines(source, 0)) {
          expect(source[cut.offset]! & 0xc0).not.toBe(0x80);
          expect(cut.rest.length).toBeGreaterThan(0);
          expect(cut.rest.includes(10)).toBe(false);
        }
      }),
    );
  });

  test("are chosen by the seed, without repeats, in order", () => {
    const items = Array.from({ length: 500 }, (_, i) => i);
    const first = sample(items, 50, 7);
    expect(first).toEqual(sample(items, 50, 7));
    expect(first).not.toEqual(sample(items, 50, 8));
    expect(new Set(first).size).toBe(50);
    expect(first).toEqual([...first].sort((a, b) => a - b));
    expect(sample(items, 900, 1)).toEqual(items);
    expect(sample(items, 0, 1)).toEqual([]);
  });

  test("match exactly or not at all", () => {
    expect(isExact(bytes("value;\nmore"), bytes("value;"))).toBe(true);
    expect(isExact(bytes("value;\r\n"), bytes("value;"))).toBe(true);
    expect(isExact(bytes("value; "), bytes("value;"))).toBe(false);
    expect(isExact(bytes(""), bytes("value;"))).toBe(false);
  });
});

/** The textbook recursion, for short texts. */
function distance(a: string, b: string): number {
  if (a === "" || b === "") return a.length + b.length;
  return Math.min(
    distance(a.slice(1), b) + 1,
    distance(a, b.slice(1)) + 1,
    distance(a.slice(1), b.slice(1)) + (a[0] === b[0] ? 0 : 1),
  );
}

describe("a completion", () => {
  test("is compared byte by byte from its beginning", () => {
    expect(commonPrefix(bytes("return a;"), bytes("return b;"))).toBe(7);
    expect(commonPrefix(bytes("abc"), bytes("abcdef"))).toBe(3);
    expect(commonPrefix(bytes(""), bytes("x"))).toBe(0);
    expect(text(firstLine(bytes("a b\r\nc")))).toBe("a b");
    expect(text(firstLine(bytes("a b")))).toBe("a b");
    expect(text(firstLine(bytes("\n")))).toBe("");
  });

  test.each([
    ["kitten", "sitting", 1 - 3 / 7],
    ["", "", 1],
    ["", "abc", 0],
    ["same", "same", 1],
    ["ab", "cd", 0],
    ["value;", "values;", 1 - 1 / 7],
  ])("%s against %s has similarity %d", (a, b, similarity) => {
    expect(editSimilarity(bytes(a), bytes(b))).toBeCloseTo(similarity, 12);
  });

  test("has the similarity that the recursion gives, the same both ways", () => {
    const short = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 6 });
    fc.assert(
      fc.property(short, short, (a, b) => {
        const longer = Math.max(a.length, b.length);
        const similarity = longer === 0 ? 1 : 1 - distance(a, b) / longer;
        expect(editSimilarity(bytes(a), bytes(b))).toBeCloseTo(similarity, 12);
        expect(editSimilarity(bytes(b), bytes(a))).toBeCloseTo(similarity, 12);
      }),
      { numRuns: 60 },
    );
  });

  test("adds to figures that are means over lines and shares of bytes", () => {
    const figures = new LineFigures();
    expect(figures.result()).toMatchObject({ lines: 0, exact: null, prefix_bytes: null });
    figures.add(bytes("value;\nmore"), bytes("value;"), 3);
    figures.add(bytes("vague"), bytes("values"), 1);
    figures.add(bytes(""), bytes("next"), 2);
    expect(figures.result()).toEqual({
      lines: 3,
      exact: 1 / 3,
      prefix_bytes: (6 + 2 + 0) / 3,
      prefix_share: 8 / 16,
      edit_similarity: (1 + (1 - 2 / 6) + 0) / 3,
      ms_median: 2,
      ms_p95: 3,
    });
  });
});

describe("summaries", () => {
  test("take the value that a share does not exceed", () => {
    const values = Array.from({ length: 20 }, (_, i) => 20 - i);
    expect(quantile(values, 0.5)).toBe(10);
    expect(quantile(values, 0.95)).toBe(19);
    expect(quantile([7], 0.95)).toBe(7);
    expect(quantile([], 0.5)).toBeNull();
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (list, share) => {
          const value = quantile(list, share)!;
          const below = list.filter((x) => x < value).length;
          const upTo = list.filter((x) => x <= value).length;
          expect(upTo / list.length).toBeGreaterThanOrEqual(share - 1e-12);
          expect(below / list.length).toBeLessThan(share);
        },
      ),
    );
  });

  test("of classes add up to the whole", () => {
    const source = bytes("let a = 'b'; // c\nlet dd = 12;\n");
    const bits = Float32Array.from(source, (_, i) => i);
    const figures = new ClassFigures({ network: "on", memory: "off" });
    figures.add({ path: "a.ts", bytes: source }, { bits, bitsNetwork: bits, bitsMemory: bits });
    const classes = figures.result();
    const all = Object.values(classes);
    expect(all.reduce((sum, c) => sum + c.bytes, 0)).toBe(source.length);
    const total = bits.reduce((sum, value) => sum + value, 0);
    expect(all.reduce((sum, c) => sum + c.bpb * c.bytes, 0)).toBeCloseTo(total, 6);
    expect(classes.keyword).toMatchObject({ bytes: 6, bpb: (0 + 1 + 2 + 18 + 19 + 20) / 6 });
    expect(classes.number).toMatchObject({ bytes: 2, bpb: 27.5, bpb_network: 27.5 });
    expect(classes.comment).toMatchObject({ bytes: 4, bpb_memory: null });
    expect(classes.word).toBeUndefined();
  });

  test("keep what belongs to a file together and in order", () => {
    const items = [0, 2, 0, 1, 2, 0].map((fileIdx, i) => ({ fileIdx, i }));
    const files = byFile(items);
    expect(files.get(0)?.map(({ i }) => i)).toEqual([0, 2, 5]);
    expect(files.get(2)?.map(({ i }) => i)).toEqual([1, 4]);
    expect([...files.values()].flat().length).toBe(items.length);
  });
});

describe("identifiers", () => {
  test("count when every byte was the first choice", () => {
    const source = bytes("let total_2 = a + 42 + foo;");
    const top1 = new Uint8Array(source.length).fill(1);
    expect(identifierHits(source, top1)).toEqual({ identifiers: 3, right: 3 });
    top1[text(source).indexOf("total_2") + 6] = 0;
    expect(identifierHits(source, top1)).toEqual({ identifiers: 3, right: 2 });
    top1[text(source).indexOf("=")] = 0;
    expect(identifierHits(source, top1)).toEqual({ identifiers: 3, right: 2 });
  });

  test("reach to the end of the file", () => {
    expect(identifierHits(bytes("end"), new Uint8Array([1, 1, 1]))).toEqual({
      identifiers: 1,
      right: 1,
    });
    expect(identifierHits(bytes(""), new Uint8Array(0))).toEqual({ identifiers: 0, right: 0 });
  });
});
