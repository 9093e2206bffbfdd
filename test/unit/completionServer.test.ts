/**
 * A language server asked in `eval`: that it sees the text before the cursor and nothing behind it, what becomes of
 * its answers, and what happens when there is none.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseFlags } from "../../server/cli/arguments.ts";
import { LIST_FLAGS, listsOf } from "../../server/cli/listFlags.ts";
import { OfferedFigures } from "../../server/cli/offeredFigures.ts";
import { checkUnknown, commandWords, ServerLists } from "../../server/cli/offeredLists.ts";
import { RecordedLists, RecordingLists } from "../../server/cli/recordedLists.ts";
import { closersOf } from "../../server/facts/closers.ts";
import { CompletionServer, knownServer } from "../../server/facts/completionServer.ts";
import { FakeLanguageServer, type Asked } from "../support/fakeLanguageServer.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const Method = 2;

async function lists(
  offer: (asked: Asked) => unknown,
  o: { capabilities?: unknown; say?: (message: string) => void } = {},
) {
  const client = new FakeLanguageServer(offer, o.capabilities);
  const server = await CompletionServer.start({ command: ["fake"], root: "/nowhere", client });
  return {
    client,
    lists: new ServerLists({ server, waitMs: 1000, say: o.say ?? (() => undefined) }),
  };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "narrowgauge-lists-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a language server in eval", () => {
  const piece = fc.constantFrom(
    "al", "beta", ".", "(", ")", "{", "}", "[", "\n", "\r\n", " = ", ";", '"s"', "// c\n", "é", "😀", "SECRET", "x.se",
  ); // prettier-ignore
  const source = fc.array(piece, { minLength: 1, maxLength: 60 }).map((pieces) => pieces.join(""));
  const place = fc.tuple(fc.constantFrom("a.ts", "b.py"), source, fc.nat(), source);

  test.each([1, 2, { change: 2 }])(
    "sees the text before the cursor, what closes it, and nothing else (sync %j)",
    async (textDocumentSync) => {
      await fc.assert(
        fc.asyncProperty(fc.array(place, { minLength: 1, maxLength: 8 }), async (places) => {
          const capabilities = { completionProvider: {}, textDocumentSync };
          const run = async (behind: (text: string) => string) => {
            const { client, lists: of } = await lists(() => [{ label: "alpha", kind: Method }], { capabilities }); // prettier-ignore
            const shown: string[] = [];
            for (const [path, text, cut, after] of places) {
              const characters = Array.from(text);
              const before = characters.slice(0, cut % (characters.length + 1)).join("");
              // The whole file is at hand, as in a measurement; the view ends at the cursor.
              const file = bytes(before + behind(after));
              const view = file.subarray(0, bytes(before).length);
              const sofar = client.asked.length;
              await of.at(path, view);
              const closed = before + closersOf(path, view);
              shown.push(closed);
              expect(client.texts.at(-1)).toBe(closed);
              for (const asked of client.asked.slice(sofar)) {
                expect(asked.text).toBe(closed);
                expect(asked.offset).toBe(before.length);
              }
            }
            expect(client.texts.every((text) => shown.includes(text))).toBe(true);
            return client.messages;
          };
          expect(await run((after) => after)).toEqual(await run(() => "anything else"));
        }),
        { numRuns: 60 },
      );
    },
  );

  test("is asked again only where more typing may bring more", async () => {
    const items = [
      { label: "open", kind: Method },
      { label: "close", kind: Method },
    ];
    const asks = async (isIncomplete: boolean): Promise<number> => {
      const { client, lists: of } = await lists(() => ({ isIncomplete, items }));
      await of.at("a.ts", bytes("file."));
      const first = client.asked.length;
      const { list } = await of.at("a.ts", bytes("file.o"));
      expect(list?.names).toEqual(["open", "close"]);
      return client.asked.length - first;
    };
    expect(await asks(false)).toBe(0);
    expect(await asks(true)).toBe(1);
  });

  test("is not asked for files of languages that it does not know", async () => {
    const client = new FakeLanguageServer(() => []);
    const server = await CompletionServer.start({ command: ["gopls"], root: "/nowhere", client });
    const of = new ServerLists({ server, waitMs: 1000, say: () => undefined });
    expect(await of.at("a.py", bytes("x.y"))).toEqual({});
    expect(client.texts).toEqual([]);
    await of.at("a.go", bytes("x.y"));
    expect(client.texts).toEqual(["x.y"]);
  });

  test("that answers too late is said so, once, and done without", async () => {
    const said: string[] = [];
    const { lists: of } = await lists(() => "late", { say: (message) => said.push(message) });
    for (const text of ["a.", "b."]) {
      const offered = await of.at("a.ts", bytes(text));
      expect(offered.list).toBeUndefined();
      expect(offered.said).toMatch(/took over 1000 ms/);
    }
    expect(said).toEqual([
      expect.stringMatching(/fake: textDocument\/completion took over 1000 ms/),
    ]);
  });

  test("that cannot be started, or offers nothing, is an error", async () => {
    const start = (client: FakeLanguageServer) =>
      CompletionServer.start({ command: ["fake"], root: "/nowhere", client });
    await expect(start(new FakeLanguageServer(() => [], {}))).rejects.toThrow(/fake offers no completions/); // prettier-ignore
    await expect(
      CompletionServer.start({ command: [join(folder, "missing")], root: folder }),
    ).rejects.toThrow(/could not be started/);
  });

  test("is known by its command", () => {
    expect(knownServer(["node", "/x/node_modules/pyright/langserver.index.js", "--stdio"])?.name).toBe("pyright"); // prettier-ignore
    expect(knownServer(["/usr/bin/gopls"])?.name).toBe("gopls");
    expect(knownServer(["mine"])).toBeUndefined();
    expect(commandWords(`node "/a b/c.js" --stdio='x y'`)).toEqual([
      "node",
      "/a b/c.js",
      "--stdio=x y",
    ]);
  });

  test("may not have the files that are scored", async () => {
    await writeFile(join(folder, "known.ts"), "x");
    await writeFile(join(folder, "empty.ts"), "");
    await expect(checkUnknown(folder, ["known.ts"])).rejects.toThrow(/holds known\.ts/);
    await checkUnknown(folder, ["empty.ts", "absent.ts"]);
  });
});

describe("the flags", () => {
  const parse = (...argv: string[]) =>
    listsOf(parseFlags({ name: "eval", summary: "", flags: LIST_FLAGS }, argv));

  test("name a server and its workspace, or a record", () => {
    expect(parse()).toEqual({ kind: "none" });
    expect(parse("--names-from", "a.jsonl")).toEqual({ kind: "record", path: "a.jsonl" });
    expect(parse("--language-server", "gopls -v", "--workspace", "/w", "--names-to", "f")).toEqual({
      kind: "server", command: ["gopls", "-v"], root: "/w", waitMs: 2000, recordTo: "f",
    }); // prettier-ignore
  });

  test("that contradict each other are refused", () => {
    expect(() => parse("--language-server", "gopls")).toThrow(/belong together/);
    expect(() => parse("--workspace", "/w")).toThrow(/belong together/);
    expect(() => parse("--names-to", "f")).toThrow(/nothing to write down/);
    expect(() => parse("--language-server", "gopls", "--workspace", "/w", "--names-from", "f")).toThrow(/from a server or from a file/); // prettier-ignore
    expect(() => parse("--language-server", " ", "--workspace", "/w")).toThrow(/names no command/);
  });
});

describe("what closes a text", () => {
  test("are the brackets that are open, outside of strings and comments", () => {
    const closers = (text: string): string => closersOf("a.ts", bytes(text));
    expect(closers("f(a[b.")).toBe("])");
    expect(closers("if (x) {\n  g({ y: ")).toBe("\n})\n}");
    expect(closers('f("(" + ')).toBe(")");
    expect(closers("f(g) // (")).toBe("");
    expect(closers("f(x")).toBe(")");
  });
});

describe("a record", () => {
  test("gives what the server offered at the same places", async () => {
    const items = ["open", "close", "other"].map((label, i) => ({ label, kind: Method, sortText: `${9 - i}${label}` })); // prettier-ignore
    const { lists: of } = await lists(() => ({ isIncomplete: false, items }));
    const path = join(folder, "lists.jsonl");
    const recording = await RecordingLists.create(of, path);
    await recording.at("a.ts", bytes("file."));
    await recording.at("a.ts", bytes("file.o"));
    await recording.at("a.ts", bytes("x = 123"));
    await recording.dispose();
    const recorded = await RecordedLists.read(path);
    expect(recorded.name).toBe("fake");
    const at = async (text: string) => (await recorded.at("a.ts", bytes(text))).list;
    expect(await at("file.")).toEqual({ names: ["open", "close", "other"], ranks: [2, 1, 0], complete: 1 }); // prettier-ignore
    // What does not begin so is left out.
    expect(await at("file.o")).toEqual({ names: ["open", "other"], ranks: [2, 0], complete: 1 });
    expect(await at("x = 123")).toBeUndefined();
    await writeFile(path, "no record");
    await expect(RecordedLists.read(path)).rejects.toThrow(
      /no record of completion lists \(line 1\)/,
    );
  });

  test("says how often the name was there, and how soon", () => {
    const figures = new OfferedFigures();
    figures.add({ list: { names: ["open"], complete: 1 }, ms: 10 }, "open");
    figures.add({ list: { names: ["open"], complete: 0 }, ms: 200 }, "close");
    figures.add({ ms: 1000, said: "late" }, "close");
    figures.add({}, "close");
    expect(figures.result("fake")).toEqual({
      name: "fake", asked: 3, late: 1, in_time: 1 / 3, ms_median: 200, ms_p95: 1000,
      lists: 2, lists_with_name: 0.5, complete: 1, complete_with_name: 1,
    }); // prettier-ignore
  });
});
