/** The choice between ways to end a line: which are weighed, and what speaks for and against them. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LineChoice, type LineSources } from "../../model/lineChoice.ts";
import { LinePlace } from "../../model/linePlace.ts";
import type { LineCopy } from "../../model/memory/lineCopies.ts";
import type { RenamedLine } from "../../model/memory/renamedLines.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const copy = (text: string, matchLength: number, places = 1): LineCopy => ({
  bytes: encode(text),
  matchLength,
  best: 1,
  places,
  own: 0,
});

const renamed = (text: string, sameNames = 1, replaced = 1): RenamedLine => ({
  bytes: encode(text),
  tokens: 6,
  sameNames,
  replaced,
  places: 1,
});

const NOTHING: LineSources = { copies: [], renamed: [] };
const choose = (sources: LineSources, before = "let x = 1;\nf("): LineChoice =>
  new LineChoice(encode(before), sources);

describe("the choice of a line", () => {
  test("looks at the longest match, at the likeliest of equally long ones, and at the best analogy, once where they are one", () => {
    const lengths = [5, 9, 7, 8, 6];
    const copies = lengths.map((length) => copy(`at ${length}`, length));
    const twice = { ...copy("twice", 9), best: 2 };
    const analogies = [renamed("new"), renamed("worse")];
    const lines = (sources: LineSources): string[] => choose(sources).lines.map(decode);
    expect(lines({ copies, renamed: [] })).toEqual(["at 9"]);
    expect(lines({ copies: [...copies, twice], renamed: analogies })).toEqual(["twice", "new"]);
    expect(lines({ copies: [], renamed: analogies })).toEqual(["new"]);
    expect(lines(NOTHING)).toEqual([]);
    expect(lines({ copies: [copy("same", 9)], renamed: [renamed("same")] })).toEqual(["same"]);
  });

  test("rises with a line's probability, the names its place shares, and those replaced", () => {
    const score = (analogy: RenamedLine | undefined, logProbability: number): number =>
      choose({ copies: [], renamed: analogy === undefined ? [] : [analogy] }).scoreOf(encode("a)"))(logProbability); // prettier-ignore
    expect(score(undefined, -1)).toBeGreaterThan(score(undefined, -2));
    expect(score(renamed("a)", 8), -1)).toBeGreaterThan(score(renamed("a)", 2), -1));
    expect(score(renamed("a)", 2, 1), -6)).toBeGreaterThan(score(renamed("a)", 2, 0), -6));
    expect(score(undefined, -1)).toBeGreaterThan(score(renamed("a)", 8), -60));
    expect(score(renamed("a)"), -Infinity)).toBe(-Infinity);
    // Of another line nothing is known.
    expect(score(renamed("b)"), -6)).toBe(score(undefined, -6));
  });

  test("speaks against a line that stands right above, that is imported, and that leaves a quotation open", () => {
    const before = 'import a from "a";\n\ncall(1);\n';
    const score = (begun: string, line: string): number =>
      choose(NOTHING, before + begun).scoreOf(encode(line))(-2);
    expect(score("ca", "ll(2);")).toBe(-2);
    expect(score("ca", "ll(1);")).toBeLessThan(-4);
    expect(score("imp", 'ort a from "b";')).toBe(-2);
    expect(score("imp", 'ort a from "a";')).toBeLessThan(-4);
    expect(score("ca", 'll(");')).toBeLessThan(-4);
  });
});

describe("a place of a line", () => {
  const text = fc
    .array(fc.constantFrom("a", "b1", "(", ")", '"', "\\", ";", " ", "\t", "\n", "\r", "é"), {
      maxLength: 50,
    })
    .map((parts) => parts.join(""));

  test("is a function of the bytes before the cursor", () => {
    fc.assert(
      fc.property(text, text, text, text, (before, line, after, other) => {
        const at = (behind: string): unknown => {
          const known = encode(before);
          const all = encode(before + behind);
          return new LinePlace(all.subarray(0, known.length)).textOf(encode(line));
        };
        expect(at(after)).toEqual(at(other));
      }),
    );
  });

  test("knows the line above and what is imported", () => {
    const place = (before: string): LinePlace => new LinePlace(encode(before));
    expect(place("a(1);\n  a(").textOf(encode("1);")).repeats).toBe(1);
    expect(place("a(1);\n\na(").textOf(encode("1);")).repeats).toBe(0);
    expect(place("use a;\n\nu").textOf(encode("se a;")).importsAgain).toBe(1);
    expect(place("a(1);\n\na(").textOf(encode("1);")).importsAgain).toBe(0);
    const nothing = { repeats: 0, importsAgain: 0, opensQuotation: 0 };
    expect(place("").textOf(encode(""))).toEqual(nothing);
    expect(place("a(").textOf(encode("1);"))).toEqual(nothing);
  });

  test("knows an open quotation, but for an escaped mark", () => {
    const place = new LinePlace(encode('log("'));
    expect(place.textOf(encode('a");')).opensQuotation).toBe(0);
    expect(place.textOf(encode("a);")).opensQuotation).toBe(1);
    expect(place.textOf(encode('\\"");')).opensQuotation).toBe(0);
  });
});
