import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { trainBpe } from "../../model/bpe.ts";
import { maxPatches, PATCH_BURST, presetConfig } from "../../model/config.ts";
import { NO_PATCH, patchWindow, Patcher } from "../../model/patches.ts";

const kinds = ["rules", "stride", "flat", "bpe"] as const;
const corpus = Array.from({ length: 12 }, (_, i) => ({
  path: `f${i}.ts`,
  bytes: new TextEncoder().encode(`const value${i} = readValue(input);\n  return value${i} + 1;\n`),
}));
const bpeTokens = trainBpe(corpus, 300);
const symbols = fc.array(
  fc.oneof(fc.integer({ min: 0, max: 261 }), fc.constantFrom(10, 32, 97, 40)),
  {
    minLength: 1,
    maxLength: 400,
  },
);

describe("patches", () => {
  test("cover every position exactly once", () => {
    fc.assert(
      fc.property(symbols, fc.constantFrom(...kinds), (s, patching) => {
        const config = presetConfig("nano", { patching, bpeTokens });
        const capacity = maxPatches(config, s.length);
        const map = patchWindow(config, s, capacity);
        const seen = new Uint8Array(s.length);
        for (let p = 0; p < capacity; p++)
          for (let t = map.start[p]!; t < map.start[p + 1]!; t++) {
            seen[t]!++;
            expect(map.newest[t]).toBe(p);
          }
        expect([...seen].every((n) => n === 1)).toBe(true);
        expect(map.start[capacity]).toBe(s.length);
      }),
    );
  });

  test("end and endOf are inverse, and ends are where patches become visible", () => {
    fc.assert(
      fc.property(symbols, (s) => {
        const config = presetConfig("nano");
        const map = patchWindow(config, s, maxPatches(config, s.length));
        for (let p = 0; p < map.count; p++) {
          expect(map.endOf[map.ends[p]!]).toBe(p);
          expect(map.start[p]).toBe(map.ends[p]);
        }
        expect(map.endOf.filter((p) => p !== NO_PATCH).length).toBe(map.count);
      }),
    );
  });

  test("never depend on later symbols", () => {
    fc.assert(
      fc.property(symbols, symbols, fc.constantFrom(...kinds), (s, tail, patching) => {
        const config = presetConfig("nano", { patching, bpeTokens });
        const capacity = maxPatches(config, 800);
        const alone = patchWindow(config, s, capacity);
        const followed = patchWindow(config, [...s, ...tail], capacity);
        expect([...followed.newest.subarray(0, s.length)]).toEqual([...alone.newest]);
      }),
    );
  });

  test("stay within the static bound for any text", () => {
    fc.assert(
      fc.property(symbols, fc.constantFrom("rules", "bpe"), (s, patching) => {
        const config = presetConfig("nano", { patching, bpeTokens });
        const patcher = new Patcher(config);
        const fired = s.map((x) => patcher.push(x)).filter(Boolean).length;
        expect(fired).toBeLessThanOrEqual(
          Math.ceil(s.length / config.minBytesPerPatch) + PATCH_BURST,
        );
      }),
    );
  });

  test("end after words, at newlines and at sixteen bytes", () => {
    const text = "foo.bar(1)\n" + " ".repeat(20);
    const patcher = new Patcher(presetConfig("nano"));
    const at = [...Buffer.from(text)].flatMap((b, t) => (patcher.push(b) ? [t] : []));
    expect(at).toEqual([0, 3, 7, 9, 10, 26]);
  });

  test.each(["rules", "bpe"] as const)(
    "a snapshot takes the rule back to where it was: %s",
    (patching) => {
      const patcher = new Patcher(presetConfig("nano", { patching, bpeTokens }));
      for (const b of Buffer.from("let x")) patcher.push(b);
      const state = patcher.snapshot();
      const first = [...Buffer.from(" = y;\n")].map((b) => patcher.push(b));
      patcher.restore(state);
      expect([...Buffer.from(" = y;\n")].map((b) => patcher.push(b))).toEqual(first);
    },
  );
});
