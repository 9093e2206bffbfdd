/**
 * Golden cases of the clean-up, per language: what the model might say at the cursor (`|`), and what a person should
 * be offered. `…` at the end of what the model says means that it was cut there.
 */
import { describe, expect, test } from "vitest";
import { cleanUp } from "../../server/postprocess/cleanUp.ts";

interface Golden {
  readonly at: string;
  readonly says: string;
  readonly offered: string;
  readonly lines?: true;
}

const GOLDEN: Readonly<Record<string, readonly Golden[]>> = {
  typescript: [
    { at: 'import { join } from "|";\n', says: 'node:path";', offered: "node:path" },
    {
      at: "const a = items.map(|);\n",
      says: "(item) => item.name);",
      offered: "(item) => item.name",
    },
    { at: "const a = items.map(|)\n", says: "(item) => f(item)", offered: "(item) => f(item)" },
    { at: "if (|) {\n", says: "a && b(c)) {", offered: "a && b(c)" },
    { at: "  return |\n}\n", says: "this.value;\n}\n", offered: "this.value;" },
    { at: "const total = |\n", says: "prices.reduce((sum, pri…", offered: "prices.reduce((sum," },
    { at: "type A = Map<|>;\n", says: "string, number>;", offered: "string, number" },
    {
      at: "function f() {|\n}\n",
      says: "\n  return 1;\n}\n\nfunction g() {",
      offered: "\n  return 1;",
      lines: true,
    },
  ],
  python: [
    { at: "def read(self|):\n", says: ", path: str) -> bytes:", offered: ", path: str" },
    {
      at: "    return |\n",
      says: "self._read(path)\n\n    def write",
      offered: "self._read(path)",
    },
    { at: 'raise ValueError(f"|")\n', says: 'no {name}")', offered: "no {name}" },
    { at: "for key, value in |:\n", says: "items.items():", offered: "items.items()" },
    {
      at: "    if ready:|\n",
      says: "\n        go()\n        wait()\n    stop()",
      offered: "\n        go()\n        wait()",
      lines: true,
    },
    { at: "x = |\n    y = 2\n", says: "1\n    y = 2", offered: "1", lines: true },
  ],
  rust: [
    { at: "let n = v.iter().|;\n", says: "sum::<u32>();", offered: "sum::<u32>()" },
    { at: "fn f(a: &str|) {\n", says: ", b: usize) -> bool {", offered: ", b: usize" },
    { at: "    Some(|)\n", says: "value.unwrap_or(0))", offered: "value.unwrap_or(0)" },
  ],
  go: [
    { at: "if err != nil |\n", says: "{\n\t\treturn err\n\t}", offered: "{" },
    { at: "\tfmt.Println(|)\n", says: 'len(items), "items")', offered: 'len(items), "items"' },
    {
      at: "\tif err != nil {|\n\t}\n",
      says: "\n\t\treturn err\n\t}\n",
      offered: "\n\t\treturn err",
      lines: true,
    },
  ],
  html: [{ at: '<a href="|">\n', says: '/about">About</a>', offered: "/about" }],
  json: [{ at: '  "name": "|",\n', says: 'narrow",', offered: "narrow" }],
  "words in other scripts": [
    { at: "größe = |\n", says: "größte(werte, läng…", offered: "größte(werte," },
    { at: "名前 = |\n", says: "取得(値)", offered: "取得(値)" },
  ],
};

function offered({ at, says, lines }: Golden): string {
  const cursor = at.indexOf("|");
  const before = at.slice(0, cursor);
  const after = at.slice(cursor + 1);
  const end = after.indexOf("\n");
  return cleanUp(
    { text: says.replace(/…$/, ""), truncated: says.endsWith("…") },
    {
      linePrefix: before.slice(before.lastIndexOf("\n") + 1),
      lineSuffix: after.slice(0, end),
      following: after.slice(end + 1),
      multiLine: lines === true,
    },
  );
}

describe.each(Object.entries(GOLDEN))("in %s", (_, cases) => {
  test.each(cases.map((one) => [one.at.trim(), one] as const))("%s", (_, one) => {
    expect(offered(one)).toBe(one.offered);
  });
});
