/** Analogies expect, byte by byte, what places that are alike but for names would go on with here. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Analogies, ANALOGY_CLASSES } from "../../model/memory/analogies.ts";
import { EVIDENCE_STATES } from "../../model/memory/evidence.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { TokenReader } from "../../model/memory/tokenReader.ts";
import { TokenSegment } from "../../model/memory/tokenSegment.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What is expected at every byte of `text`, with "·" for nothing: of the workspace, and of the file. */
function expected(
  files: readonly string[],
  text: string,
  hidden: ReadonlySet<number> = new Set(),
): { workspace: string; own: string } {
  const tokens = new TokenSegment(files.map(encode));
  const reader = new TokenReader([{ tokens, hidden }]);
  const analogies = new Analogies();
  const character = (byte: number): string => (byte < 0 ? "·" : String.fromCharCode(byte));
  let workspace = "";
  let own = "";
  for (const byte of encode(text)) {
    workspace += character(analogies.workspace.byte);
    own += character(analogies.own.byte);
    analogies.push(byte, reader.push(byte));
    analogies.settle(reader);
  }
  return { workspace, own };
}

const code = fc
  .array(fc.constantFrom("a", "bc", "if", "7", "(", ")", ".", " ", "\n", "é"), { maxLength: 60 })
  .map((parts) => parts.join(""));

describe("analogies", () => {
  const source = "self.read = timeout.read;\nsend(self.read);\n";

  test("expect the name that stands here for the one that stood there", () => {
    const { workspace } = expected([source], "self.write = timeout.write;\nsend(self.write);\n");
    // Two tokens must be alike before anything is expected; a name is over where it ended there.
    expect(workspace.slice("self.write = ".length)).toBe("timeout.write;\nsend(self.write);\n");
  });

  test("follow only what goes on being right", () => {
    const { workspace } = expected([source], "self.write = tide.write;");
    expect(workspace.slice("self.write = ".length)).toBe("tim··write;");
  });

  test("expect parts of names that other names lost on the way here", () => {
    const { workspace } = expected(
      ["getUser(user);\nkeep(userId);\n"],
      "getGroup(group);\nkeep(groupId);\n",
    );
    expect(workspace.slice("getGroup(group);\nkeep(".length)).toBe("groupId);\n");
  });

  test("know nothing of a hidden file, though most rows are its own", () => {
    const lines = (n: number, from: number): string =>
      Array.from({ length: n }, (_, i) => `label${from + i}: "value ${i % 7}",\n`).join("");
    const text = lines(12, 40);
    const files = [lines(3, 0), lines(600, 20), `${lines(2, 90)}other(7);\n`];
    const shown = expected(files, text);
    const without = expected([files[0]!, files[2]!], text);
    expect(expected(files, text, new Set([1]))).toEqual(without);
    expect(without.workspace).not.toBe(shown.workspace);
  });

  test("come from the file as well", () => {
    const { workspace, own } = expected([], `${source}self.write = timeout.write;`);
    expect(workspace).toMatch(/^·*$/);
    expect(own.endsWith("timeout.write;")).toBe(true);
  });

  test("are the same wherever they were asked for before", () => {
    fc.assert(
      fc.property(
        fc.array(code, { maxLength: 4 }),
        fc.array(fc.tuple(code, fc.boolean()), { maxLength: 12 }),
        (files, parts) => {
          const sources = [
            { tokens: new TokenSegment(files.map(encode)), hidden: new Set<number>() },
          ];
          const reader = new TokenReader(sources);
          const always = new Analogies();
          let seldom = new Analogies();
          for (const [text, isAsked] of parts) {
            for (const byte of encode(text)) {
              const ended = reader.push(byte);
              always.push(byte, ended);
              always.settle(reader);
              seldom.push(byte, ended);
            }
            if (!isAsked) continue;
            const copy = new Analogies();
            copy.copyFrom(seldom);
            seldom = copy;
            seldom.settle(reader);
            for (const what of ["workspace", "own", "votes", "total"] as const)
              expect(seldom[what]).toEqual(always[what]);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test("have classes in their range, and as many votes as places", () => {
    // Each class has a state for the byte expected, and one for all others.
    expect(2 * ANALOGY_CLASSES).toBeLessThanOrEqual(EVIDENCE_STATES);
    fc.assert(
      fc.property(fc.array(code, { maxLength: 4 }), code, (files, text) => {
        const reader = new TokenReader([
          { tokens: new TokenSegment(files.map(encode)), hidden: new Set() },
        ]);
        const analogies = new Analogies();
        for (const byte of encode(text)) {
          analogies.push(byte, reader.push(byte));
          analogies.settle(reader);
          const { workspace, own, votes, total } = analogies;
          expect(votes.reduce((sum, count) => sum + count, 0)).toBe(total);
          expect(total > 0).toBe(workspace.byte >= 0 || own.byte >= 0);
          for (const one of [workspace, own]) {
            expect(one.class).toBeLessThan(ANALOGY_CLASSES);
            if (one.byte >= 0) expect(votes[one.byte]).toBeGreaterThan(0);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  test("make a name probable that no context has seen here", async () => {
    const memory = new SuffixMemory();
    const names = ["alpha", "bravo", "carol", "delta", "eager", "fancy", "gamma", "handy"];
    const block = (name: string): string => `set(${name}) {\n  this.${name} = ${name};\n}\n`;
    for (const name of names) memory.setFile(`${name}.ts`, encode(block(name).repeat(3)));
    await memory.calibrate({ maxBytes: 100_000, seed: 1 });
    const cursor = memory.cursor();
    const out = new Float64Array(256);
    for (const byte of encode("set(zebra) {\n  this.")) {
      cursor.predict(out);
      cursor.push(byte);
    }
    cursor.predict(out);
    expect(out["z".charCodeAt(0)]).toBeGreaterThan(0.5);
  });
});
