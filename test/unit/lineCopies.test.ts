/** Copies of lines are those that a search by hand finds, without the file that is read, and nothing else. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_ORDER } from "../../model/memory/segment.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";

const SHORTEST = 4;
const MOST = 12;
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

interface Counted {
  readonly lengths: number[];
  own: number;
}

/** Every place of `text` that ends like `before`, at least SHORTEST bytes, and whose line ends soon. */
function search(text: string, before: string, isOwn: 0 | 1, into: Map<string, Counted>): void {
  for (let at = 0; at < text.length; at++) {
    let same = 0;
    while (same < at && same < before.length && text[at - same - 1] === before[before.length - same - 1]) same++; // prettier-ignore
    // The beginning of a file counts as one more byte of context, but not in the file itself.
    if (same === at && same === before.length && isOwn === 0) same++;
    const end = text.indexOf("\n", at);
    if (same < SHORTEST || end <= at || end - at > MOST) continue;
    const line = text.slice(at, end);
    const known = into.get(line) ?? { lengths: [], own: 0 };
    known.lengths.push(Math.min(MAX_ORDER, same));
    known.own += isOwn;
    into.set(line, known);
  }
}

function byHand(others: readonly string[], before: string): unknown[] {
  const found = new Map<string, Counted>();
  for (const text of others) search(text, before, 0, found);
  search(before, before, 1, found);
  return [...found].map(([line, { lengths, own }]) => {
    const matchLength = Math.max(...lengths);
    const best = lengths.filter((length) => length === matchLength).length;
    return { line, matchLength, best, places: lengths.length, own };
  });
}

const byLine = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
const content = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 60 }),
  fc.constant("abba(b)\nabba = a\n"),
);

describe("copies of lines", () => {
  test("are those that a search by hand finds", () => {
    fc.assert(
      fc.property(
        fc.array(content, { maxLength: 4 }),
        content,
        content,
        (others, saved, before) => {
          const memory = new SuffixMemory();
          others.forEach((text, i) => memory.setFile(`${i}.ts`, encode(text)));
          memory.setFile("edited.ts", encode(saved));
          const cursor = memory.cursor({ exclude: "edited.ts" });
          for (const byte of encode(before)) cursor.push(byte);
          const copies = cursor.lines(MOST).map(({ bytes, ...counts }) => ({ line: decode(bytes), ...counts })); // prettier-ignore
          expect(copies.toSorted(byLine)).toEqual(byHand(others, before).toSorted(byLine));
        },
      ),
      { numRuns: 200 },
    );
  });

  test("come from the longest matches alone where there are many places", () => {
    const memory = new SuffixMemory();
    memory.setFile("many.ts", encode("call(one);\n".repeat(300)));
    memory.setFile("one.ts", encode("first call(two);\n"));
    const cursor = memory.cursor({ absorbOwn: 0 });
    for (const byte of encode("first call(")) cursor.push(byte);
    expect(cursor.lines(20).map(({ bytes }) => decode(bytes))).toEqual(["two);"]);
  });
});
