/** New lines of a changed file, and those of them that are held back. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { changedText, type Range } from "../../model/changedText.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (of: Uint8Array): string => new TextDecoder().decode(of);
const lines = (n: number, word: string): string =>
  Array.from({ length: n }, (_, i) => `${word} ${i}\n`).join("");
const change = (before: string | undefined, now: string, seed = 1) =>
  changedText(
    { path: "a.ts", bytes: bytes(now) },
    before === undefined ? undefined : bytes(before),
    seed,
  );
const cut = (now: string, ranges: readonly Range[]): string[] =>
  ranges.map(({ from, to }) => text(bytes(now).subarray(from, to)));
const total = (ranges: readonly Range[]): number =>
  ranges.reduce((sum, { from, to }) => sum + to - from, 0);

describe("what is new", () => {
  test("are lines that the version before does not have, or has less often", () => {
    const now = "a\nnew\nb\nb\nlast";
    expect(cut(now, change("a\nb\n", now)!.fresh)).toEqual(["new\n", "b\nlast"]);
  });

  test("is all of a new file, and nothing of one that only lost lines", () => {
    const now = lines(10, "line");
    expect(cut(now, change(undefined, now)!.fresh)).toEqual([now]);
    expect(change(now, lines(4, "line"))).toBeUndefined();
    expect(change(now, now)).toBeUndefined();
  });
});

describe("what is held back", () => {
  test("is about a fifth of what is new, in one place, and is not learned from", () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{0,12}$/), { minLength: 2, maxLength: 60 }),
        fc.array(fc.stringMatching(/^[a-z]{0,12}$/), { maxLength: 40 }),
        fc.nat(),
        (now, before, seed) => {
          const source = now.join("\n");
          const changed = change(before.length === 0 ? undefined : before.join("\n"), source, seed);
          if (changed === undefined) return;
          const { heldBack, measured, fresh, freshBytes, learned } = changed;
          expect(freshBytes).toBe(total(fresh));
          if (heldBack === undefined) {
            expect(measured).toEqual([]);
            expect(learned.map((f) => text(f.bytes))).toEqual([source]);
            return;
          }
          const held = total(measured);
          expect(held).toBeGreaterThanOrEqual(0.2 * freshBytes);
          expect(held).toBeLessThanOrEqual(0.5 * freshBytes);
          for (const { from, to } of measured) {
            expect(from).toBeGreaterThanOrEqual(heldBack.from);
            expect(to).toBeLessThanOrEqual(heldBack.to);
          }
          // The learned pieces and the place held back are the file, each byte once.
          const all = bytes(source);
          expect(learned.map((f) => text(f.bytes)).join("")).toBe(
            text(all.subarray(0, heldBack.from)) + text(all.subarray(heldBack.to)),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test("lies where the seed says", () => {
    const now = lines(40, "line");
    const places = new Set(
      Array.from({ length: 12 }, (_, seed) => change(undefined, now, seed)!.heldBack!.from),
    );
    expect(places.size).toBeGreaterThan(4);
    expect(change(undefined, now, 3)).toEqual(change(undefined, now, 3));
  });

  test("is nothing where one line is all that is new", () => {
    const changed = change("a\nb\n", "a\nthe only new line\nb\n")!;
    expect(changed.heldBack).toBeUndefined();
    expect(changed.learned).toEqual([changed.file]);
  });
});
