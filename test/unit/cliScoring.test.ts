/** The figures of eval: which lines are completed, what counts as exact, what an identifier is. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutLines, identifierHits, isExact, sample } from "../../server/cli/scoring.ts";

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
