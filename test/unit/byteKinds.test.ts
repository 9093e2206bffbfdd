/** What each byte belongs to: hand-made examples, and properties of broken code. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BYTE_KINDS, byteKinds, isCode, nameBytes } from "../../model/facts/byteKinds.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const LETTER = { identifier: "i", keyword: "k", number: "n", string: "s", comment: "c", whitespace: "_", punctuation: "p", word: "w" } as const; // prettier-ignore
const shown = (path: string, text: string): string =>
  [...byteKinds(path, encode(text))].map((kind) => LETTER[BYTE_KINDS[kind]!]).join("");

describe("the kind of every byte", () => {
  test.each([
    ["a.ts", "const foo = 12;", "kkkkk_iii_p_nnp"],
    ["a.ts", "x /= 2 // ab\n", "i_pp_n_ccccc_"],
    ["a.ts", "a/b /* c */ + d", "ipi_ccccccc_p_i"],
    ["a.ts", "f(/a b/, 'x y')", "ipsssssp_sssssp"],
    ["a.ts", "`a${b}c`.d", "ssspipsspi"],
    ["a.ts", 'o.class = ""', "ipiiiii_p_ss"],
    ["a.ts", "s = 'open\n  y", "i_p_sssss___i"],
    ["a.py", 'def f(x):\n    """d\n"""', "kkk_ipipp_____ssssssss"],
    ["a.py", 'g("")  # é', "ipssp__cccc"],
    ["a.py", "yield", "kkkkk"],
    ["a.rs", "fn f<'a>(c: char) { 'x' }", "kk_ipiipp" + "ip_iiii" + "p_p_sss_p"],
    ["a.md", "the words, 12", "www_wwwwwp_nn"],
    ["a.json", '{"a": true}', "psssp_kkkkp"],
  ])("in %s: %s", (path, text, kinds) => {
    expect(shown(path, text)).toBe(kinds);
  });

  test("is one of the kinds for whatever bytes there are, and settled a line after them", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("a.ts", "b.py", "c.rs", "d.html", "e.sql", "f.txt"),
        fc.uint8Array({ maxLength: 200 }),
        fc.uint8Array({ maxLength: 50 }),
        (path, bytes, more) => {
          const kinds = byteKinds(path, bytes);
          expect(kinds.length).toBe(bytes.length);
          expect(kinds.every((kind) => kind < BYTE_KINDS.length)).toBe(true);
          // Only the token that a cut goes through may be read otherwise.
          const longer = byteKinds(path, Uint8Array.from([...bytes, 10, ...more]));
          const line = bytes.lastIndexOf(10) + 1;
          expect([...longer.subarray(0, line)]).toEqual([...kinds.subarray(0, line)]);
        },
      ),
    );
  });

  test("knows code from data, and what a name is made of", () => {
    expect(["a.ts", "a.py", "a.go"].map(isCode)).toEqual([true, true, true]);
    expect(["a.md", "a.json", "a.yaml", "a.css"].map(isCode)).toEqual([false, false, false, false]);
    expect([..."aZ_$9é"].map((c) => nameBytes("a.ts")[encode(c)[0]!])).toEqual([1, 1, 1, 1, 1, 1]);
    expect([..." .-(\n"].map((c) => nameBytes("a.ts")[encode(c)[0]!])).toEqual([0, 0, 0, 0, 0]);
  });
});
