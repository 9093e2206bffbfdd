/** What language servers offer at a cursor: which names it makes, when they are all there is, and how it reaches the model. */
import { describe, expect, test } from "vitest";
import {
  CancellationToken,
  CompletionItemKind,
  ErrorCodes,
  InlineCompletionTriggerKind,
  ResponseError,
} from "vscode-languageserver";
import { TextDocument } from "vscode-languageserver-textdocument";
import { silentLogger } from "../../model/index.ts";
import { DocumentBytes } from "../../server/documents.ts";
import type { OfferedNamesResult } from "../../server/facts/editorProtocol.ts";
import { InlineCompletions, type EngineRequest } from "../../server/inlineCompletion.ts";
import { nameList, OfferedNames, withoutPlaceholders } from "../../server/offeredNames.ts";
import { settingsFrom } from "../../server/settings.ts";

const { Method, Property, Snippet, Text } = CompletionItemKind;
const item = (label: string, kind: number = Property, filterText?: string) => ({
  label,
  kind,
  ...(filterText === undefined ? {} : { filterText }),
});
type OfferedResultItems = OfferedNamesResult["items"];
const offers = (items: OfferedNamesResult["items"], isIncomplete = false): OfferedNamesResult => ({
  items,
  isIncomplete,
});

describe("a list of names", () => {
  test("has the names of its items, each once, without what stands around them", () => {
    const items = [item("open(path)", Method), item("open"), item("close", Method, ".close"), item("größe"), item("?.x")]; // prettier-ignore
    expect(nameList(offers(items), "file.")?.names).toEqual(["open", "close", "größe", "x"]);
    expect(nameList(offers([item("12"), item("", Text)]), "file.")).toBeUndefined();
  });

  test("has what would be written, without placeholders", () => {
    const items: OfferedResultItems = [
      { label: "zeta", kind: Property },
      { label: "alpha", kind: Property },
      { label: " open(path)", filterText: "open", insertText: "open(${1:path})$0", isSnippet: 1, kind: Method }, // prettier-ignore
      { label: "timeout=", insertText: "timeout=", kind: Property },
      { label: "shut", filterText: ".shut", insertText: "?.shut", kind: Method },
      { label: "chosen", kind: Property },
      // Written so it is no name.
      { label: "with-dash", filterText: ".with-dash", insertText: '["with-dash"]', kind: Property }, // prettier-ignore
    ];
    expect(nameList(offers(items), "file.")?.names).toEqual(["zeta", "alpha", "open", "timeout", "shut", "chosen"]); // prettier-ignore
    expect(withoutPlaceholders("$1name(${2:a ${3:deep}}, ${4|x,y|}) ${TM_FILENAME} \\$5\\}")).toBe("name(a deep, )  $5}"); // prettier-ignore
  });

  test("says how many names stand before each one in the server's order", () => {
    const sorted = (label: string, sortText: string) => ({ label, kind: Method, sortText });
    const ranks = (linePrefix: string, ...items: OfferedResultItems) => {
      const list = nameList(offers(items), linePrefix)!;
      return Object.fromEntries(list.names.map((name, i) => [name, list.ranks![i]]));
    };
    // A few groups, in which names stand by their spelling: that is no order.
    const inGroups = [sorted("zeta", "09.zeta"), sorted("alpha", "11.alpha"), sorted("beta", "09.beta"), sorted("all", "12.all")]; // prettier-ignore
    expect(ranks("x = ", ...inGroups)).toEqual({ zeta: 0, beta: 0, alpha: 2, all: 3 });
    // Names that do not go on as typed stand before nothing.
    expect(ranks("x = a", ...inGroups)).toMatchObject({ alpha: 0, all: 1 });
    expect(ranks("x = ", sorted("b", "3f1b"), sorted("a", "3f2a"))).toEqual({ b: 0, a: 1 });
    // Of a name that is offered twice the first place counts; without an order all are alike.
    expect(ranks("x = ", sorted("a", "2"), sorted("b", "1"), sorted("a", "0"))).toEqual({ a: 0, b: 1 }); // prettier-ignore
    expect(ranks("x = ", item("b"), item("a"))).toEqual({ b: 0, a: 0 });
  });

  test("is complete for members that a server knows, and for nothing else", () => {
    const complete = (linePrefix: string, result: OfferedNamesResult) =>
      nameList(result, linePrefix)?.complete;
    const items = [item("open"), item("close")];
    expect(complete("  file.", offers(items))).toBe(1);
    expect(complete("  file.op", offers(items))).toBe(1);
    expect(complete("  file->op", offers(items))).toBe(1);
    expect(complete("  File::", offers(items))).toBe(1);
    expect(complete("  op", offers(items))).toBe(0);
    expect(complete("  file.", offers(items, true))).toBe(0);
    expect(complete("  file.", offers([...items, item("words", Text)]))).toBe(0);
    expect(complete("  file.", offers([...items, item("for loop", Snippet)]))).toBe(0);
  });
});

describe("the editor", () => {
  test("is asked only where a name is written or may begin, and not again where it does not know the question", async () => {
    let asked = 0;
    const knows = new OfferedNames({
      sendRequest: async () => {
        asked++;
        return offers([item("open")]);
      },
    });
    const here = { line: 0, character: 5 };
    for (const line of ["open()", "open() ", "list[0]", "12", '"text"'])
      expect(await knows.at("file:///a.ts", here, line)).toBeUndefined();
    expect(asked).toBe(0);
    const begins = [
      "",
      "  ",
      "x =",
      "open(",
      "open(a, ",
      "return ",
      "x.",
      "x->",
      "a && ",
      "[",
      "x: ",
    ];
    for (const line of begins) expect((await knows.at("file:///a.ts", here, line))?.names).toEqual(["open"]); // prettier-ignore
    // The blanks at the beginning of a line, and those behind an operator, begin no other name.
    expect(asked).toBe(begins.length - 1);
    await knows.at("file:///a.ts", here, "y =");
    await knows.at("file:///a.ts", here, "y = ");
    await knows.at("file:///a.ts", here, "y = o");
    expect(asked).toBe(begins.length);
    expect(await knows.at("file:///a.ts", here, "file.")).toEqual({ names: ["open"], ranks: [0], complete: 1 }); // prettier-ignore
    const never = new OfferedNames({
      sendRequest: async () => {
        asked++;
        throw new ResponseError(ErrorCodes.MethodNotFound, "unknown");
      },
    });
    asked = 0;
    for (let i = 0; i < 3; i++)
      expect(await never.at("file:///a.ts", here, "file.")).toBeUndefined();
    expect(asked).toBe(1);
  });

  test("is asked once for a name, while its list is whole", async () => {
    const asked: number[] = [];
    let isIncomplete = false;
    const names = new OfferedNames({
      sendRequest: async (_, params) => {
        asked.push((params as { position: { character: number } }).position.character);
        return offers([item("open"), item("other")], isIncomplete);
      },
    });
    const at = (linePrefix: string, line = 0) =>
      names.at("file:///a.ts", { line, character: linePrefix.length }, linePrefix);
    for (const typed of ["file.", "file.o", "file.op"])
      expect(await at(typed)).toEqual({ names: ["open", "other"], ranks: [0, 0], complete: 1 }); // prettier-ignore
    expect(asked).toEqual([5]);
    // Another line, other text before the name, and what was typed taken back.
    await at("file.op", 1);
    await at("files.op", 1);
    await at("files.o", 1);
    expect(asked).toEqual([5, 7, 8, 7]);
    isIncomplete = true;
    await at("x.");
    await at("x.o");
    expect(asked).toEqual([5, 7, 8, 7, 2, 3]);
    await at("x = 12");
    expect(asked.length).toBe(6);
  });

  test("may answer too late for one keystroke and in time for the next", async () => {
    const waiting: ((result: OfferedNamesResult | null) => void)[] = [];
    const names = new OfferedNames(
      { sendRequest: () => new Promise((resolve) => waiting.push(resolve)) },
      { waitMs: 5 },
    );
    const at = (linePrefix: string) =>
      names.at("file:///a.ts", { line: 0, character: linePrefix.length }, linePrefix);
    expect(await at("file.")).toBeUndefined();
    // Still on its way: it is waited for, and not asked again.
    expect(await at("file.o")).toBeUndefined();
    expect(waiting.length).toBe(1);
    waiting[0]!(offers([item("open")], true));
    await new Promise((resolve) => setImmediate(resolve));
    // More typing may bring more, but until that comes the list known so far has its say, and does not rule.
    expect(await at("file.op")).toEqual({ names: ["open"], ranks: [0], complete: 0 });
    expect(waiting.length).toBe(2);
    // Of another name it says nothing.
    expect(await at("file.open().")).toBeUndefined();
  });

  test("is not waited for when it is slow", async () => {
    const slow = new OfferedNames({ sendRequest: () => new Promise(() => undefined) });
    expect(await slow.at("file:///a.ts", { line: 0, character: 5 }, "file.")).toBeUndefined();
  });
});

describe("a completion", () => {
  test("is asked for with what the editor offers, unless an entry is selected", async () => {
    const document = TextDocument.create("file:///a.ts", "typescript", 1, "file.op");
    const requests: EngineRequest[] = [];
    const list = { names: ["open"], complete: 1 } as const;
    const prefixes: string[] = [];
    const completions = new InlineCompletions({
      logger: silentLogger,
      bytes: new DocumentBytes(),
      document: () => document,
      settings: async () => ({ ...settingsFrom({}), "completion.debounceMs": 0 }),
      pathOf: () => "a.ts",
      earlier: () => "",
      offered: async (_uri, _position, linePrefix) => {
        prefixes.push(linePrefix);
        return list;
      },
      engine: () => ({
        complete: async (request) => {
          requests.push(request);
          return { text: "en()", confidence: 1, ms: 1 };
        },
      }),
      acceptedCommand: "accepted",
    });
    const position = { line: 0, character: 7 };
    const at = { textDocument: { uri: document.uri }, position };
    const triggerKind = InlineCompletionTriggerKind.Automatic;
    const items = await completions.provide({ ...at, context: { triggerKind } }, CancellationToken.None); // prettier-ignore
    expect(items?.map(({ insertText }) => insertText)).toEqual(["en()"]);
    expect(requests.map((request) => request.list)).toEqual([list]);
    expect(prefixes).toEqual(["file.op"]);
    const range = { start: { line: 0, character: 5 }, end: position };
    const selectedCompletionInfo = { range, text: "opened" };
    await completions.provide({ ...at, context: { triggerKind, selectedCompletionInfo } }, CancellationToken.None); // prettier-ignore
    expect(requests[1]!.list).toBeUndefined();
    expect(prefixes.length).toBe(1);
  });
});
