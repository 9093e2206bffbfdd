/** Words of questions and of code meet in the same terms. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutChunks, MAX_CHUNK_LINES } from "../../server/query/chunks.ts";
import { definitionOnLine, findDefinitions } from "../../server/query/definitions.ts";
import { identifierTerms, questionTerms, splitIdentifier, stem } from "../../server/query/terms.ts";

describe("identifiers", () => {
  test.each([
    ["followRedirects", ["follow", "redirects"]],
    ["get_http_url", ["get", "http", "url"]],
    ["HTTPResponse2Stream", ["http", "response", "2", "stream"]],
    ["__init__", ["init"]],
    ["größe", ["größe"]],
    ["maxGrößeÄndern", ["max", "größe", "ändern"]],
    ["получитьИмя_2", ["получить", "имя", "2"]],
    ["ユーザー名", ["ユーザー名"]],
    ["cafe\u0301Menu", ["cafe\u0301", "menu"]],
    ["$", []],
  ])("%s splits into its words", (identifier, words) => {
    expect(splitIdentifier(identifier)).toEqual(words);
  });

  test("in camel case and in snake case have the same terms", () => {
    expect(identifierTerms("followRedirects")).toEqual(identifierTerms("follow_redirects"));
    expect(identifierTerms("followRedirects")).toContain("+followredirect");
  });
});

describe("stems", () => {
  test.each([
    ["redirects", "redirect"],
    ["parsing", "parse"],
    ["parsed", "parses"],
    ["connections", "connect"],
    ["queries", "query"],
    ["stopped", "stopping"],
    ["classes", "class"],
    ["validation", "validate"],
  ])("%s and %s meet", (a, b) => {
    expect(stem(stem(a))).toBe(stem(stem(b)));
  });

  test.each(["string", "red", "css", "status", "this", "need"])("%s stays whole", (word) => {
    expect(stem(word)).toBe(word);
  });

  test("never vanish", () => {
    fc.assert(fc.property(fc.string({ minLength: 1 }), (word) => stem(word).length > 0));
  });
});

describe("questions", () => {
  test("lose their filler and gain what programmers write", () => {
    const { words, terms } = questionTerms("How are the redirects followed?");
    expect(words).toEqual(["redirects", "followed"]);
    expect(terms.map((one) => one.term)).toContain("+redirectfollow");
    const config = questionTerms("where is the configuration read").terms.map((one) => one.term);
    expect(config).toContain("config");
  });

  test("of filler alone have no terms", () => {
    expect(questionTerms("what is this?").terms).toEqual([]);
  });
});

describe("definitions", () => {
  test.each([
    ["a.ts", "export async function loadAll(x: number) {", "loadAll", "function"],
    ["a.ts", "export const makeShape = (", "makeShape", "function"],
    ["a.ts", "const LIMIT = 3;", "LIMIT", "constant"],
    ["a.ts", "  private async send(request: Request): Promise<void> {", "send", "method"],
    ["a.ts", "export type Point = [number, number];", "Point", "type"],
    ["a.py", "class Client(BaseClient):", "Client", "class"],
    ["a.py", "    async def aclose(self) -> None:", "aclose", "function"],
    ["a.py", "DEFAULT_LIMITS = Limits()", "DEFAULT_LIMITS", "constant"],
    ["a.go", "func (s *Server) Listen(addr string) error {", "Listen", "function"],
    ["a.rs", "pub(crate) fn parse(input: &str) -> Ast {", "parse", "function"],
    ["a.c", "static int read_all(FILE *f, char *out)", "read_all", "function"],
    ["a.h", "#define BUFFER_SIZE 4096", "BUFFER_SIZE", "macro"],
    ["a.scss", ".dialog__title {", "dialog__title", "rule"],
    ["a.md", "## Getting started", "Getting started", "heading"],
  ])("in %s: %s", (path, line, name, kind) => {
    expect(definitionOnLine(path, line)).toEqual({ name, kind });
  });

  test.each(["  return pointFrom(", "    if (ready) {", '  it("works", () => {', "x == 1"])(
    "do not include %s",
    (line) => {
      expect(definitionOnLine("a.ts", line)).toBeUndefined();
    },
  );

  test("know their container and the end of their body", () => {
    const lines = [
      "class A:",
      "    def f(self):",
      "        return 1",
      "",
      "    def g(self):",
      "        pass",
      "x = 1",
    ];
    expect(findDefinitions("a.py", lines, undefined)).toEqual([
      { name: "A", kind: "class", container: undefined, line: 0, endLine: 5, indent: 0 },
      { name: "f", kind: "method", container: "A", line: 1, endLine: 2, indent: 4 },
      { name: "g", kind: "method", container: "A", line: 4, endLine: 5, indent: 4 },
      { name: "x", kind: "constant", container: undefined, line: 6, endLine: 6, indent: 0 },
    ]);
  });

  test("come from language servers where these answered", () => {
    const symbol = {
      name: "run",
      kind: 12,
      path: "a.ts",
      startLine: 1,
      startCharacter: 0,
      endLine: 3,
    };
    expect(findDefinitions("a.ts", ["const x = 1;", "run()", "", "end"], [symbol])).toMatchObject([
      { name: "run", kind: "function", line: 1, endLine: 3 },
    ]);
  });
});

describe("chunks", () => {
  test("cover every line that is not blank exactly once, and are never long", () => {
    const line = fc.constantFrom("", "function f() {", "  body();", "}", "// note", "const a = 1;");
    fc.assert(
      fc.property(fc.array(line, { maxLength: 200 }), (lines) => {
        const covered = new Uint8Array(lines.length);
        for (const chunk of cutChunks(lines, findDefinitions("a.ts", lines, undefined))) {
          expect(chunk.endLine - chunk.startLine).toBeLessThanOrEqual(MAX_CHUNK_LINES);
          for (let i = chunk.startLine; i < chunk.endLine; i++) covered[i]!++;
        }
        lines.forEach((text, i) => {
          if (text.trim() !== "") expect(covered[i]).toBe(1);
          else expect(covered[i]).toBeLessThanOrEqual(1);
        });
      }),
    );
  });

  test("start at a definition together with its comment", () => {
    const body = Array.from({ length: 15 }, (_, i) => `  step${i}();`);
    const lines = [
      "function a() {",
      ...body,
      "}",
      "",
      "/** About b. */",
      "function b() {",
      ...body,
      "}",
    ];
    const cuts = cutChunks(lines, findDefinitions("a.ts", lines, undefined));
    expect(cuts.map((cut) => lines[cut.startLine])).toEqual(["function a() {", "/** About b. */"]);
  });
});
