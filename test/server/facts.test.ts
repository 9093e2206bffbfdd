/**
 * Facts from real language servers on small projects, and from servers that die or hang: whatever happens,
 * the collector ends within its budget with what there is, and says who answered and why not more.
 */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import type { CorpusFile } from "../../model/bytes.ts";
import { colourOf, identityOf, N_FACT_CHANNELS, TOKEN_TYPES } from "../../model/facts/channels.ts";
import { createFactEncoder } from "../../model/facts/encoder.ts";
import type { FactLexicon } from "../../model/facts/lexicon.ts";
import { silentLogger } from "../../model/logger.ts";
import { collectFacts } from "../../server/facts/collect.ts";
import type { CollectedFacts, CollectOptions, FactsCache } from "../../server/facts/collect.ts";
import { createEditorSource } from "../../server/facts/editorSource.ts";
import type {
  DocumentFactsParams,
  DocumentFactsResult,
} from "../../server/facts/editorProtocol.ts";
import { decodeTokens, externalPath, flattenSymbols } from "../../server/facts/evidence.ts";
import { findServer, LANGUAGE_SERVERS } from "../../server/facts/languageServers.ts";
import { createLspSource, hoverFacts } from "../../server/facts/lspSource.ts";
import type { LspSourceLimits } from "../../server/facts/lspSource.ts";
import type { FactSource } from "../../server/facts/source.ts";

const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

interface Project {
  readonly root: string;
  readonly files: readonly CorpusFile[];
}

function project(texts: Readonly<Record<string, string>>): Project {
  const root = mkdtempSync(join(tmpdir(), "narrowgauge-facts-"));
  folders.push(root);
  const files = Object.entries(texts).map(([path, text]) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    return { path, bytes: new TextEncoder().encode(text) };
  });
  return { root, files };
}

const TYPESCRIPT = {
  "core/client.ts":
    "export const LIMIT = 10;\nexport class Client {\n  static count = 0;\n  async send(path: string): Promise<number> {\n    const local = path.length;\n    return local;\n  }\n}\nexport interface Options { retries: number }\n",
  "a.ts":
    'import { Client, LIMIT, type Options } from "./core/client";\nconst client = new Client();\nexport async function first(o: Options) {\n  return (await client.send("é")) + LIMIT + o.retries;\n}\n',
  "b.ts":
    'import { Client as Other, LIMIT } from "./core/client";\nimport { first } from "./a";\nexport const second = (x: Other) => x.send("b").then((n) => n + LIMIT + Number(first));\n',
  "c.ts":
    'import { Client, LIMIT } from "./core/client";\nexport class Better extends Client {\n  override async send(path: string) { return super.send(path + LIMIT); }\n}\n',
};

const PYTHON = {
  "lib/__init__.py": "",
  "lib/client.py":
    "LIMIT = 10\n\n\nclass Client:\n    def __init__(self, base):\n        self.base = base\n\n    async def send(self, path):\n        local = path\n        return local\n\n\ndef connect(base):\n    return Client(base)\n",
  "one.py":
    'from lib.client import Client, LIMIT, connect\n\nclient = Client("é")\nprint(connect("x").send(LIMIT))\n',
  "two.py":
    'from lib.client import connect, LIMIT\nfrom lib.client import Client as Other\n\n\ndef run(x: Other):\n    return x.send("two"), connect(LIMIT)\n',
};

const collect = (
  { root, files }: Project,
  more: Partial<CollectOptions> = {},
): Promise<CollectedFacts> =>
  collectFacts({ files, root, budgetMs: 45_000, sources: "auto", ...more });

/** Facts on the byte after the last `name` in a file, as the model gets them. */
function factsAfter(of: Project, lexicon: FactLexicon, path: string, name: string) {
  const { bytes } = of.files.find((file) => file.path === path)!;
  const at = Buffer.from(bytes).lastIndexOf(name) + name.length;
  const channels = createFactEncoder({ lexicon }).channels(path, bytes);
  const [tokenType, , , , colour] = channels.subarray(at * N_FACT_CHANNELS);
  return { tokenType, colour };
}

describe("facts from typescript-language-server", () => {
  test("give types, symbols and one colour per definition in all files", async () => {
    const here = project(TYPESCRIPT);
    const { lexicon, symbols, report } = await collect(here);
    expect(report).toMatchObject([
      { languageId: "typescript", source: "typescript-language-server", files: 4, answered: 4 },
    ]);
    expect(report[0]!.why).toBe("");
    expect(report[0]!.resolved).toBeGreaterThan(5);

    expect(symbols).toContainEqual(
      expect.objectContaining({ name: "Client", kind: 5, path: "core/client.ts", startLine: 1, startCharacter: 13, endLine: 7 }), // prettier-ignore
    );
    expect(symbols).toContainEqual(
      expect.objectContaining({ name: "send", kind: 6, container: "Client", startLine: 3 }),
    );
    expect(JSON.parse(JSON.stringify(symbols))).toEqual(symbols);

    expect(lexicon.lookup("Client")).toMatchObject({
      tokenType: TOKEN_TYPES.class,
      identity: identityOf("core/client.ts", "Client"),
    });
    expect(lexicon.lookup("LIMIT", { exclude: "core/client.ts" })).toMatchObject({
      tokenType: TOKEN_TYPES.variable,
      identity: identityOf("core/client.ts", "LIMIT"),
    });
    expect(lexicon.lookup("send")?.tokenType).toBe(TOKEN_TYPES.method);
    // A local of one function means nothing anywhere else.
    expect(lexicon.lookup("local")?.identity).toBe(0);

    const limit = colourOf(identityOf("core/client.ts", "LIMIT"));
    for (const path of ["a.ts", "b.ts", "c.ts", "core/client.ts"])
      expect(factsAfter(here, lexicon, path, "LIMIT")).toEqual({
        tokenType: TOKEN_TYPES.variable,
        colour: limit,
      });
  });
});

describe("facts from pyright", () => {
  test("give types from hovers, symbols and one colour per definition in all files", async () => {
    const here = project(PYTHON);
    const { lexicon, symbols, report } = await collect(here);
    expect(report).toMatchObject([
      { languageId: "python", source: "pyright", files: 3, answered: 3, why: "" },
    ]);
    expect(symbols).toContainEqual(
      expect.objectContaining({
        name: "send",
        kind: 6,
        container: "Client",
        path: "lib/client.py",
      }),
    );
    const identity = identityOf("lib/client.py", "connect");
    expect(lexicon.lookup("connect", { exclude: "lib/client.py" })).toMatchObject({
      tokenType: TOKEN_TYPES.function,
      identity,
    });
    expect(lexicon.lookup("send", { exclude: "lib/client.py" })?.tokenType).toBe(
      TOKEN_TYPES.method,
    );
    // An alias has the colour of what it stands for.
    expect(lexicon.lookup("Other")?.identity).toBe(identityOf("lib/client.py", "Client"));
    for (const path of ["one.py", "two.py", "lib/client.py"])
      expect(factsAfter(here, lexicon, path, "connect").colour).toBe(colourOf(identity));
  });
});

describe("facts from tree-sitter", () => {
  const createServer = (): undefined => undefined;

  test("stand in where no server is installed, and say so", async () => {
    for (const texts of [TYPESCRIPT, PYTHON]) {
      const here = project(texts);
      const { lexicon, symbols, report } = await collect(here, { createServer });
      expect(report[0]).toMatchObject({ source: "tree-sitter" });
      expect(report[0]!.why).toContain("no language server");
      const core = here.files.find((file) => /client\.\w+$/.test(file.path))!.path;
      expect(symbols).toContainEqual(
        expect.objectContaining({ name: "send", kind: 6, container: "Client", path: core }),
      );
      expect(lexicon.lookup("Client", { exclude: core })?.identity).toBe(
        identityOf(core, "Client"),
      );
      expect(lexicon.lookup("LIMIT", { exclude: core })?.identity).toBe(identityOf(core, "LIMIT"));
      expect(lexicon.lookup("local")?.identity ?? 0).toBe(0);
    }
  });

  test("know the declarations of other languages", async () => {
    const here = project({
      "a.rs":
        "pub struct Pool { size: usize }\nimpl Pool {\n  pub fn take(&self) -> usize { self.size }\n}\nfn main() { let p = Pool { size: 1 }; p.take(); }\n",
      "b.go":
        "package b\n\ntype Pool struct{ Size int }\n\nfunc (p *Pool) Take() int { return p.Size }\nfunc Build() *Pool { return &Pool{} }\n",
      "C.java": "public class C {\n  private int size;\n  public int take() { return size; }\n}\n",
      "d.cpp": "struct Pool { int size; };\nint take(Pool *p) { return p->size; }\n",
      "e.rb": "class Pool\n  def take\n    1\n  end\nend\n",
      "f.cs": "class Pool { int Take() { return 1; } }\n",
    });
    const { symbols, report } = await collect(here, { createServer });
    expect(report.map((r) => r.source)).toEqual(Array(6).fill("tree-sitter"));
    const named = symbols.map((s) => `${s.path} ${s.name} ${s.kind}`);
    expect(named).toEqual(
      expect.arrayContaining(["a.rs Pool 23", "a.rs take 6", "b.go Take 6", "b.go Build 12", "C.java C 5", "C.java take 6", "d.cpp Pool 23", "d.cpp take 12", "e.rb Pool 5", "e.rb take 6", "f.cs Pool 5", "f.cs Take 6"]), // prettier-ignore
    );
  });
});

describe("a broken language server", () => {
  /** Answers `initialize`, then does `after` with the next request; writes its process id to a file. */
  const script = (pidFile: string, before: string, after: string): string =>
    `require("fs").writeFileSync(${JSON.stringify(pidFile)}, String(process.pid));
    ${before}
    const say = (o) => { const s = JSON.stringify(o); process.stdout.write("Content-Length: " + Buffer.byteLength(s) + "\\r\\n\\r\\n" + s); };
    let text = "";
    process.stdin.setEncoding("latin1");
    process.stdin.on("data", (d) => {
      text += d;
      for (;;) {
        const found = /^Content-Length: (\\d+)\\r\\n\\r\\n/.exec(text);
        if (!found || text.length < found[0].length + Number(found[1])) return;
        const message = JSON.parse(text.slice(found[0].length, found[0].length + Number(found[1])));
        text = text.slice(found[0].length + Number(found[1]));
        if (message.method === "initialize") say({ jsonrpc: "2.0", id: message.id, result: { capabilities: { documentSymbolProvider: true } } });
        else if (message.id !== undefined) { ${after} }
      }
    });`;

  async function collectWith(
    o: {
      before?: string;
      after?: string;
      command?: string;
      limits?: Partial<LspSourceLimits>;
      loadsFirst?: true;
    },
    budgetMs: number,
  ) {
    const here = project(PYTHON);
    const pidFile = join(here.root, "server.pid");
    const serverFile = join(here.root, "server.cjs");
    writeFileSync(serverFile, script(pidFile, o.before ?? "", o.after ?? ""));
    const start = performance.now();
    const facts = await collect(here, {
      budgetMs,
      createServer: () =>
        createLspSource({
          server: {
            name: "broken",
            languages: ["python"],
            binaries: [],
            args: [],
            openFiles: 2,
            ...(o.loadsFirst ? { loadsFirst: true } : {}),
          },
          command: { command: o.command ?? process.execPath, args: [serverFile] },
          root: here.root,
          logger: silentLogger,
          limits: o.limits ?? {},
        }),
    });
    return { facts, ms: performance.now() - start, pidFile };
  }

  const isAlive = (pidFile: string): boolean => {
    try {
      process.kill(Number(readFileSync(pidFile, "utf8")), 0);
      return true;
    } catch {
      return false;
    }
  };

  async function expectEnded(pidFile: string): Promise<void> {
    await expect.poll(() => isAlive(pidFile), { timeout: 5000 }).toBe(false);
  }

  test("that cannot be started is named, and tree-sitter answers", async () => {
    const { facts } = await collectWith({ command: "/nonexistent/server" }, 20_000);
    expect(facts.report[0]).toMatchObject({ source: "tree-sitter", answered: 3 });
    expect(facts.report[0]!.why).toContain("could not be started");
  });

  test("that dies at once is named with its words, and tree-sitter answers", async () => {
    const { facts } = await collectWith(
      { before: 'process.stderr.write("no toolchain"); process.exitCode = 3; process.stdin.destroy(); process.exit();' }, // prettier-ignore
      20_000,
    );
    expect(facts.report[0]).toMatchObject({ source: "tree-sitter", answered: 3 });
    expect(facts.report[0]!.why).toContain("broken ended with code 3");
  });

  test("that dies while it is asked is named, and tree-sitter answers", async () => {
    const { facts } = await collectWith({ after: "process.exit(9);" }, 20_000);
    expect(facts.report[0]).toMatchObject({ source: "tree-sitter", answered: 3 });
    expect(facts.report[0]!.why).toContain("ended with code 9");
    expect(facts.lexicon.lookup("connect")?.tokenType).toBe(TOKEN_TYPES.function);
  });

  test("that never answers at all is given up and killed", async () => {
    const { facts, ms, pidFile } = await collectWith(
      { before: "setInterval(() => {}, 1000); return;", limits: { initializeMs: 400 } },
      20_000,
    );
    expect(facts.report[0]).toMatchObject({ source: "tree-sitter", answered: 3 });
    expect(facts.report[0]!.why).toContain("initialize took over 400 ms");
    expect(ms).toBeLessThan(10_000);
    await expectEnded(pidFile);
  });

  test("that loads its project first is waited for", async () => {
    const { facts } = await collectWith(
      {
        after: `if (message.method !== "textDocument/documentSymbol") return;
          const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 5 } };
          say({ jsonrpc: "2.0", id: message.id, result: globalThis.loaded ? [{ name: "LIMIT", kind: 14, range, selectionRange: range }] : [] });`,
        before: `setTimeout(() => say({ jsonrpc: "2.0", method: "$/progress", params: { token: 1, value: { kind: "begin", title: "load" } } }), 200);
          setTimeout(() => { globalThis.loaded = true; say({ jsonrpc: "2.0", method: "$/progress", params: { token: 1, value: { kind: "end" } } }); }, 1200);`,
        loadsFirst: true,
      },
      20_000,
    );
    expect(facts.report[0]).toMatchObject({ source: "broken", answered: 3 });
    expect(facts.symbols.map((s) => s.name)).toEqual(["LIMIT", "LIMIT", "LIMIT"]);
  });

  test("that hangs after its start is given up within the budget and killed", async () => {
    const { facts, ms, pidFile } = await collectWith(
      { after: "", limits: { requestMs: 300, hangMs: 500 } },
      8000,
    );
    expect(facts.report[0]).toMatchObject({ source: "tree-sitter", answered: 3 });
    expect(facts.report[0]!.why).toContain("does not answer");
    expect(ms).toBeLessThan(9500);
    await expectEnded(pidFile);
  });
});

describe("collecting facts", () => {
  const here = project(PYTHON);
  const createServer = (): undefined => undefined;

  test("does nothing when it is off", async () => {
    const facts = await collect(here, { sources: "off" });
    expect(facts).toMatchObject({ symbols: [], report: [] });
    expect(facts.lexicon.nameCount).toBe(0);
  });

  test("ends with what there is when the time is up or the user stops it", async () => {
    const none = await collect(here, { createServer, budgetMs: 0 });
    expect(none.report[0]!.why).toContain("time was up");
    const start = performance.now();
    const stuck: FactSource = {
      name: "stuck",
      evidence: () => new Promise(() => undefined),
      dispose: () => Promise.resolve(),
    };
    const stopped = await collect(here, { editor: stuck, signal: AbortSignal.timeout(200) });
    expect(performance.now() - start).toBeLessThan(3000);
    expect(stopped.report[0]!.why).toContain("stopped");
  });

  test("asks again only about what has changed", async () => {
    const cache: FactsCache = new Map();
    const asked: string[] = [];
    const editor: FactSource = {
      name: "editor",
      evidence: (file) => {
        asked.push(file.path);
        return Promise.resolve({ identifiers: [], symbols: [], asked: 0, resolved: 0 });
      },
      dispose: () => Promise.resolve(),
    };
    await collect(here, { editor, cache });
    expect(asked.length).toBe(3);
    const files = here.files.map((file) =>
      file.path === "one.py" ? { ...file, bytes: new TextEncoder().encode("x = 2\n") } : file,
    );
    await collect({ ...here, files }, { editor, cache });
    expect(asked.slice(3)).toEqual(["one.py"]);
  });
});

describe("facts about languages of which little is known", () => {
  const here = project({
    "lib/shop.ex": "defmodule Shop do\n  def buy(item), do: item\nend\n",
    "README.md": "# Shop\n",
  });

  test("are reported as none, not left unsaid", async () => {
    const { report } = await collect(here);
    expect(report).toMatchObject([{ languageId: "elixir", source: "none", files: 1, answered: 0 }]);
    expect(report[0]!.why).toBe("neither a grammar nor a language server is known");
  });

  test("come from the editor, which may know more languages than we do", async () => {
    const asked: string[] = [];
    const editor: FactSource = {
      name: "editor",
      evidence: (file) => {
        asked.push(`${file.languageId} ${file.path}`);
        return Promise.resolve({ identifiers: [], symbols: [], asked: 0, resolved: 0 });
      },
      dispose: () => Promise.resolve(),
    };
    const { report } = await collect(here, { editor });
    expect(asked).toEqual(["elixir lib/shop.ex"]);
    expect(report).toMatchObject([{ source: "editor", answered: 1 }]);
  });

  test("of pages come from their scripts, at their lines", async () => {
    const pages = project({
      "Cart.vue":
        '<template>\n  <b>{{ total }}</b>\n</template>\n\n<script setup lang="ts">\nfunction totalOf(x: number) {\n  return x;\n}\n</script>\n',
      "Card.svelte": "<script>\n  export function flip() {}\n</script>\n<p>class Wrong {}</p>\n",
    });
    const { symbols, report } = await collect(pages);
    expect(report.map((one) => [one.languageId, one.source]).sort()).toEqual([
      ["svelte", "tree-sitter"],
      ["vue", "tree-sitter"],
    ]);
    expect(symbols.map((s) => [s.path, s.name, s.startLine, s.startCharacter]).sort()).toEqual([
      ["Card.svelte", "flip", 1, 18],
      ["Cart.vue", "totalOf", 5, 9],
    ]);
  });
});

describe("facts from the editor", () => {
  const here = project({
    "core.py": "def connect():\n    pass\n",
    "use.py": "from core import connect\nconnect()\n",
  });
  const uri = (path: string): string => pathToFileURL(join(here.root, path)).href;

  function editorFor(answer: (p: DocumentFactsParams) => DocumentFactsResult | null): FactSource {
    return createEditorSource({
      connection: { sendRequest: (_, params) => Promise.resolve(answer(params)) },
      root: here.root,
      limits: { retryMs: [5, 5] },
      bytesOf: (path) => here.files.find((file) => file.path === path)?.bytes,
    });
  }

  test("resolve to the same colour as anywhere else, once its servers are ready", async () => {
    let early = 2;
    const editor = editorFor((params) => {
      if (early-- > 0) return { definitions: [] };
      const range = { start: { line: 0, character: 4 }, end: { line: 0, character: 11 } };
      const isCore = params.uri === uri("core.py");
      return {
        legend: { tokenTypes: ["function"], tokenModifiers: ["declaration"] },
        semanticTokens: isCore ? [0, 4, 7, 0, 1] : [0, 17, 7, 0, 0, 1, 0, 7, 0, 0],
        symbols: isCore ? [{ name: "connect", kind: 12, range, selectionRange: range }] : [],
        definitions: params.definitionsAt.map((at) =>
          at.line === 1 && at.character === 0 ? { uri: uri("core.py"), ...range } : null,
        ),
      };
    });
    const { lexicon, symbols, report } = await collect(here, { editor });
    expect(report[0]).toMatchObject({ source: "editor", answered: 2, why: "" });
    expect(symbols.map((s) => s.name)).toEqual(["connect"]);
    expect(lexicon.lookup("connect", { exclude: "core.py" })).toMatchObject({
      tokenType: TOKEN_TYPES.function,
      identity: identityOf("core.py", "connect"),
    });
  });

  test("are not asked about a notebook, whose text there is its JSON", async () => {
    const book = project({ "plot.ipynb": "# %%\ndef draw():\n    pass\n" });
    const asked: string[] = [];
    const editor = editorFor((params) => {
      asked.push(params.uri);
      return null;
    });
    const { symbols, report } = await collect(book, { editor });
    expect(asked).toEqual([]);
    expect(report).toMatchObject([{ languageId: "python", source: "tree-sitter", answered: 1 }]);
    expect(symbols.map((s) => s.name)).toEqual(["draw"]);
  });

  test("give way to tree-sitter when it stays silent or cannot be asked", async () => {
    const silent = await collect(here, { editor: editorFor(() => null) });
    expect(silent.report[0]).toMatchObject({ source: "tree-sitter", answered: 2 });
    const broken = createEditorSource({
      connection: { sendRequest: () => Promise.reject(new Error("connection is closed")) },
      root: here.root,
      bytesOf: () => undefined,
    });
    const facts = await collect(here, { editor: broken });
    expect(facts.report[0]).toMatchObject({ source: "tree-sitter" });
    expect(facts.report[0]!.why).toContain("connection is closed");
  });
});

describe("evidence", () => {
  test("decodes relative tokens and leaves out types that no table knows", () => {
    const tokens = decodeTokens(
      { tokenTypes: ["nonsense", "class"], tokenModifiers: ["local", "readonly"] },
      [0, 3, 2, 1, 2, 0, 5, 1, 0, 0, 2, 1, 4, 1, 1],
    );
    expect([...tokens.values()]).toEqual([
      { type: TOKEN_TYPES.class, modifiers: 2 },
      { type: TOKEN_TYPES.class, modifiers: 0 },
    ]);
  });

  test("names a library's file the same on every machine", () => {
    expect(externalPath("/home/x/p/node_modules/react/index.d.ts")).toBe(
      "external/react/index.d.ts",
    );
    expect(externalPath("/opt/py/lib/site-packages/anyio/abc.py")).toBe("external/anyio/abc.py");
    expect(externalPath("/usr/include/c/stdio.h")).toBe("external/c/stdio.h");
  });

  test("reads kinds from hovers", () => {
    expect(hoverFacts({ contents: { value: "```python\n(method) async def get()\n```" } })).toEqual(
      {
        tokenType: TOKEN_TYPES.method,
        modifiers: 8,
      },
    );
    expect(hoverFacts({ contents: "(constant) X: int" })).toEqual({
      tokenType: TOKEN_TYPES.variable,
      modifiers: 2,
    });
    expect(hoverFacts({ contents: "some words" })).toEqual({});
    expect(hoverFacts(undefined)).toEqual({});
  });

  test("cuts signatures off symbol names and marks what is local", () => {
    const at = (line: number) => ({ start: { line, character: 0 }, end: { line, character: 9 } });
    const symbol = (name: string, kind: number, line: number) => ({
      name,
      kind,
      range: at(line),
      selectionRange: at(line),
    });
    const flat = flattenSymbols("A.java", [
      {
        ...symbol("A", 5, 0),
        children: [{ ...symbol("get(String)", 6, 1), children: [symbol("x", 13, 2)] }],
      },
      symbol("map() callback", 12, 3),
    ]);
    expect(flat.map((s) => [s.name, s.container, s.local])).toEqual([
      ["A", undefined, undefined],
      ["get", "A", undefined],
      ["x", "A.get", true],
    ]);
  });

  test("never takes a server from the workspace or a relative PATH", () => {
    const rust = LANGUAGE_SERVERS.find((server) => server.name === "rust-analyzer")!;
    expect(findServer(rust, { path: "bin:./bin:", from: "/" })).toBeUndefined();
  });
});
