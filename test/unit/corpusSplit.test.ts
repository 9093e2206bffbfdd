/** The held-out split: stable, about five in a hundred, never everything and never a lone file. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pathHash, splitHeldout } from "../../server/corpus/split.ts";

const file = (path: string) => ({ path, bytes: new TextEncoder().encode(path) });

describe("the held-out split", () => {
  test("keeps a single file for training", () => {
    expect(splitHeldout([file("only.ts")])).toEqual({ train: [file("only.ts")], heldout: [] });
    expect(splitHeldout([])).toEqual({ train: [], heldout: [] });
  });

  test("takes one of two files", () => {
    const split = splitHeldout([file("a.ts"), file("b.ts")]);
    expect([split.train.length, split.heldout.length]).toEqual([1, 1]);
  });

  test("holds out about five files in a hundred of a large corpus", () => {
    const files = Array.from({ length: 4000 }, (_, i) => file(`src/module${i}/index.ts`));
    const share = splitHeldout(files).heldout.length / files.length;
    expect(share).toBeGreaterThan(0.04);
    expect(share).toBeLessThan(0.06);
  });

  test("depends on the path alone and covers every file once", () => {
    const paths = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { maxLength: 60 });
    fc.assert(
      fc.property(paths, (names) => {
        const files = names.map(file);
        const split = splitHeldout(files);
        const again = splitHeldout([...files].reverse());
        expect(split.heldout.map((f) => f.path).sort()).toEqual(
          again.heldout.map((f) => f.path).sort(),
        );
        expect([...split.train, ...split.heldout].map((f) => f.path).sort()).toEqual(
          [...names].sort(),
        );
        if (names.length > 1) expect(split.train.length).toBeGreaterThan(0);
        if (names.length > 1) expect(split.heldout.length).toBeGreaterThan(0);
      }),
    );
  });

  test("gives the same hash on every machine", () => {
    expect(pathHash("src/main.ts")).toBeCloseTo(0.3112085, 6);
  });
});
