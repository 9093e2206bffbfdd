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

  test("takes several files of a small corpus, none of which is much of it", () => {
    const sized = (path: string, n: number) => ({ path, bytes: new Uint8Array(n) });
    const files = [
      ...Array.from({ length: 60 }, (_, i) => sized(`src/m${i}.ts`, 4000 + 200 * i)),
      sized("src/all.ts", 300_000),
    ];
    const total = files.reduce((sum, f) => sum + f.bytes.length, 0);
    const { heldout } = splitHeldout(files);
    const bytes = heldout.reduce((sum, f) => sum + f.bytes.length, 0);
    expect(heldout.length).toBeGreaterThanOrEqual(4);
    expect(bytes).toBeGreaterThanOrEqual(16_000);
    expect(bytes).toBeLessThan(0.1 * total);
    expect(heldout.map((f) => f.path)).not.toContain("src/all.ts");
    // What stood in it still does when files come, unless it was there to fill up.
    const more = splitHeldout([
      ...files,
      ...Array.from({ length: 60 }, (_, i) => sized(`lib/n${i}.ts`, 5000)),
    ]);
    const lasting = heldout.filter((f) => pathHash(f.path) < 0.05).map((f) => f.path);
    expect(more.heldout.map((f) => f.path)).toEqual(expect.arrayContaining(lasting));
  });

  test("depends on paths and sizes, not on order, and covers every file once", () => {
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
