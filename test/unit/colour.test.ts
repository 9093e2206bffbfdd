/** The symbol graph, its eigenvectors, and the colours made of them. */
import { describe, expect, test } from "vitest";
import fc from "fast-check";
import {
  colourOf,
  COLOUR_CELLS,
  FACT_CHANNELS,
  factChannels,
  factWidth,
  identityOf,
} from "../../model/facts/channels.ts";
import { SpectralColours } from "../../model/facts/colour.ts";
import { createFactEncoder } from "../../model/facts/encoder.ts";
import { FactLexicon } from "../../model/facts/lexicon.ts";
import { embeddingLayout } from "../../model/params.ts";
import { Random } from "../../model/random.ts";
import { smoothest, symbolGraph, type SymbolReferences } from "../../model/symbolGraph.ts";

const GROUPS = 6;
const FILES = 60;
const SYMBOLS = 30;

/** Files of six groups: each speaks of many symbols of its own group and of few others. */
function grouped(seed = 1): SymbolReferences[] {
  const random = new Random(seed);
  return Array.from({ length: FILES }, (_, f) => ({
    path: `src/${f}.ts`,
    references: Array.from({ length: 24 }, () => {
      const group = random.uniform() < 0.9 ? f % GROUPS : random.below(GROUPS);
      return [
        identityOf("lib.ts", `s${group * SYMBOLS + random.below(SYMBOLS)}`),
        1 + random.below(3),
      ] as const;
    }),
  }));
}
const symbol = (i: number): number => identityOf("lib.ts", `s${i}`);

describe("symbol graph", () => {
  test("has eigenvectors that a dense product confirms", () => {
    const graph = symbolGraph(grouped());
    const n = graph.identities.length;
    expect(n).toBeGreaterThan(150);
    const { values, vectors, degree } = smoothest(graph, 8);
    // A, and the normalized adjacency, formed in full.
    const B = Array.from({ length: n }, () => new Float64Array(graph.files));
    for (let i = 0; i < n; i++)
      for (let e = graph.start[i]!; e < graph.start[i + 1]!; e++)
        B[i]![graph.file[e]!] = graph.weight[e]!;
    const share = Float64Array.from({ length: graph.files }, (_, f) =>
      B.reduce((sum, row) => sum + row[f]!, 0),
    );
    const A = B.map((x) => B.map((y) => x.reduce((s, v, f) => s + (v * y[f]!) / share[f]!, 0)));
    A.forEach((row, i) => expect(row.reduce((a, b) => a + b, 0)).toBeCloseTo(degree[i]!, 9));
    const N = A.map((row, i) => row.map((a, j) => a / Math.sqrt(degree[i]! * degree[j]!)));
    vectors.forEach((v, k) => {
      const y = N.map((row) => row.reduce((s, a, j) => s + a * v[j]!, 0));
      // The six groups stand out; what comes behind is dense and converges later.
      const tolerance = k < GROUPS - 1 ? 1e-6 : 5e-2;
      y.forEach((value, i) => expect(Math.abs(value - values[k]! * v[i]!)).toBeLessThan(tolerance));
      expect(Math.sqrt(v.reduce((s, x) => s + x * x, 0))).toBeCloseTo(1, 9);
      expect(v.reduce((s, x, i) => s + x * Math.sqrt(degree[i]!), 0)).toBeCloseTo(0, 6);
      if (k > 0) expect(values[k]!).toBeLessThanOrEqual(values[k - 1]! + 1e-12);
    });
    expect(values[GROUPS - 2]!).toBeGreaterThan(1.5 * values[GROUPS - 1]!);
  });

  test("does not depend on the order of files, and leaves out what one file alone says", () => {
    const files = grouped();
    const alone = { path: "z.ts", references: [[identityOf("z.ts", "only"), 5]] as const };
    const graph = symbolGraph([...files, alone]);
    expect(graph.identities).not.toContain(identityOf("z.ts", "only"));
    expect(symbolGraph([alone, ...files.toReversed()])).toEqual(graph);
    expect(smoothest(symbolGraph([]), 4).vectors).toEqual([]);
  });
});

describe("spectral colours", () => {
  test("are shared by related definitions more than by others, and lie in the channel", () => {
    const colours = SpectralColours.build(grouped());
    let near = 0;
    let far = 0;
    let pairs = 0;
    for (let i = 0; i < GROUPS * SYMBOLS; i++)
      for (let j = 0; j < i; j++) {
        const a = colours.of(symbol(i), "new.ts");
        const b = colours.of(symbol(j), "new.ts");
        expect(a).toBeGreaterThan(0);
        expect(a).toBeLessThan(FACT_CHANNELS[4].size);
        const sameGroup = Math.floor(i / SYMBOLS) === Math.floor(j / SYMBOLS);
        if (sameGroup) pairs++;
        if (a === b && sameGroup) near++;
        if (a === b && !sameGroup) far++;
      }
    const others = (GROUPS * SYMBOLS * (GROUPS * SYMBOLS - 1)) / 2 - pairs;
    expect(near / pairs).toBeGreaterThan(10 * (far / others));
    expect(near / pairs).toBeGreaterThan(0.2);
  });

  test("say the same of a definition whichever fold is left out, far more often than by chance", () => {
    const files = grouped();
    const colours = SpectralColours.build(files);
    let same = 0;
    let all = 0;
    for (const { path } of files.slice(0, 12))
      for (let i = 0; i < GROUPS * SYMBOLS; i++) {
        all++;
        if (colours.of(symbol(i), path) === colours.of(symbol(i), "new.ts")) same++;
      }
    // By chance one in 64 would. Within a group the order is noise here, and cuts fall into groups.
    expect(same / all).toBeGreaterThan(0.3);
  });

  test.each(["spectral", "both"] as const)(
    "never depend on what the file they are given to says: %s",
    (kind) => {
      const files = grouped();
      const colours = SpectralColours.build(files, kind);
      const pair = fc.tuple(
        fc.integer({ min: 0, max: GROUPS * SYMBOLS - 1 }).map(symbol),
        fc.integer({ min: 1, max: 9 }),
      );
      fc.assert(
        fc.property(
          fc.integer({ min: 0, max: FILES - 1 }),
          fc.array(pair, { maxLength: 40 }),
          (at, references) => {
            const other = SpectralColours.build(
              files.with(at, { path: files[at]!.path, references }),
              kind,
            );
            for (let i = 0; i < GROUPS * SYMBOLS; i++)
              expect(other.of(symbol(i), files[at]!.path)).toBe(
                colours.of(symbol(i), files[at]!.path),
              );
          },
        ),
        { numRuns: 5 },
      );
    },
  );
});

describe("colours by hash and by graph", () => {
  test("show each in a channel of its own, as the one and the other kind has them", () => {
    const files = grouped();
    const both = SpectralColours.build(files, "both");
    const spectral = SpectralColours.build(files);
    const out = new Uint16Array(3);
    const cells = new Set<number>();
    for (const path of ["new.ts", "src/0.ts", "src/7.ts"])
      for (let i = 0; i < GROUPS * SYMBOLS + 5; i++) {
        both.write(both.of(symbol(i), path), path, out, 1);
        expect(out[1]).toBe(colourOf(symbol(i)));
        const cell = spectral.of(symbol(i), path);
        expect(out[2]).toBe(cell <= COLOUR_CELLS ? cell : 0);
        cells.add(out[2]!);
      }
    expect(cells.size).toBeGreaterThan(30);
    expect(Math.max(...cells)).toBeLessThanOrEqual(COLOUR_CELLS);
    expect(both.of(0, "new.ts")).toBe(0);
  });

  test("have table rows of their own behind those of all other channels", () => {
    const hashed = embeddingLayout({ colour: "hash" });
    expect(embeddingLayout({})).toEqual(hashed);
    const { rows, offsets } = embeddingLayout({ colour: "both" });
    expect(offsets).toEqual([...hashed.offsets, hashed.rows]);
    expect(rows).toBe(hashed.rows + 1 + COLOUR_CELLS);
    expect(factChannels("both")).toHaveLength(factWidth("both"));
  });
});

describe("a lexicon with colours", () => {
  const lexiconOf = (files: readonly SymbolReferences[]): FactLexicon => {
    const lexicon = new FactLexicon();
    for (const { path, references } of files)
      lexicon.setFile(
        path,
        references.map(([identity, count]) => ({
          name: `n${identity}`,
          tokenType: 13,
          modifiers: 0,
          identity,
          count,
        })),
      );
    return lexicon;
  };

  test("shows the cell behind the hash, and knows that after it was stored", () => {
    const lexicon = lexiconOf(grouped());
    const [name, identity] = [`n${symbol(3)}`, symbol(3)];
    const bytes = new TextEncoder().encode(`${name}();`);
    const factsIn = (of: FactLexicon, path: string): number[] => {
      const encoder = createFactEncoder({ lexicon: of, colour: "both" });
      const at = name.length * encoder.width;
      return [...encoder.channels(path, bytes).subarray(at, at + encoder.width)];
    };
    // A lexicon without cells leaves their channel unknown.
    const [hashed, ...unknown] = factsIn(lexicon, "new.ts").slice(4);
    expect([hashed, unknown]).toEqual([colourOf(identity), [0]]);
    lexicon.useColours("both");
    const stored = JSON.parse(JSON.stringify(lexicon.serialize())) as unknown;
    const loaded = FactLexicon.deserialize(stored);
    expect(loaded.colourKind).toBe("both");
    for (const path of ["new.ts", "src/0.ts", "src/7.ts"]) {
      expect(factsIn(lexicon, path)[4]).toBe(colourOf(identity));
      expect(factsIn(lexicon, path)[5]).toBeGreaterThan(0);
      expect(factsIn(loaded, path)).toEqual(factsIn(lexicon, path));
    }
    expect(() => createFactEncoder({ lexicon, colour: "hash" })).toThrow(/channels/);
    lexicon.useColours("spectral");
    expect(FactLexicon.deserialize(lexicon.serialize()).colourKind).toBe("spectral");
  });

  test("shows them in the facts, and keeps them when it is stored", () => {
    const lexicon = lexiconOf(grouped());
    const [name, identity] = [`n${symbol(3)}`, symbol(3)];
    const bytes = new TextEncoder().encode(`${name}();`);
    const colourIn = (of: FactLexicon): number =>
      createFactEncoder({ lexicon: of }).channels("new.ts", bytes)[name.length * 5 + 4]!;
    const hashed = colourIn(lexicon);
    lexicon.useColours("spectral");
    expect(colourIn(lexicon)).toBe(lexicon.colourOf(identity, "new.ts"));
    expect(colourIn(lexicon)).not.toBe(hashed);
    const stored = JSON.parse(JSON.stringify(lexicon.serialize())) as Record<string, unknown>;
    const loaded = FactLexicon.deserialize(stored);
    for (const path of ["new.ts", "src/0.ts", "src/7.ts"])
      for (let i = 0; i < 40; i++)
        expect(loaded.colourOf(symbol(i), path)).toBe(lexicon.colourOf(symbol(i), path));
    expect(() =>
      FactLexicon.deserialize({ ...stored, colours: { files: [], tables: [] } }),
    ).toThrow(/colours/);
    lexicon.useColours("off");
    expect(colourIn(lexicon)).toBe(0);
    expect(colourIn(FactLexicon.deserialize(lexicon.serialize()))).toBe(0);
    lexicon.useColours("hash");
    expect(colourIn(lexicon)).toBe(hashed);
    expect(lexicon.serialize().colours).toBeUndefined();
  });
});
