/**
 * Clean-up of suggestions: golden cases written as code with the cursor as `|`, and what must hold for any text.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IDENTIFIER_CHARACTER, type Surroundings } from "../../server/postprocess/candidate.ts";
import { cleanUp } from "../../server/postprocess/cleanUp.ts";
import { confidentPrefix } from "../../server/postprocess/confidentPrefix.ts";

type Extent = "line" | "lines" | "cut line" | "cut lines";

function surroundings(marked: string, multiLine: boolean): Surroundings {
  const at = marked.indexOf("|");
  const before = marked.slice(0, at);
  const after = marked.slice(at + 1);
  const end = after.indexOf("\n");
  return {
    linePrefix: before.slice(before.lastIndexOf("\n") + 1),
    lineSuffix: end < 0 ? after : after.slice(0, end),
    following: end < 0 ? "" : after.slice(end + 1),
    multiLine,
  };
}

function clean(marked: string, text: string, extent: Extent = "line"): string {
  return cleanUp(
    { text, truncated: extent.startsWith("cut") },
    surroundings(marked, extent.endsWith("lines")),
  );
}

describe("the extent", () => {
  test.each<[string, string, string, Extent?]>([
    ["one line by default", "x = |", "1\ny = 2\n", "line"],
    ["one line with carriage returns", "x = |", "1\r\ny = 2\r\n", "line"],
  ])("is %s", (_, marked, text, extent) => {
    expect(clean(marked, text, extent)).toBe("1");
  });

  test("goes on over lines when asked to", () => {
    expect(clean("function f() {|\n", "\n  return 1;\n}", "lines")).toBe("\n  return 1;\n}");
  });

  test("ends where the block ends", () => {
    expect(clean("    if a:|\n", "\n        b()\n    c()\n", "lines")).toBe("\n        b()");
    expect(clean("  f(() => {|\n", "\n    x();\n  });\nnext();\n", "lines")).toBe(
      "\n    x();\n  });",
    );
  });
});

describe("text right of the cursor", () => {
  test.each([
    ["a closing bracket is not repeated", "foo(|)", "bar)", "bar"],
    ["a bracket with a semicolon is not repeated", "foo(|);", "bar);", "bar"],
    ["a bracket that the suggestion opened stays", "foo(|)", "bar()", "bar()"],
    ["only the outer bracket goes", "foo(|)", "bar())", "bar()"],
    ["own brackets stay before what follows", "foo(|);", "bar();", "bar()"],
    ["a quote is not repeated", 'a["|"]', 'key"]', "key"],
    ["words are not repeated", "const x = | + width;", "height + width;", "height"],
    ["text beyond the bracket is dropped", "foo(|)", "a, b) + c", "a, b"],
    ["a space before it does not hide it", "{| }", " a: 1 }", " a: 1"],
    ["a space that separates stays", "{ |}", "a: 1 }", "a: 1 "],
    ["nothing there changes nothing", "x = |", "f(1)", "f(1)"],
  ])("%s", (_, marked, text, expected) => {
    expect(clean(marked, text)).toBe(expected);
  });
});

describe("lines below", () => {
  test("are not suggested again", () => {
    expect(clean("|\n  return total;\n", "  return total;")).toBe("");
    expect(clean("a = 1\n|\nb = 2\n", "c = 3\nb = 2", "lines")).toBe("c = 3");
  });

  test("may share a lone bracket", () => {
    expect(clean("foo(a, |\n)\n", ")")).toBe(")");
  });
});

describe("identifiers", () => {
  test.each<[string, string, string, string, Extent]>([
    ["are not cut by the budget", "x = |", "compute(alpha, bet", "compute(alpha,", "cut line"],
    ["at the end of a line are whole", "x = |", "alpha\nbeta", "alpha", "cut line"],
    ["are dropped rather than halved", "x = |", "alph", "", "cut line"],
    ["do not grow together with the next one", "|value", "my", "", "line"],
    ["may be of any script", "x = |", "f(größ", "f(", "cut line"],
  ])("%s", (_, marked, text, expected, extent) => {
    expect(clean(marked, text, extent)).toBe(expected);
  });
});

describe("the end", () => {
  test("has no spaces and no half indentation", () => {
    expect(clean("x = |", "1   ")).toBe("1");
    expect(clean("if (a) {|\n", "\n  b();\n  ", "lines")).toBe("\n  b();");
    expect(clean("|", "   ")).toBe("");
  });

  test("keeps the space that separates from what follows", () => {
    expect(clean("const x = |+ 1", "y ")).toBe("y ");
  });

  test("comes before characters that are no text", () => {
    expect(clean("x = |", "ok(\u0000bad")).toBe("ok(");
    expect(clean("x = |", "ok(\ufffd")).toBe("ok(");
    expect(clean("x = |", "ok(\ud83d")).toBe("ok(");
    expect(clean("x = |", "\u001b[31m")).toBe("");
  });
});

describe("the confident prefix", () => {
  const answer = (text: string, perByte: number[]) => ({
    text,
    confidence: perByte.reduce((product, p) => product * p, 1),
    perByte,
  });

  test("is everything when that is probable enough", () => {
    expect(confidentPrefix(answer("ab", [0.9, 0.9]), 0.8)).toMatchObject({
      text: "ab",
      truncated: false,
    });
  });

  test("ends where the probability of the whole falls below", () => {
    expect(confidentPrefix(answer("f(x)", [0.9, 0.9, 0.3, 0.9]), 0.5)).toMatchObject({
      text: "f(",
      truncated: true,
    });
    expect(confidentPrefix(answer("f(x)", [0.4, 0.9, 0.9, 0.9]), 0.5).text).toBe("");
  });

  test("never ends inside a character", () => {
    expect(confidentPrefix(answer("aé", [0.9, 0.9, 0.1]), 0.5).text).toBe("a");
    expect(confidentPrefix(answer("😀", [0.9, 0.9, 0.9, 0.1]), 0.5).text).toBe("");
  });

  test("without figures per byte is everything", () => {
    expect(confidentPrefix({ text: "x", confidence: 0.1 }, 0.5).text).toBe("x");
  });
});

describe("any suggestion", () => {
  const code = fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc
      .array(
        fc.constantFrom(
          "foo",
          "(",
          ")",
          "[",
          "]",
          '"',
          ";",
          " ",
          "\n",
          "\r\n",
          "\t",
          "😀",
          "\ufffd",
          "\u0007",
          "é",
        ),
        { maxLength: 20 },
      )
      .map((parts) => parts.join("")),
  );
  const anyCase = fc.record({
    text: code,
    prefix: code.map((text) => text.replace(/[\r\n]/g, "")),
    suffix: code.map((text) => text.replace(/[\r\n]/g, "")),
    following: code,
    multiLine: fc.boolean(),
    truncated: fc.boolean(),
  });

  test("comes out as a beginning of itself, without control characters, cut names or loose ends", () => {
    fc.assert(
      fc.property(anyCase, ({ text, prefix, suffix, following, multiLine, truncated }) => {
        const out = cleanUp(
          { text, truncated },
          { linePrefix: prefix, lineSuffix: suffix, following, multiLine },
        );
        expect(text.startsWith(out)).toBe(true);
        expect(out).not.toMatch(/[^\P{Cc}\t\n\r]|\ufffd/u);
        expect(new TextDecoder().decode(new TextEncoder().encode(out))).toBe(out);
        if (!multiLine) expect(out).not.toMatch(/[\r\n]/);
        expect(out).not.toMatch(/[\n\t]$| {2}$/);
        const last = Array.from(out).at(-1);
        if (truncated && last !== undefined && IDENTIFIER_CHARACTER.test(last)) {
          const next = Array.from(text.slice(out.length))[0];
          expect(next === undefined || IDENTIFIER_CHARACTER.test(next)).toBe(false);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("never grows when cleaned again", () => {
    fc.assert(
      fc.property(anyCase, ({ text, prefix, suffix, following, multiLine }) => {
        const around = { linePrefix: prefix, lineSuffix: suffix, following, multiLine };
        const once = cleanUp({ text, truncated: false }, around);
        const twice = cleanUp({ text: once, truncated: false }, around);
        expect(once.startsWith(twice)).toBe(true);
      }),
    );
  });
});
