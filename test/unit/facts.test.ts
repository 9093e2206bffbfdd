/**
 * Facts must not know the future: whatever follows byte t, the facts at bytes up to t stay bit-identical,
 * and a file's own evidence never reaches its own facts. These are the tests that make training numbers honest.
 */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  colourOf,
  FACT_CHANNELS,
  identityOf,
  N_FACT_CHANNELS,
  SCOPE_KINDS,
  TOKEN_MODIFIERS,
  TOKEN_TYPES,
  tokenModifierFlag,
  tokenTypeId,
} from "../../model/facts/channels.ts";
import { createFactEncoder } from "../../model/facts/encoder.ts";
import { FactLexicon } from "../../model/facts/lexicon.ts";
import type { NameEvidence } from "../../model/facts/lexicon.ts";
import { languageOf } from "../../model/facts/languages.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const PATHS = ["a.ts", "b.tsx", "c.py", "d.rs", "e.go", "f.java", "g.cpp", "h.cs", "i.rb", "j.json", "k.yaml", "l.html", "m.css", "n.sql", "o.md", "p.lua", "q.kt", "r.unknown", "Makefile"]; // prettier-ignore
const PIECES = ["class Auth", "class ", "def flow(self, x):", "function render", "const {a, b} = ", "(", ")", "{", "}", "[", "]", "<div>", "</div>", "=> ", "=", ":=", ":", ";", ",", ".", "...", "`a${", "`", "'", '"', '"""', "'''", "\\", "/", "//", "/*", "*/", "<!--", "-->", "--", "#", "@", "'a ", "\n", "\n    ", "\n\t", "\n  ", " ", "\r\n", "import {x} from 'y'", "from a import b", "return ", "if ", "fn new", "func (r *T) Name", "int main", "public static void go", "foo", "bar", "self", "Client", "request", "timeout", "é", "\u{1F600}", "0x1f", "1.5e3", "x", "enum E { A, B }", "interface I { m(): void; p: string }", "type T struct {", "x".repeat(200)]; // prettier-ignore

const path = fc.constantFrom(...PATHS);
const code = fc
  .array(
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...PIECES) }, fc.string({ maxLength: 8 })),
    {
      maxLength: 60,
    },
  )
  .map((pieces) => encode(pieces.join("")));
const anyBytes = fc.oneof({ weight: 4, arbitrary: code }, fc.uint8Array({ maxLength: 120 }));

const evidence = fc.array(
  fc.record<NameEvidence>({
    name: fc.constantFrom("foo", "bar", "self", "Client", "request", "timeout", "x", "render"),
    tokenType: fc.integer({ min: 0, max: 31 }),
    modifiers: fc.integer({ min: 0, max: 15 }),
    identity: fc.oneof(fc.constantFrom(0, 1, 7, 8), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    count: fc.integer({ min: 1, max: 50 }),
  }),
  { maxLength: 12 },
);

function sampleLexicon(): FactLexicon {
  const lexicon = new FactLexicon();
  const names = ["foo", "bar", "Client", "request", "timeout"];
  for (const file of ["x.ts", "y.py"])
    lexicon.setFile(
      file,
      names.map((name, at) => ({
        name,
        tokenType: 3 + at,
        modifiers: at,
        identity: identityOf("lib/core.ts", name),
        count: 2,
      })),
    );
  return lexicon;
}

/** Facts of `text` at the byte that holds `mark`, which is taken out first. */
function factsAt(path: string, text: string, lexicon = new FactLexicon()): Record<string, number> {
  const at = encode(text.slice(0, text.indexOf("|"))).length - 1;
  const channels = createFactEncoder({ lexicon }).channels(path, encode(text.replace("|", "")));
  return Object.fromEntries(
    FACT_CHANNELS.map((channel, c) => [channel.name, channels[at * N_FACT_CHANNELS + c]!]),
  );
}

describe("the language of a file", () => {
  test.each([
    ["app/views/show.html.erb", "markup"],
    ["lib/web/page.heex", "markup"],
    ["Views/Home.cshtml", "markup"],
    ["src/lib.ipp", "cpp"],
    ["Gemfile", "ruby"],
    ["tool.gemspec", "ruby"],
    ["CMakeLists.txt", "config"],
    ["notes.txt", "text"],
    ["defs.bzl", "python"],
    ["plot.ipynb", "python"],
    ["data.unheardof", "unknown"],
  ])("%s is %s", (path, name) => {
    expect(languageOf(path).name).toBe(name);
  });
});

describe("fact channels", () => {
  test("stay as the trained models know them", () => {
    expect(FACT_CHANNELS.map((c) => `${c.name}:${c.size}`)).toEqual([
      "tokenType:32",
      "tokenModifiers:16",
      "scopeDepth:16",
      "scopeKind:32",
      "colour:4096",
    ]);
    expect(Math.max(...Object.values(TOKEN_TYPES))).toBeLessThan(FACT_CHANNELS[0].size);
    expect(new Set(Object.values(TOKEN_TYPES)).size).toBe(Object.keys(TOKEN_TYPES).length);
  });

  test("map legends of real servers", () => {
    expect(tokenTypeId("member")).toBe(TOKEN_TYPES.method);
    expect(tokenTypeId("selfParameter")).toBe(TOKEN_TYPES.parameter);
    expect(tokenTypeId("toString")).toBe(0);
    expect(tokenModifierFlag("readonly")).toBe(TOKEN_MODIFIERS.readonly);
    expect(tokenModifierFlag("constructor")).toBe(0);
  });

  test("give every identity a colour inside the channel", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (file, name) => {
        const colour = colourOf(identityOf(file, name));
        expect(colour).toBeGreaterThan(0);
        expect(colour).toBeLessThan(FACT_CHANNELS[4].size);
      }),
    );
    expect(colourOf(0)).toBe(0);
  });

  test("stay inside their tables for any bytes", () => {
    const encoder = createFactEncoder({ lexicon: sampleLexicon() });
    fc.assert(
      fc.property(path, anyBytes, (file, bytes) => {
        const channels = encoder.channels(file, bytes);
        expect(channels.length).toBe(bytes.length * N_FACT_CHANNELS);
        for (let at = 0; at < channels.length; at++)
          if (channels[at]! >= FACT_CHANNELS[at % N_FACT_CHANNELS]!.size)
            expect.fail(`channel ${at % N_FACT_CHANNELS} holds ${channels[at]}`);
      }),
    );
  });
});

describe("fact leaks", () => {
  const encoder = createFactEncoder({ lexicon: sampleLexicon() });

  test("do not exist: what follows a byte changes nothing up to it", () => {
    fc.assert(
      fc.property(path, anyBytes, anyBytes, fc.nat(), fc.nat(), (file, bytes, other, cut, seed) => {
        const t = bytes.length === 0 ? 0 : cut % (bytes.length + 1);
        const whole = encoder.channels(file, bytes).subarray(0, t * N_FACT_CHANNELS);
        const head = bytes.subarray(0, t);

        const truncated = encoder.channels(file, head);
        expect(truncated).toEqual(whole);

        const replaced = encoder.channels(file, concat(head, other));
        expect(replaced.subarray(0, whole.length)).toEqual(whole);

        const shuffled = encoder.channels(file, concat(head, shuffle(bytes.subarray(t), seed)));
        expect(shuffled.subarray(0, whole.length)).toEqual(whole);
      }),
      { numRuns: 600 },
    );
  });

  test("do not exist through the file's own evidence", () => {
    fc.assert(
      fc.property(
        path,
        code,
        evidence,
        evidence,
        evidence,
        (file, bytes, before, after, others) => {
          const lexicon = new FactLexicon();
          lexicon.setFile("other/one.ts", others);
          lexicon.setFile(file, before);
          lexicon.setFile("other/two.py", others.slice(1));
          const own = createFactEncoder({ lexicon });
          const first = own.channels(file, bytes);
          lexicon.setFile(file, after);
          expect(own.channels(file, bytes)).toEqual(first);
          lexicon.removeFile(file);
          expect(own.channels(file, bytes)).toEqual(first);
          expect(
            createFactEncoder({ lexicon: FactLexicon.deserialize(lexicon.serialize()) }).channels(
              file,
              bytes,
            ),
          ).toEqual(first);
        },
      ),
    );
  });
});

describe("fact stream", () => {
  const encoder = createFactEncoder({ lexicon: sampleLexicon() });

  test("equals the whole file at once", () => {
    fc.assert(
      fc.property(path, anyBytes, (file, bytes) => {
        expect(streamed(file, bytes)).toEqual(encoder.channels(file, bytes));
      }),
    );
  });

  test("goes back to any snapshot, in any order, as if nothing had been pushed since", () => {
    fc.assert(
      fc.property(path, anyBytes, code, code, fc.nat(), (file, bytes, one, two, cut) => {
        const t = bytes.length === 0 ? 0 : cut % (bytes.length + 1);
        const stream = encoder.stream(file);
        for (const byte of bytes.subarray(0, t)) stream.push(byte);
        const early = stream.snapshot();
        for (const byte of one) stream.push(byte);
        const late = stream.snapshot();
        stream.restore(early);
        const rest = new Uint16Array((bytes.length - t) * N_FACT_CHANNELS);
        bytes.subarray(t).forEach((byte, at) => {
          stream.push(byte);
          stream.write(rest, at * N_FACT_CHANNELS);
        });
        expect(rest).toEqual(encoder.channels(file, bytes).subarray(t * N_FACT_CHANNELS));
        // A snapshot from the branch that was left stays good.
        stream.restore(late);
        const branch = concat(bytes.subarray(0, t), one);
        const tail = new Uint16Array(two.length * N_FACT_CHANNELS);
        two.forEach((byte, at) => {
          stream.push(byte);
          stream.write(tail, at * N_FACT_CHANNELS);
        });
        expect(tail).toEqual(
          encoder.channels(file, concat(branch, two)).subarray(branch.length * N_FACT_CHANNELS),
        );
      }),
    );
  });

  function streamed(file: string, bytes: Uint8Array): Uint16Array {
    const stream = encoder.stream(file);
    const out = new Uint16Array(bytes.length * N_FACT_CHANNELS);
    bytes.forEach((byte, at) => {
      stream.push(byte);
      stream.write(out, at * N_FACT_CHANNELS);
    });
    return out;
  }
});

describe("fact scanner", () => {
  test("shows a token's class from the byte after its end", () => {
    expect(factsAt("a.ts", "const limi|t = 1")["tokenType"]).toBe(TOKEN_TYPES.keyword);
    expect(factsAt("a.ts", "const limit| = 1")["tokenType"]).toBe(TOKEN_TYPES.keyword);
    expect(factsAt("a.ts", "const limit |= 1")).toMatchObject({
      tokenType: TOKEN_TYPES.variable,
      tokenModifiers: TOKEN_MODIFIERS.readonly | TOKEN_MODIFIERS.declaration,
      colour: colourOf(identityOf("a.ts", "limit")),
    });
    expect(factsAt("a.ts", 'say("hi"|)')["tokenType"]).toBe(TOKEN_TYPES.bracketOpen);
    expect(factsAt("a.ts", 'say("hi")|')["tokenType"]).toBe(TOKEN_TYPES.string);
  });

  test("knows the enclosing symbol of brackets and of indentation", () => {
    const ts = "export class A {\n  run(x: number) {\n    if (x) { | }\n  }\n}";
    expect(factsAt("a.ts", ts)).toMatchObject({ scopeKind: SCOPE_KINDS.method, scopeDepth: 4 });
    expect(factsAt("a.ts", "class A {\n  run() {}\n |}")["scopeKind"]).toBe(SCOPE_KINDS.class);
    expect(factsAt("a.ts", "const f = (a) => { |")["scopeKind"]).toBe(SCOPE_KINDS.function);
    const py = "class A:\n    def run(self, x):\n        if x:\n            p|ass\n";
    expect(factsAt("a.py", py)).toMatchObject({ scopeKind: SCOPE_KINDS.method, scopeDepth: 4 });
    expect(factsAt("a.py", `${py.replace("|", "")}\nx| = 1`)["scopeKind"]).toBe(SCOPE_KINDS.file);
    expect(factsAt("a.go", "func (r *T) Name(a int) error {\n|")["scopeKind"]).toBe(
      SCOPE_KINDS.function,
    );
    expect(factsAt("a.rs", "struct Foo<'a> { |x: u8 }")["scopeKind"]).toBe(SCOPE_KINDS.struct);
    expect(factsAt("A.java", "public class A { void go() { |")["scopeKind"]).toBe(
      SCOPE_KINDS.method,
    );
  });

  test("knows strings, comments and the code inside template strings", () => {
    expect(factsAt("a.ts", "`a ${x| + 1} b`")["scopeKind"]).toBe(SCOPE_KINDS.file);
    expect(factsAt("a.ts", "`a ${x} b|`")["scopeKind"]).toBe(SCOPE_KINDS.string);
    expect(factsAt("a.ts", "a / b / c; // d|")["scopeKind"]).toBe(SCOPE_KINDS.comment);
    expect(factsAt("a.ts", "x = /[/']/; y |")["scopeKind"]).toBe(SCOPE_KINDS.file);
    expect(factsAt("a.py", '"""one\n"two" |\n"""')["scopeKind"]).toBe(SCOPE_KINDS.string);
    expect(factsAt("a.py", "s = '' # |")["scopeKind"]).toBe(SCOPE_KINDS.comment);
    expect(factsAt("a.rs", "let c = 'x'; fn f<'a>(|")["scopeKind"]).toBe(SCOPE_KINDS.file);
  });

  test("recovers from an unclosed string at the end of its line and from an unclosed bracket", () => {
    expect(factsAt("a.ts", "<p>don't</p>\nconst| x")["scopeKind"]).toBe(SCOPE_KINDS.file);
    expect(factsAt("a.py", "x = foo(1,\ndef f():\n    y|")).toMatchObject({
      scopeKind: SCOPE_KINDS.function,
      scopeDepth: 2,
    });
  });

  test("knows a name only after its declaration", () => {
    expect(factsAt("a.py", "load| = 1")["tokenType"]).toBe(0);
    expect(factsAt("a.py", "load()|\ndef load(): pass")["colour"]).toBe(0);
    expect(factsAt("a.py", "def load(): pass\nload(|)")).toMatchObject({
      colour: colourOf(identityOf("a.py", "load")),
    });
  });

  test("learns from an arrow what stood before it, and from a colon that a name was a key", () => {
    const text = "const pick = (first, { second }, [third]) => {\n  use(NAME)|;\n};";
    for (const name of ["first", "second", "third"])
      expect(factsAt("a.ts", text.replace("NAME", name))["tokenType"]).toBe(TOKEN_TYPES.parameter);
    expect(factsAt("a.ts", "const pick = (a) => a;\npick(|2);")["tokenType"]).toBe(
      TOKEN_TYPES.function,
    );
    expect(factsAt("a.ts", "const width = 1;\ncall({ width:| 2 })")["tokenType"]).toBe(
      TOKEN_TYPES.property,
    );
  });

  test("gives a definition the colour here that other files resolve it to", () => {
    const lexicon = new FactLexicon();
    const identity = identityOf("pkg/auth.py", "Auth");
    lexicon.setFile("pkg/other.py", [
      { name: "Auth", tokenType: TOKEN_TYPES.class, modifiers: 0, identity, count: 3 },
    ]);
    const used = factsAt("pkg/client.py", "x = Auth(|)", lexicon);
    const declared = factsAt("pkg/auth.py", "class Auth:|", lexicon);
    expect(used["colour"]).toBe(colourOf(identity));
    expect(declared["colour"]).toBe(used["colour"]);
  });

  test("leaves names in strings, comments and imports undeclared", () => {
    const text = "import { open } from './io';\n// const shut = 1\nopen(|)";
    expect(factsAt("a.ts", text)).toMatchObject({ colour: 0, tokenModifiers: 0 });
  });

  test("keeps pace with training", () => {
    const text = encode(
      "export class Client {\n  send(request: Request) {\n    return this.pool.take(request, 12);\n  }\n}\n".repeat(
        10_000,
      ),
    );
    const encoder = createFactEncoder({ lexicon: sampleLexicon() });
    encoder.channels("w.ts", text.subarray(0, 200_000));
    // Time of this process, as test machines are shared.
    const start = process.cpuUsage();
    encoder.channels("w.ts", text);
    const { user, system } = process.cpuUsage(start);
    const bytesPerSecond = (text.length * 1e6) / (user + system);
    expect(bytesPerSecond).toBeGreaterThan(2e6);
  });
});

describe("fact lexicon", () => {
  const one = (name: string, tokenType: number, identity: number, count: number): NameEvidence => ({
    name,
    tokenType,
    modifiers: 0,
    identity,
    count,
  });

  test("answers with the most frequent type and only a clear definition", () => {
    const lexicon = new FactLexicon();
    lexicon.setFile("a", [one("get", TOKEN_TYPES.method, 5, 6)]);
    lexicon.setFile("b", [one("get", TOKEN_TYPES.function, 6, 4)]);
    expect(lexicon.lookup("get")).toMatchObject({ tokenType: TOKEN_TYPES.method, identity: 0 });
    lexicon.setFile("c", [one("get", TOKEN_TYPES.method, 5, 6)]);
    expect(lexicon.lookup("get")).toMatchObject({ identity: 5, colour: colourOf(5), count: 16 });
    expect(lexicon.lookup("get", { exclude: "b" })?.count).toBe(12);
    lexicon.removeFile("a");
    lexicon.removeFile("c");
    expect(lexicon.lookup("get", { exclude: "b" })).toBeUndefined();
    expect(lexicon.lookup("toString")).toBeUndefined();
  });

  test("leaves one file out exactly as if it had never been there", () => {
    fc.assert(
      fc.property(fc.array(evidence, { minLength: 1, maxLength: 6 }), fc.nat(), (files, which) => {
        const out = which % files.length;
        const all = new FactLexicon();
        const without = new FactLexicon();
        files.forEach((items, at) => {
          all.setFile(`f${at}`, items);
          if (at !== out) without.setFile(`f${at}`, items);
        });
        for (const name of ["foo", "bar", "self", "Client", "request", "timeout", "x", "render"])
          expect(all.packed(name, `f${out}`)).toEqual(without.packed(name, undefined));
      }),
    );
  });

  test("survives being written and read", () => {
    fc.assert(
      fc.property(fc.array(evidence, { maxLength: 5 }), (files) => {
        const lexicon = new FactLexicon();
        files.forEach((items, at) => lexicon.setFile(`f${at}`, items));
        const stored: unknown = JSON.parse(JSON.stringify(lexicon.serialize()));
        const back = FactLexicon.deserialize(stored);
        expect(back.serialize()).toEqual(lexicon.serialize());
        for (const name of ["foo", "Client"])
          expect(back.lookup(name)).toEqual(lexicon.lookup(name));
      }),
    );
  });

  test("refuses damage with a remedy", () => {
    const good = sampleLexicon().serialize();
    const broken: unknown[] = [
      null,
      7,
      {},
      { ...good, version: 2 },
      { ...good, names: [1] },
      { ...good, files: [{ path: "a", evidence: [0, 1] }] },
      { ...good, files: [{ path: "a", evidence: [999, 1, 0, 0, 1] }] },
      { ...good, files: [{ path: "a", evidence: [0, 32, 0, 0, 1] }] },
      { ...good, files: [{ path: "a", evidence: [0, 1, 0, 0.5, 1] }] },
      { ...good, files: [{ evidence: [] }] },
    ];
    for (const value of broken)
      expect(() => FactLexicon.deserialize(value)).toThrow(
        expect.objectContaining({
          name: "CheckpointError",
          hint: expect.stringContaining("train again") as string,
        }),
      );
  });
});

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

function shuffle(bytes: Uint8Array, seed: number): Uint8Array {
  const out = bytes.slice();
  let state = seed >>> 0;
  for (let at = out.length - 1; at > 0; at--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = state % (at + 1);
    [out[at], out[other]] = [out[other]!, out[at]!];
  }
  return out;
}
