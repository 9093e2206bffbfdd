/**
 * Names in scope: what they do to a distribution, that they know nothing of later bytes or of the file's own evidence,
 * and that whole names are ranked in the order of their probability.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CandidateWeights,
  INPUTS,
  PLACES,
  TYPED,
} from "../../model/candidates/candidateWeights.ts";
import { Candidates } from "../../model/candidates/candidates.ts";
import { fitCandidates } from "../../model/candidates/fitCandidates.ts";
import { lexiconTrie } from "../../model/candidates/lexiconTrie.ts";
import { searchNames, type NextByte } from "../../model/candidates/nameSearch.ts";
import { NameTrie, NOWHERE, ROOT } from "../../model/candidates/nameTrie.ts";
import { identityOf, TOKEN_TYPES } from "../../model/facts/channels.ts";
import { nameBytes } from "../../model/facts/byteKinds.ts";
import { FactLexicon, type NameEvidence } from "../../model/facts/lexicon.ts";
import { Random } from "../../model/random.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (u8: Uint8Array): string => new TextDecoder().decode(u8);
const uniform = (): Float64Array => new Float64Array(256).fill(1 / 256);
const sum = (p: Float64Array): number => p.reduce((a, b) => a + b, 0);

const evidence = (name: string, tokenType: number, count = 3): NameEvidence => ({
  name,
  tokenType,
  modifiers: 0,
  identity: identityOf("a.ts", name),
  count,
});

function lexicon(): FactLexicon {
  const lexicon = new FactLexicon();
  lexicon.setFile("a.ts", [
    evidence("readFile", TOKEN_TYPES.function, 5),
    evidence("retry", TOKEN_TYPES.variable),
    evidence("payload", TOKEN_TYPES.property, 7),
  ]);
  lexicon.setFile("b.ts", [evidence("onlyInB", TOKEN_TYPES.function)]);
  return lexicon;
}

/** Every source believed in, everywhere. */
function believing(): CandidateWeights {
  const weights = new CandidateWeights();
  for (let place = 0; place < PLACES; place++)
    for (let typed = 0; typed < TYPED; typed++)
      weights.weight.fill(0.5, weights.at(place, typed) + 1, weights.at(place, typed) + INPUTS);
  return weights;
}

const none = (): CandidateWeights => {
  const weights = new CandidateWeights();
  weights.weight.fill(0);
  return weights;
};

describe("a trie", () => {
  test("holds the weights of names and of their beginnings", () => {
    const trie = new NameTrie(2);
    trie.add(bytes("go"), 0, 1);
    trie.add(bytes("got"), 0, 2);
    trie.add(bytes("get"), 1, 4);
    const g = trie.step(ROOT, 103);
    const go = trie.step(g, 111);
    expect([trie.sum(ROOT, 0), trie.sum(g, 0), trie.sum(go, 0), trie.end(go, 0)]).toEqual([3, 3, 3, 1]); // prettier-ignore
    expect([trie.sum(g, 1), trie.sum(go, 1)]).toEqual([4, 0]);
    expect(trie.step(g, 120)).toBe(NOWHERE);
    expect([trie.sum(NOWHERE, 0), trie.end(NOWHERE, 0), trie.step(NOWHERE, 1)]).toEqual([0, 0, NOWHERE]); // prettier-ignore
    trie.scale(0, 0.5);
    expect([trie.sum(g, 0), trie.sum(g, 1)]).toEqual([1.5, 4]);
  });

  test("adds up at every node: its own end and its children", () => {
    const name = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(name, { maxLength: 60 }), name, (names, extra) => {
        const trie = new NameTrie(1);
        for (const one of names) trie.add(bytes(one), 0, 1);
        const copy = trie.copy();
        copy.add(bytes(extra), 0, 1);
        const check = (node: number, prefix: string): void => {
          const matching = names.filter((one) => one.startsWith(prefix)).length;
          expect(trie.sum(node, 0)).toBe(matching);
          let children = 0;
          trie.spread(node, 0, (byte, weight) => {
            children += weight;
            check(trie.step(node, byte), prefix + String.fromCharCode(byte));
          });
          expect(children + trie.end(node, 0)).toBe(matching);
        };
        check(ROOT, "");
        expect(copy.sum(ROOT, 0)).toBe(names.length + 1);
      }),
    );
  });
});

describe("names in scope", () => {
  test("change nothing while they are worth nothing", () => {
    const reader = new Candidates({ lexicon: lexicon(), weights: none() }).reader("c.ts");
    const random = new Random(3);
    for (const byte of bytes("const retry = readFile(payload); retry.pay")) {
      const p = Float64Array.from({ length: 256 }, () => random.uniform() + 1e-3);
      const total = sum(p);
      p.forEach((_, i) => (p[i]! /= total));
      const before = [...p];
      reader.adjust(p);
      p.forEach((value, i) => expect(value).toBeCloseTo(before[i]!, 12));
      reader.push(byte);
    }
  });

  test("raise what stood before in this file, and what the lexicon has", () => {
    const candidates = new Candidates({ lexicon: lexicon(), weights: believing() });
    const after = (before: string): Float64Array => {
      const p = uniform();
      candidates.after("c.ts", bytes(before)).adjust(p);
      return p;
    };
    const local = after("let zebra = 1;\nlet y = ze");
    expect(local.indexOf(Math.max(...local))).toBe("b".charCodeAt(0));
    const shared = after("let y = readFi");
    expect(shared.indexOf(Math.max(...shared))).toBe("l".charCodeAt(0));
    const member = after("x.pay");
    expect(member.indexOf(Math.max(...member))).toBe("l".charCodeAt(0));
    // A whole name in scope makes its end likelier.
    const ended = after("let zebra = 1;\nlet y = zebra");
    expect(ended["(".charCodeAt(0)]!).toBeGreaterThan(1 / 256);
    expect(ended["s".charCodeAt(0)]!).toBeLessThan(1 / 256);
    // Numbers are no names.
    expect([...after("let zebra1 = 1")]).toEqual([...uniform()]);
  });

  test("keep every distribution's sum and sign, wherever they are asked", () => {
    const candidates = new Candidates({ lexicon: lexicon(), weights: believing() });
    const piece = fc.constantFrom("readFile", "re", "pay", ".", " ", "\n", "12", '"', "// a", "é", "(", "x = "); // prettier-ignore
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), fc.integer(), (pieces, seed) => {
        const random = new Random(seed >>> 0);
        const reader = candidates.reader("c.ts");
        for (const byte of bytes(pieces.join(""))) {
          const p = Float64Array.from({ length: 256 }, () => random.uniform() ** 8);
          const total = sum(p);
          p.forEach((_, i) => (p[i]! /= total));
          reader.adjust(p);
          expect(sum(p)).toBeCloseTo(1, 9);
          expect(p.every((value) => value >= 0 && Number.isFinite(value))).toBe(true);
          reader.push(byte);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("depend on the bytes before the cursor only, however the reader came there", () => {
    const candidates = new Candidates({ lexicon: lexicon(), weights: believing() });
    const piece = fc.constantFrom("alpha", "beta.", "al", " ", "\n", "(", ";", '"s"', "// c\n");
    const source = fc.array(piece, { minLength: 1, maxLength: 200 }).map((p) => p.join(""));
    fc.assert(
      fc.property(source, source, source, (first, here, other) => {
        const expected = uniform();
        const fresh = candidates.reader("c.ts");
        for (const byte of bytes(here)) fresh.push(byte);
        fresh.adjust(expected);
        // Another text of the same file was read before, and a fork went elsewhere.
        candidates.after("c.ts", bytes(first));
        candidates.after("c.ts", bytes(here + other));
        const reader = candidates.after("c.ts", bytes(here));
        const fork = reader.fork();
        for (const byte of bytes(other)) fork.push(byte);
        const p = uniform();
        reader.adjust(p);
        expect([...p]).toEqual([...expected]);
        // A search goes on from the same place without pushing.
        const pushed = uniform();
        const searched = uniform();
        fresh.adjust(searched, [...bytes("alp")]);
        for (const byte of bytes("alp")) fresh.push(byte);
        fresh.adjust(pushed);
        expect([...searched]).toEqual([...pushed]);
      }),
      { numRuns: 40 },
    );
  });

  test("leave out what the lexicon has from the file itself", () => {
    const known = lexicon();
    const without = new FactLexicon();
    without.setFile("a.ts", known.evidenceOf("a.ts"));
    const weights = believing();
    const ask = (of: FactLexicon): number[] => {
      const p = uniform();
      new Candidates({ lexicon: of, weights }).after("b.ts", bytes("x = onlyI")).adjust(p);
      return [...p];
    };
    expect(ask(known)).toEqual(ask(without));
    expect(lexiconTrie(known, "b.ts").sum(ROOT, 0)).toBe(lexiconTrie(without, "z.ts").sum(ROOT, 0));
  });

  test("are all there is where a complete list says so, and only then", () => {
    const candidates = new Candidates({ lexicon: lexicon(), weights: believing() });
    const ask = (before: string, complete: 0 | 1, names = ["open", "opened"]): Float64Array => {
      const p = uniform();
      candidates.after("c.ts", bytes(before), { names, complete }).adjust(p);
      return p;
    };
    const allowed = (p: Float64Array): string =>
      [...p.keys()].filter((byte) => p[byte]! > 0).map((byte) => String.fromCharCode(byte)).join(""); // prettier-ignore
    expect(allowed(ask("file.op", 1))).toBe("e");
    expect(sum(ask("file.op", 1))).toBeCloseTo(1, 12);
    // A whole name of the list may end, or go on to the longer one.
    const whole = ask("file.open", 1);
    expect(whole["e".charCodeAt(0)]!).toBeGreaterThan(0);
    expect(whole["x".charCodeAt(0)]).toBe(0);
    expect(whole["(".charCodeAt(0)]!).toBeGreaterThan(0);
    // Behind a beginning of none of its names a list has nothing to say.
    expect(ask("file.zz", 1).every((value) => value > 0)).toBe(true);
    expect(ask("file.op", 0).every((value) => value > 0)).toBe(true);
    // An incomplete list still raises its names.
    const p = ask("file.op", 0);
    expect(p.indexOf(Math.max(...p))).toBe("e".charCodeAt(0));
  });

  test("are those of a list for the name at the cursor, and for no later one", () => {
    const candidates = new Candidates({ lexicon: lexicon(), weights: believing() });
    const list = { names: ["open", "opened"], complete: 1 } as const;
    const piece = fc.constantFrom("open", "x", "(", ".", ";", "\n", "al", " ");
    const later = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
    fc.assert(
      fc.property(fc.constantFrom("file.", "file.op", "file. "), later, (before, rest) => {
        const offered = candidates.after("c.ts", bytes(before), list);
        const fork = offered.fork();
        const plain = candidates.after("c.ts", bytes(before));
        const then = `open(${rest}`.slice(before.endsWith("op") ? 2 : 0);
        for (const byte of bytes(then))
          for (const reader of [offered, fork, plain]) reader.push(byte);
        const [a, b, c] = [offered, fork, plain].map((reader) => {
          const p = uniform();
          reader.adjust(p);
          return [...p];
        });
        expect(a).toEqual(c);
        expect(b).toEqual(c);
      }),
      { numRuns: 40 },
    );
    // In front of the name it waits.
    const p = uniform();
    const reader = candidates.after("c.ts", bytes("file."), list);
    reader.push(32);
    reader.adjust(p);
    expect([...p.keys()].filter((byte) => p[byte] === 0 && byte === "x".charCodeAt(0))).toEqual([120]); // prettier-ignore
  });

  test("count for more, once a byte is typed, the sooner the server names them", () => {
    const candidates = new Candidates({ lexicon: lexicon(), weights: none() });
    const ask = (before: string, names: string[], ranks?: number[]): Float64Array => {
      const p = uniform();
      candidates.after("c.ts", bytes(before), { names, complete: 0, ...(ranks === undefined ? {} : { ranks }) }).adjust(p); // prettier-ignore
      return p;
    };
    const [a, e] = ["a".charCodeAt(0), "e".charCodeAt(0)];
    const names = ["ready", "rally", "range", "rest"];
    // It is the first of the names that counts, not how many there are.
    const p = ask("r", names, [0, 1, 2, 3]);
    expect(p[e]! / p[a]!).toBeCloseTo(2 ** new CandidateWeights().order[0]!, 9);
    expect(p[a]!).toBeGreaterThan(p["z".charCodeAt(0)]!);
    const other = ask("r", names, [3, 2, 0, 1]);
    expect(other[a]! / other[e]!).toBeCloseTo(2 ** new CandidateWeights().order[0]!, 9);
    expect(ask("r", names)[a]).toBeCloseTo(ask("r", names)[e]!, 12);
    // A name that may end here has its own order, not that of the longer one.
    const [ended, longer] = ["(".charCodeAt(0), "s".charCodeAt(0)];
    const whole = (ranks: number[]): number => {
      const q = ask("file.rest", ["rest", "rests"], ranks);
      return q[ended]! / q[longer]!;
    };
    expect(whole([0, 7])).toBeGreaterThan(whole([7, 0]));
    // With nothing typed it does not.
    expect([...ask("x = ", ["ready", "all"], [0, 9])]).toEqual([...ask("x = ", ["ready", "all"])]);
    expect(ask("x = ", ["ready", "all"])[a]).toBeGreaterThan(1 / 256);
  });

  test("keep every distribution's sum and sign with any list", () => {
    const weights = believing();
    weights.offered.fill(0.7);
    const candidates = new Candidates({ lexicon: lexicon(), weights });
    const name = fc.constantFrom("retry", "read", "payload", "größe", "x1", "zebra");
    const before = fc.constantFrom("let zebra = 1; ", "x.", "x.re", "re", "zebra.gr", '"re', "pay");
    fc.assert(
      fc.property(before, fc.array(fc.tuple(name, fc.nat(3000)), { maxLength: 6 }), fc.constantFrom(0, 1), (text, ranked, complete) => {
        const [names, ranks] = [ranked.map(([one]) => one), ranked.map(([, rank]) => rank)];
        const reader = candidates.after("c.ts", bytes(text), { names, ranks, complete });
        const p = uniform();
        reader.adjust(p);
        expect(sum(p)).toBeCloseTo(1, 9);
        expect(p.every((value) => value >= 0 && Number.isFinite(value))).toBe(true);
      }),
    ); // prettier-ignore
  });
});

describe("the fit", () => {
  const source = Array.from(
    { length: 60 },
    (_, i) => `let value${i % 7} = ${i};\nuse(value${i % 7}, payload);\n`,
  ).join("");
  const file = (name: string) => ({
    path: name,
    bytes: bytes(source),
    mixed: new Float32Array(source.length * 256).fill(1 / 256),
  });

  test("shortens the code of names that were seen before", () => {
    const weights = fitCandidates({ lexicon: lexicon(), files: [file("c.ts")] })!;
    expect(weights.fittedOn).toBeGreaterThan(0);
    const bits = (w: CandidateWeights): number => {
      const reader = new Candidates({ lexicon: lexicon(), weights: w }).reader("d.ts");
      let total = 0;
      for (const byte of bytes(source)) {
        const p = uniform();
        reader.adjust(p);
        total -= Math.log2(p[byte]!);
        reader.push(byte);
      }
      return total;
    };
    expect(bits(weights)).toBeLessThan(0.8 * bits(none()));
  });

  test("is the same twice, has no opinion without files, and survives storage", () => {
    const once = fitCandidates({ lexicon: lexicon(), files: [file("c.ts")] })!;
    const twice = fitCandidates({ lexicon: lexicon(), files: [file("c.ts")] })!;
    expect([...once.weight]).toEqual([...twice.weight]);
    expect(fitCandidates({ lexicon: lexicon(), files: [] })).toBeUndefined();
    const stored = CandidateWeights.fromJSON(JSON.parse(JSON.stringify(once)));
    expect([...stored.weight]).toEqual([...once.weight]);
    expect(() => CandidateWeights.fromJSON({ weight: [1], fittedOn: 0 })).toThrow(/names in scope are damaged/); // prettier-ignore
    // Models of before hold a list's own weight, which was never fitted, as the last of each row.
    const rows = PLACES * TYPED;
    const before = Array.from({ length: rows * (INPUTS + 1) }, (_, i) => i % (INPUTS + 1) === INPUTS ? 9 : once.weight[i - Math.floor(i / (INPUTS + 1))]!); // prettier-ignore
    expect([...CandidateWeights.fromJSON({ weight: before, fittedOn: 1 }).weight]).toEqual([
      ...once.weight,
    ]);
  });
});

describe("a search for whole names", () => {
  /** Names with given probabilities, each followed by a blank; the rest of the mass is on a dot. */
  const language =
    (names: Readonly<Record<string, number>>, asked: string[] = []): NextByte =>
    async (extension) => {
      const prefix = text(Uint8Array.from(extension));
      asked.push(prefix);
      const p = new Float64Array(256);
      let total = 0;
      for (const [name, weight] of Object.entries(names)) {
        if (!name.startsWith(prefix)) continue;
        p[name.length === prefix.length ? 32 : name.charCodeAt(prefix.length)]! += weight;
        total += weight;
      }
      if (total === 0) p[46] = 1;
      else p.forEach((_, i) => (p[i]! /= total));
      return p;
    };
  const search = async (next: NextByte, typed: string, most = 5, passes?: number) =>
    searchNames(next, {
      typed: bytes(typed),
      nameBytes: nameBytes("a.ts"),
      most,
      ...(passes === undefined ? {} : { passes }),
    });

  test("gives them in the order of their probability, with it", async () => {
    const names = { counter: 0.4, count: 0.3, client: 0.2, other: 0.1 };
    const found = await search(language(names), "");
    expect(found.map((name) => text(name.bytes))).toEqual(["counter", "count", "client", "other"]);
    expect(found.map((name) => name.probability)).toEqual(
      [0.4, 0.3, 0.2, 0.1].map((p) => expect.closeTo(p, 12) as number),
    );
    const typed = await search(language(names), "co", 1);
    expect(typed.map((name) => [text(name.bytes), name.probability])).toEqual([
      ["counter", expect.closeTo(4 / 7, 12)],
    ]);
  });

  test("asks no more than it may, and gives what it has by then", async () => {
    const asked: string[] = [];
    const found = await search(language({ aa: 0.6, bbbbbbbb: 0.4 }, asked), "", 2, 4);
    expect(asked.length).toBe(4);
    expect(found.map((name) => text(name.bytes))).toEqual(["aa"]);
  });

  test("agrees with trying every name, for any probabilities", async () => {
    const name = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(name, fc.integer({ min: 1, max: 1000 })), {
          selector: ([one]) => one,
          minLength: 1,
          maxLength: 8,
        }),
        async (entries) => {
          const total = entries.reduce((s, [, weight]) => s + weight, 0);
          const found = await search(language(Object.fromEntries(entries)), "", 3, 500);
          const expected = entries.map(([, w]) => w / total).sort((a, b) => b - a).slice(0, 3); // prettier-ignore
          expect(found.map((one) => one.probability)).toEqual(
            expected.map((p) => expect.closeTo(p, 9) as number),
          );
        },
      ),
      { numRuns: 50 },
    );
  });
});
