/** Lines by analogy: places that are alike but for names, their lines with the names of this place. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Renames } from "../../model/memory/renames.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { TokenSegment } from "../../model/memory/tokenSegment.ts";
import { LINE_END, NAME, NUMBER, TokenText } from "../../model/memory/tokenText.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function linesAfter(files: readonly string[], before: string, maxBytes = 60): string[] {
  const memory = new SuffixMemory();
  files.forEach((text, i) => memory.setFile(`${i}.ts`, encode(text)));
  const cursor = memory.cursor({ exclude: "edited.ts" });
  for (const byte of encode(before)) cursor.push(byte);
  return cursor.renamedLines(maxBytes).map(({ bytes }) => decode(bytes));
}

/** Code of few names, marks and lines, so that places are alike. */
const code = fc
  .array(fc.constantFrom("a", "bc", "if", "7", "(", ")", ".", " ", "\n", "é"), { maxLength: 60 })
  .map((parts) => parts.join(""));

describe("tokens", () => {
  test("are the same read at once or byte by byte, up to the word that is not over", () => {
    fc.assert(
      fc.property(code, (text) => {
        const bytes = encode(text);
        const whole = TokenText.of(bytes);
        const read = new TokenText();
        for (const byte of bytes) read.push(byte);
        expect(read.tokens + (read.open < 0 ? 0 : 1)).toBe(whole.tokens);
        for (let i = 0; i < read.tokens; i++) {
          expect(read.symbol[i]).toBe(whole.symbol[i]);
          expect(read.token(i)).toBe(whole.token(i));
        }
      }),
    );
  });

  test("have the same symbol where only the name or the number differs", () => {
    const symbols = (text: string): number[] => [...TokenText.of(encode(text)).symbol];
    expect(symbols("if (width > 12)\n")).toEqual(symbols("if (h>7)\n"));
    expect(symbols("a 1\n")).toEqual([NAME, NUMBER, LINE_END]);
    expect(symbols("return a")).not.toEqual(symbols("throw a"));
  });

  test("are found again by the row of their place", () => {
    fc.assert(
      fc.property(fc.array(code, { maxLength: 20 }), (texts) => {
        const files = texts.map(encode);
        const tokens = new TokenSegment(files);
        const { segment, files: read } = tokens;
        const seen = read.map((text) => new Set<number>(Array.from({ length: text.tokens + 1 }, (_, i) => i))); // prettier-ignore
        for (let row = 0; row < segment.rows; row++) {
          const file = tokens.fileOf[row]!;
          if (file < 0) continue;
          const token = tokens.tokenOf(row);
          expect(seen[file]!.delete(token)).toBe(true);
          if (segment.follow[row]! < 0) expect(token).toBe(read[file]!.tokens);
          else expect(segment.next[row]).toBe(read[file]!.symbol[token]);
        }
        expect(seen.every((left) => left.size === 0)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe("renames", () => {
  test("put whole names in, and parts of names in their case", () => {
    const renames = new Renames();
    renames.learn("getUser", "getGroup");
    renames.learn("read", "write");
    expect(["getUser", "userId", "User", "USER_NAME", "read", "other"].map((name) => renames.apply(name))).toEqual(["getGroup", "groupId", "Group", "GROUP_NAME", "write", "other"]); // prettier-ignore
  });

  test("keep what the nearest place says, and count what speaks against it", () => {
    const renames = new Renames();
    renames.learn("a", "b");
    renames.learn("a", "c");
    renames.learn("a", "b");
    renames.learn("same", "same");
    expect(renames.apply("a")).toBe("b");
    expect([renames.renamed, renames.confirmed, renames.contradicted]).toEqual([1, 1, 1]);
  });

  test("leave bytes beyond ASCII as they are", () => {
    const renames = new Renames();
    const latin = (text: string): string => Buffer.from(text).toString("latin1");
    renames.learn(latin("éa"), latin("éb"));
    expect(renames.apply(latin("ÉA"))).toBe(latin("ÉB"));
    expect(renames.apply(latin("ßa"))).toBe(latin("ßb"));
  });
});

describe("lines by analogy", () => {
  const source = "self.read = timeout.read;\nsend(self.read);\n";

  test("have the names of this place", () => {
    expect(linesAfter([source], "self.write = ")).toEqual(["timeout.write;"]);
    expect(linesAfter([source], "self.write = timeout.write;\nsend(")[0]).toBe("self.write);");
  });

  test("go on behind what is typed of a word, and after blanks as they stand", () => {
    expect(linesAfter([source], "self.write = timeout.wr")[0]).toBe("ite;");
    expect(linesAfter([source], "self.write =")[0]).toBe(" timeout.write;");
    expect(linesAfter([source], "self.write = other.x")).toEqual([]);
  });

  test("come from the file itself too, and not from the last saved text of it", () => {
    const before = `${source}self.write = `;
    expect(linesAfter([], before)).toEqual(["timeout.write;"]);
    const memory = new SuffixMemory();
    memory.setFile("edited.ts", encode(source));
    const cursor = memory.cursor({ exclude: "edited.ts" });
    for (const byte of encode("self.write = ")) cursor.push(byte);
    expect(cursor.renamedLines(60)).toEqual([]);
    const frozen = memory.cursor({ absorbOwn: 0 });
    for (const byte of encode("self.write = ")) frozen.push(byte);
    expect(frozen.renamedLines(60)).toEqual([]);
  });

  test("prefer the place that shares more names", () => {
    const far = "open(path).then(x.one);\n";
    const near = "open(file).then(x.two);\n";
    expect(linesAfter([far, near, far], "open(file).then(")[0]).toBe("x.two);");
  });

  test("are no longer than asked, end where a line ends, and are lines of the files where no name is replaced", () => {
    fc.assert(
      fc.property(fc.array(code, { maxLength: 4 }), code, (files, before) => {
        const memory = new SuffixMemory();
        files.forEach((text, i) => memory.setFile(`${i}.ts`, encode(text)));
        const cursor = memory.cursor();
        for (const byte of encode(before)) cursor.push(byte);
        const fork = cursor.fork();
        const lines = cursor.renamedLines(12);
        expect(fork.renamedLines(12)).toEqual(lines);
        for (const line of lines) {
          expect(line.bytes.length).toBeGreaterThan(0);
          expect(line.bytes.length).toBeLessThanOrEqual(12);
          expect(line.bytes.includes(10)).toBe(false);
          if (line.replaced > 0) continue;
          const text = decode(line.bytes);
          expect([...files, before].some((file) => file.includes(text))).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });
});
