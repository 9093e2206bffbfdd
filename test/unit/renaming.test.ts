import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../../model/random.ts";
import { Renamer } from "../../model/renaming.ts";
import { Sampler } from "../../model/sampler.ts";
import { createFactEncoder } from "../../model/facts/encoder.ts";
import { FactLexicon } from "../../model/facts/lexicon.ts";
import { tinyConfig } from "../support/tinyModel.ts";

const text = new TextEncoder();
const source = (i: number): string =>
  `export function readHandler${i}(inputBuffer${i}: Buffer) {\n  // inputBuffer${i} stays\n  const partCount${i} = inputBuffer${i}.length;\n  return { partCount${i}, note: "partCount${i}" };\n}\n`;
const files = Array.from({ length: 8 }, (_, i) => ({
  path: `src/f${i}.ts`,
  bytes: text.encode(source(i)),
}));

const named = (r: Renamer, seed: number): Map<number, string> => {
  const become = r.window(new Random(seed));
  const map = new Map<number, string>();
  for (let file = 0; file < files.length; file++)
    for (const name of r.places(file).names) map.set(name, Buffer.from(become(name)).toString());
  return map;
};

describe("renaming", () => {
  test("never gives two names of a window one name, and changes some", () => {
    const renamer = new Renamer(files);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), (seed) => {
        const map = named(renamer, seed);
        expect(new Set(map.values()).size).toBe(map.size);
        expect(named(renamer, seed)).toEqual(map);
      }),
    );
    const before = new Set<string>();
    for (let seed = 0; seed < 20; seed++)
      for (const to of named(renamer, seed).values()) before.add(to);
    expect(before.size).toBeGreaterThan(10);
  });

  test("finds names in code only: no keyword, comment or string", () => {
    const { starts, names } = new Renamer(files).places(0);
    const found = [...starts].map((start, i) =>
      source(0).slice(start, start + new Renamer(files).length(names[i]!)),
    );
    expect(found).toEqual([
      "readHandler0",
      "inputBuffer0",
      "partCount0",
      "inputBuffer0",
      "partCount0",
    ]);
  });

  test("leaves alone what most files share", () => {
    const renamer = new Renamer(files);
    const shared = source(0).indexOf("length");
    expect([...renamer.places(0).starts]).not.toContain(shared);
  });
});

/** The text of a window: its symbols below 256. */
const windowText = (symbols: ArrayLike<number>): string =>
  Buffer.from(Array.from(symbols).filter((s) => s < 256)).toString();

describe("renamed windows", () => {
  const config = tinyConfig({ context: 256, fimRate: 0, factDropout: 0 });
  const encoder = createFactEncoder({ lexicon: new FactLexicon() });
  const windows = (renameRate: number, step: number) =>
    new Sampler(files, { ...config, renameRate }, encoder, 5).step(step);

  test("use each name's new form everywhere in code, and the old one in comments and strings", () => {
    let changed = 0;
    for (let step = 0; step < 40; step++)
      for (const window of windows(1, step)) {
        const whole =
          /function (\w+)\((\w+): Buffer\) \{\n {2}\/\/ (\w+) stays\n {2}const (\w+) = (\w+)\.length;\n {2}return \{ (\w+), note: "(\w+)" \}/;
        const found = whole.exec(windowText(window.symbols));
        if (found === null) continue;
        const [, , input, comment, count, use, back, string] = found;
        expect(use).toBe(input);
        expect(back).toBe(count);
        expect(comment).toMatch(/^inputBuffer\d$/);
        expect(string).toMatch(/^partCount\d$/);
        if (use !== comment) changed++;
      }
    expect(changed).toBeGreaterThan(3);
  });

  test("are the plain windows at a rate of zero", () => {
    const plain = new Sampler(files, config, encoder, 5).step(3);
    expect(windows(0, 3)).toEqual(plain);
  });

  test("predict the symbols that follow, whatever they are called", () => {
    for (let step = 0; step < 10; step++)
      for (const { symbols, targets } of windows(1, step))
        for (let t = 0; t + 1 < symbols.length; t++)
          if (targets![t]! < 256) expect(targets![t]).toBe(symbols[t + 1]);
  });

  test("are a function of seed and step, with any batch", () => {
    const sampler = () => new Sampler(files, { ...config, renameRate: 0.5 }, encoder, 5);
    const first = sampler().step(7, { batch: 4, before: 900 });
    const other = sampler();
    other.step(2);
    expect(other.step(7, { batch: 4, before: 900 })).toEqual(first);
    expect(first).toHaveLength(4);
  });
});
