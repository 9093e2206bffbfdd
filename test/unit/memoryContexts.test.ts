/** The memory's hashed contexts: functions of the bytes so far alone, counted exactly wherever they are counted. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CodeContext, KINDS } from "../../model/memory/codeContext.ts";
import { contextTables } from "../../model/memory/contextTable.ts";
import { NO_CONTEXT, OwnContexts } from "../../model/memory/ownContexts.ts";

const ALL_KINDS = Array.from({ length: KINDS }, (_, kind) => kind);

/** Few characters, so that words, brackets and lines repeat; all bytes and long lines come up too. */
const text = fc.oneof(
  fc
    .array(fc.constantFrom(..."ab_1 (),{}\n\t"), { maxLength: 200 })
    .map((letters) => new TextEncoder().encode(letters.join(""))),
  fc.uint8Array({ maxLength: 60 }),
  fc.constant(new Uint8Array(1500).fill(40)),
);

function after(bytes: Uint8Array): CodeContext {
  const context = new CodeContext();
  for (const byte of bytes) context.push(byte);
  return context;
}

/** "kind:context" to how often which byte followed, counted with maps. */
function countedByHand(files: readonly Uint8Array[]): Map<string, Map<number, number>> {
  const counts = new Map<string, Map<number, number>>();
  for (const bytes of files) {
    const context = new CodeContext();
    for (const byte of bytes) {
      for (const kind of ALL_KINDS) {
        const key = `${kind}:${context.hash[kind]! >>> 0}`;
        const followers = counts.get(key) ?? new Map<number, number>();
        followers.set(byte, (followers.get(byte) ?? 0) + 1);
        counts.set(key, followers);
      }
      context.push(byte);
    }
  }
  return counts;
}

describe("CodeContext", () => {
  test("a copy reads on like the one it came from, and leaves that one alone", () => {
    fc.assert(
      fc.property(text, text, text, (first, rest, other) => {
        const base = after(first);
        const copy = new CodeContext();
        copy.copyFrom(base);
        expect(copy.hash).toEqual(base.hash);
        for (const byte of other) copy.push(byte);
        for (const byte of rest) base.push(byte);
        expect(base.hash).toEqual(after(Uint8Array.from([...first, ...rest])).hash);
      }),
    );
  });

  test("contexts say what their names say", () => {
    const at = (source: string) => after(new TextEncoder().encode(source));
    const same = (kind: number, one: string, other: string) =>
      at(one).hash[kind] === at(other).hash[kind];
    // 0: word so far and the word before it, whatever stands between them and before.
    expect(same(0, "x; const val", "y + const  val")).toBe(true);
    expect(same(0, "x; const val", "y + let val")).toBe(false);
    // 5: the call and the argument's place.
    expect(same(5, "f(a, ", "g; f(bb, ")).toBe(true);
    expect(same(5, "f(a, ", "f(a, b, ")).toBe(false);
    expect(same(5, "f(a, ", "f(g(a, b), ")).toBe(true);
    // 3: the bytes above.
    expect(same(3, "abc\na", "abc\na")).toBe(true);
    expect(same(3, "abc\na", "axc\na")).toBe(false);
    // 9: the last tokens, however they are spaced.
    expect(same(9, "a = b;\n  ", "a  =  b;\n\n ")).toBe(true);
    expect(same(9, "a = b;\n  ", "a = c;\n  ")).toBe(false);
  });

  test("survives more brackets closed than opened, and more opened than it remembers", () => {
    const deep = `${")".repeat(10)}${"f(a,b,c,d,e,".repeat(100)}${")".repeat(150)}x`;
    const context = after(new TextEncoder().encode(deep));
    expect(context.column).toBe(deep.length);
    expect(context.wordLength).toBe(1);
  });
});

describe("contextTables", () => {
  test("count what followed every context, as counted by hand", () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), (files) => {
        const tables = contextTables(files, ALL_KINDS);
        const expected = countedByHand(files);
        let found = 0;
        for (const [key, followers] of expected) {
          const [kind, hash] = key.split(":").map(Number) as [number, number];
          const table = tables[kind]!;
          const context = table.find(hash);
          expect(context).toBeGreaterThanOrEqual(0);
          const counts = new Map<number, number>();
          for (let i = table.first(context); i < table.end(context); i++)
            counts.set(table.byte[i]!, table.count[i]!);
          expect(counts).toEqual(followers);
          found += counts.size;
        }
        expect(tables.reduce((sum, table) => sum + table.byte.length, 0)).toBe(found);
      }),
      { numRuns: 40 },
    );
  });

  test("find nothing that was never there", () => {
    fc.assert(
      fc.property(text, fc.integer(), (bytes, hash) => {
        const known = countedByHand([bytes]);
        contextTables([bytes], ALL_KINDS).forEach((table, kind) => {
          expect(table.find(hash) >= 0).toBe(known.has(`${kind}:${hash >>> 0}`));
        });
      }),
      { numRuns: 40 },
    );
  });
});

describe("OwnContexts", () => {
  test("counts as by hand, through growth and in a copy", () => {
    const additions = fc.array(fc.tuple(fc.integer({ min: 0, max: 3000 }), fc.nat(255)), {
      maxLength: 4000,
    });
    fc.assert(
      fc.property(additions, additions, (first, later) => {
        const base = new OwnContexts();
        for (const [hash, byte] of first) base.add(hash + 2, byte);
        const copy = base.copy();
        for (const [hash, byte] of later) copy.add(hash + 2, byte);
        for (const [table, list] of [
          [base, first],
          [copy, [...first, ...later]],
        ] as const) {
          const expected = new Map<string, number>();
          for (const [hash, byte] of list) {
            const key = `${hash}:${byte}`;
            expected.set(key, (expected.get(key) ?? 0) + 1);
          }
          const counted = new Map<string, number>();
          for (const hash of new Set(list.map(([one]) => one))) {
            const slot = table.find(hash + 2);
            expect(slot).not.toBe(NO_CONTEXT);
            for (let entry = table.first(slot); entry !== 0; entry = table.next[entry]!) {
              counted.set(`${hash}:${table.byte[entry]!}`, table.count[entry]!);
            }
          }
          expect(counted).toEqual(expected);
          expect(table.find(9999)).toBe(NO_CONTEXT);
        }
      }),
      { numRuns: 15 },
    );
  });

  test("stops counting a follower before its count overflows", () => {
    const own = new OwnContexts();
    for (let i = 0; i < 70_000; i++) own.add(7, 1);
    const slot = own.find(7);
    expect(own.count[own.first(slot)]).toBe(65_535);
  });
});
