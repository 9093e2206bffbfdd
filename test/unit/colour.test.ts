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
  NEAR_COLOURS,
} from "../../model/facts/channels.ts";
import { graphColours, SpectralColours, type Colours } from "../../model/facts/colour.ts";
import { createFactEncoder } from "../../model/facts/encoder.ts";
import { NearColours } from "../../model/facts/nearColours.ts";
import { FactLexicon } from "../../model/facts/lexicon.ts";
import { embeddingLayout } from "../../model/params.ts";
import { Random } from "../../model/random.ts";
import { nearest, smoothest, symbolGraph, type SymbolReferences } from "../../model/symbolGraph.ts";

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

  test.each(["spectral", "both", "resolvent"] as const)(
    "never depend on what the file they are given to says: %s",
    (kind) => {
      const files = grouped();
      const colours = graphColours(kind, () => files)!;
      const shown = (of: Colours, identity: number, path: string): number[] => {
        const out = new Uint16Array(factWidth(kind) - 4);
        of.write(of.of(identity, path), path, out, 0);
        return [...out];
      };
      const pair = fc.tuple(
        fc.integer({ min: 0, max: GROUPS * SYMBOLS - 1 }).map(symbol),
        fc.integer({ min: 1, max: 9 }),
      );
      fc.assert(
        fc.property(
          fc.integer({ min: 0, max: FILES - 1 }),
          fc.array(pair, { maxLength: 40 }),
          (at, references) => {
            const { path } = files[at]!;
            const other = graphColours(kind, () => files.with(at, { path, references }))!;
            for (let i = 0; i < GROUPS * SYMBOLS; i++)
              expect(shown(other, symbol(i), path)).toEqual(shown(colours, symbol(i), path));
          },
        ),
        { numRuns: 5 },
      );
    },
  );
});

describe("the resolvent of the symbol graph", () => {
  test("gives the others that a dense one weighs most, by their weights", () => {
    // Two definitions that only each other's files speak of, and each other's only neighbours.
    const twins = ["p.ts", "q.ts"].map((path) => ({
      path,
      references: [
        [identityOf("p.ts", "one"), 3],
        [identityOf("p.ts", "other"), 1],
      ] as const,
    }));
    const graph = symbolGraph([...grouped().slice(0, 24), ...twins]);
    const n = graph.identities.length;
    const B = Array.from({ length: n }, () => new Float64Array(graph.files));
    for (let i = 0; i < n; i++)
      for (let e = graph.start[i]!; e < graph.start[i + 1]!; e++)
        B[i]![graph.file[e]!] = graph.weight[e]!;
    const share = Float64Array.from({ length: graph.files }, (_, f) =>
      B.reduce((sum, row) => sum + row[f]!, 0),
    );
    const A = B.map((x) => B.map((y) => x.reduce((s, v, f) => s + (v * y[f]!) / share[f]!, 0)));
    const degree = A.map((row) => row.reduce((a, b) => a + b, 0));
    const S = A.map((row, i) => row.map((a, j) => a / Math.sqrt(degree[i]! * degree[j]!)));
    const times = (x: readonly number[][]): number[][] =>
      x.map((row) => S.map((_, j) => row.reduce((s, v, k) => s + v * S[k]![j]!, 0) / 1.25));
    let power: number[][] = S.map((_, i) => S.map((_, j) => (i === j ? 1 / 1.25 : 0)));
    const R = power.map((row) => row.slice());
    for (let k = 0; k < 3; k++) {
      power = times(power);
      power.forEach((row, i) => row.forEach((x, j) => (R[i]![j]! += x)));
    }
    const near = nearest(graph, 4);
    let twice = 0;
    for (let i = 0; i < n; i++) {
      const seats = new Map<number, number>();
      for (const j of near.subarray(i * 4, (i + 1) * 4)) seats.set(j, (seats.get(j) ?? 0) + 1);
      expect(seats.has(i)).toBe(false);
      // No one with a seat would rather give its last one to another.
      for (const [j, count] of seats) {
        if (count > 1) twice++;
        for (let other = 0; other < n; other++)
          if (other !== i && other !== j)
            expect(R[i]![j]! / count).toBeGreaterThan(
              R[i]![other]! / (1 + (seats.get(other) ?? 0)) - 1e-12,
            );
      }
    }
    expect(twice).toBeGreaterThan(0);
    expect(nearest(symbolGraph([]), 4)).toHaveLength(0);
  });

  test("shows a definition's own hash and those of definitions of its group", () => {
    const files = grouped();
    const colours = NearColours.build(files);
    const groupOf = new Map<number, number>();
    for (let i = 0; i < GROUPS * SYMBOLS; i++)
      groupOf.set(colourOf(symbol(i)), Math.floor(i / SYMBOLS));
    const out = new Uint16Array(1 + NEAR_COLOURS);
    let same = 0;
    let all = 0;
    for (const path of ["new.ts", "src/0.ts", "src/7.ts"])
      for (let i = 0; i < GROUPS * SYMBOLS; i++) {
        colours.write(colours.of(symbol(i), path), path, out, 0);
        expect(out[0]).toBe(colourOf(symbol(i)));
        for (const near of out.subarray(1)) {
          if (near === 0) continue;
          all++;
          if (groupOf.get(near) === groupOf.get(out[0]!)) same++;
        }
      }
    expect(all).toBeGreaterThan(3 * 3 * GROUPS * SYMBOLS);
    // One in six would be by chance.
    expect(same / all).toBeGreaterThan(0.8);
    out.fill(7);
    colours.write(colours.of(identityOf("z.ts", "unknown"), "new.ts"), "new.ts", out, 0);
    expect(out[0]).toBe(colourOf(identityOf("z.ts", "unknown")));
    expect(colours.of(0, "new.ts")).toBe(0);
  });
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
    // Neighbours share the rows of what they are.
    const near = embeddingLayout({ colour: "resolvent" });
    expect(near.rows).toBe(hashed.rows);
    expect(near.offsets.slice(6)).toEqual(Array(NEAR_COLOURS).fill(hashed.offsets[5]));
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

  test.each(["both", "resolvent"] as const)(
    "shows more behind the hash, and knows that after it was stored: %s",
    (kind) => {
      const lexicon = lexiconOf(grouped());
      const [name, identity] = [`n${symbol(3)}`, symbol(3)];
      const bytes = new TextEncoder().encode(`${name}();`);
      const factsIn = (of: FactLexicon, path: string): number[] => {
        const encoder = createFactEncoder({ lexicon: of, colour: kind });
        const at = name.length * encoder.width;
        return [...encoder.channels(path, bytes).subarray(at, at + encoder.width)];
      };
      // A lexicon without such colours leaves their channels unknown.
      const [hashed, ...unknown] = factsIn(lexicon, "new.ts").slice(4);
      expect([hashed, unknown]).toEqual([colourOf(identity), Array(factWidth(kind) - 5).fill(0)]);
      lexicon.useColours(kind);
      const stored = JSON.parse(JSON.stringify(lexicon.serialize())) as unknown;
      const loaded = FactLexicon.deserialize(stored);
      expect(loaded.colourKind).toBe(kind);
      for (const path of ["new.ts", "src/0.ts", "src/7.ts"]) {
        expect(factsIn(lexicon, path)[4]).toBe(colourOf(identity));
        expect(factsIn(lexicon, path)[5]).toBeGreaterThan(0);
        expect(factsIn(loaded, path)).toEqual(factsIn(lexicon, path));
      }
      expect(() => createFactEncoder({ lexicon, colour: "hash" })).toThrow(/channels/);
      lexicon.useColours("spectral");
      expect(FactLexicon.deserialize(lexicon.serialize()).colourKind).toBe("spectral");
    },
  );

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
    const odd = { kind: "resolvent", files: [], tables: Array(5).fill([1, 2, 3, 4, 4096]) };
    expect(() => FactLexicon.deserialize({ ...stored, colours: odd })).toThrow(/colours/);
    expect(() =>
      FactLexicon.deserialize({ ...stored, colours: { ...odd, kind: "other" } }),
    ).toThrow(/colours/);
    lexicon.useColours("off");
    expect(colourIn(lexicon)).toBe(0);
    expect(colourIn(FactLexicon.deserialize(lexicon.serialize()))).toBe(0);
    lexicon.useColours("hash");
    expect(colourIn(lexicon)).toBe(hashed);
    expect(lexicon.serialize().colours).toBeUndefined();
  });
});
