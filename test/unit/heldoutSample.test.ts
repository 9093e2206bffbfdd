/** Which held-out text a run is measured on. */
import { describe, expect, test } from "vitest";
import { sampleOf } from "../../model/heldout.ts";

const file = (path: string, length: number) => ({ path, bytes: new Uint8Array(length).fill(97) });

describe("the sample of held-out files", () => {
  test("is drawn from all folders, whatever their names, and the same again", () => {
    const files = ["a", "m", "z"].flatMap((folder) =>
      Array.from({ length: 40 }, (_, i) => file(`${folder}/f${i}.ts`, 1000)),
    );
    const sample = sampleOf(files, 30_000);
    const folders = sample.map((f) => f.path[0]!);
    for (const folder of ["a", "m", "z"])
      expect(folders.filter((one) => one === folder).length).toBeGreaterThan(4);
    expect(sample.reduce((sum, f) => sum + f.bytes.length, 0)).toBe(30_000);
    expect(sampleOf(files.toReversed(), 30_000)).toEqual(sample.toReversed());
  });

  test("gives no file more than its share, and takes all where they fit", () => {
    const files = [file("big.ts", 100_000), file("b.ts", 500), file("c.ts", 0)];
    const sample = sampleOf(files, 3000);
    expect(sample.map((f) => [f.path, f.bytes.length]).sort()).toEqual([
      ["b.ts", 500],
      ["big.ts", 1000],
    ]);
  });

  test("of thousands of tiny files is a bounded number of them", () => {
    const files = Array.from({ length: 3000 }, (_, i) => file(`i18n/${i}.json`, 30));
    expect(sampleOf(files, 160_000).length).toBeLessThanOrEqual(100);
  });
});
