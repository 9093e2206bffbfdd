/** Where is it? Names first and exactly, sentences by meaning, each place with its lines and its reason. */
import { describe, expect, test } from "vitest";
import { canRank, createQueryEngine } from "../../server/query/queryEngine.ts";
import type { QueryAnswer } from "../../server/query/queryEngine.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

const FILES = {
  "src/client.py": `import time

class Client:
    """Sends requests and follows redirects."""

    def send(self, request, timeout=5.0):
        response = self.transport.handle(request, timeout)
        return self._send_handling_redirects(response)

    def _send_handling_redirects(self, response):
        # Each hop is a new request, up to max_redirects.
        while response.is_redirect:
            response = self.send(response.next_request)
        return response
`,
  "src/timeouts.py": `class Timeout:
    """How long to wait for connect, read and write."""

    def __init__(self, timeout):
        self.connect = timeout
        self.read = timeout


DEFAULT_TIMEOUT = Timeout(timeout=5.0)
`,
  "src/urlParser.ts": `/** Splits the query string of a URL into its parameters. */
export function parseQueryString(text: string): Map<string, string> {
  const params = new Map<string, string>();
  for (const pair of text.split("&")) {
    const [name, value] = pair.split("=");
    params.set(decodeURIComponent(name ?? ""), decodeURIComponent(value ?? ""));
  }
  return params;
}
`,
  "tests/test_client.py": `from src.client import Client

def test_follows_redirects():
    client = Client()
    assert client.send("http://example.org").is_redirect is False
`,
  "notes.md": "# Größe\n\nDie Größe über alles: naïve café 👍 sizeOf\n",
};

const make = (files: Record<string, string> = FILES) =>
  createQueryEngine({
    files: Object.entries(files).map(([path, text]) => ({ path, bytes: bytes(text) })),
  });

/** The places as "path:start-end kind". */
const places = (answers: readonly QueryAnswer[]): string[] =>
  answers.map((one) => `${one.path}:${one.startLine}-${one.endLine} ${one.kind}`);

describe("a name", () => {
  test("is answered by its definition first, then by its uses", async () => {
    const answers = await make().query("Timeout");
    expect(places(answers)[0]).toBe("src/timeouts.py:1-6 definition");
    expect(answers[0]).toMatchObject({
      why: "definition of class Timeout",
      startCharacter: 6,
      preview: "class Timeout:",
      score: 1,
    });
    expect(places(answers)).toContain("src/timeouts.py:9-9 reference");
  });

  test("matches whole words only", async () => {
    const answers = await make().query("redirect");
    expect(answers.every((one) => one.kind === "meaning")).toBe(true);
  });

  test("in other letters comes after the spelling that was typed", async () => {
    const answers = await make().query("timeout");
    const kinds = answers.map((one) => `${one.kind} ${one.why}`);
    expect(kinds.some((one) => one.includes("class Timeout, spelled differently"))).toBe(true);
    expect(answers.some((one) => one.kind === "reference" && one.path === "src/client.py")).toBe(
      true,
    );
  });

  test("with its container means that member", async () => {
    const [first] = await make().query("Client.send");
    expect(first).toMatchObject({ path: "src/client.py", startLine: 6, kind: "definition" });
    expect(first?.why).toBe("definition of method Client.send");
  });

  test("in a bracket of imports is an import, and comes after real uses", async () => {
    const engine = make({
      "a.ts": 'import {\n  other,\n  target,\n} from "./b.ts";\n\nother();\n',
      "b.ts": "run(target);\n",
    });
    const answers = await engine.query("target");
    const uses = answers.filter((one) => one.kind === "reference");
    expect(uses.map((one) => `${one.path} ${one.why}`)).toEqual([
      "b.ts used, the only use in this file",
      "a.ts imported, the only use in this file",
    ]);
  });

  test("of a file leads to the file", async () => {
    const answers = await make().query("urlParser.ts");
    expect(places(answers)[0]).toBe("src/urlParser.ts:1-1 text");
  });

  test("beyond ASCII is found, with UTF-16 columns", async () => {
    const [first] = await make().query("sizeOf");
    expect(first).toMatchObject({ path: "notes.md", startLine: 3 });
    expect(FILES["notes.md"].split("\n")[2]!.indexOf("sizeOf")).toBe(first?.startCharacter);
    const groesse = await make().query("Größe");
    expect(groesse[0]).toMatchObject({ path: "notes.md", startLine: 1 });
  });

  test("uses what language servers know where they answered", async () => {
    const engine = createQueryEngine({
      files: [{ path: "a.xyz", bytes: bytes("alpha beta\nblock gamma\n  inner\nend\n") }],
      symbols: [
        {
          name: "gamma",
          kind: 12,
          container: "alpha",
          path: "a.xyz",
          startLine: 1,
          startCharacter: 6,
          endLine: 3,
        },
      ],
    });
    expect((await engine.query("gamma"))[0]).toMatchObject({
      startLine: 2,
      endLine: 4,
      startCharacter: 6,
      why: "definition of function alpha.gamma",
    });
  });
});

describe("a sentence", () => {
  test.each([
    ["how are redirects followed", "src/client.py"],
    ["parse url query parameters", "src/urlParser.ts"],
    ["how long to wait for a connection", "src/timeouts.py"],
    ["tests of redirects", "tests/test_client.py"],
  ])("%s is answered by %s", async (question, path) => {
    const [first] = await make().query(question);
    expect(first?.path).toBe(path);
    expect(first?.kind).toBe("meaning");
    expect(first?.why).toMatch(/“\w+”/);
  });

  test("with a name written as code starts with that definition", async () => {
    const [first] = await make().query("who calls _send_handling_redirects");
    expect(first).toMatchObject({ path: "src/client.py", startLine: 10, kind: "definition" });
  });

  test("gives falling scores, within the limit, inside the files", async () => {
    const answers = await make().query("send request response timeout", { limit: 3 });
    expect(answers.length).toBeLessThanOrEqual(3);
    answers.forEach((one, i) => {
      const lines = FILES[one.path as keyof typeof FILES].split("\n").length;
      expect(one.startLine).toBeGreaterThanOrEqual(1);
      expect(one.endLine).toBeGreaterThanOrEqual(one.startLine);
      expect(one.endLine).toBeLessThanOrEqual(lines);
      expect(one.score).toBeGreaterThan(0);
      if (i > 0) expect(one.score).toBeLessThanOrEqual(answers[i - 1]!.score);
    });
  });
});

describe("the model's similarity", () => {
  const files = {
    "a.ts": "// The tide rises at night.\nexport const tide = 1;\n",
    "b.ts": "// The tide falls at dawn.\nexport const ebb = 2;\n",
  };
  const engineWith = (embed: (texts: readonly Uint8Array[]) => Promise<Float32Array[]>) =>
    createQueryEngine({
      files: Object.entries(files).map(([path, text]) => ({ path, bytes: bytes(text) })),
      embed,
      embedBudgetMs: 50,
    });

  test("reorders equal words and says so", async () => {
    const engine = engineWith(async (texts) =>
      texts.map((text) => {
        const dawn = Buffer.from(text).toString().includes("dawn") ? 1 : 0;
        const question = Buffer.from(text).toString() === "the tide" ? 1 : 0;
        return new Float32Array(question + dawn > 0 ? [1, 0] : [0, 1]);
      }),
    );
    const answers = await engine.query("the tide is at");
    expect(answers.map((one) => one.path).sort()).toEqual(["a.ts", "b.ts"]);
    const about = await engine.query("the tide");
    expect(about[0]?.why).toContain("the model finds it");
  });

  test.each([
    ["fails", () => Promise.reject(new Error("gone"))],
    ["never answers", () => new Promise<Float32Array[]>(() => undefined)],
    ["answers too little", () => Promise.resolve([])],
  ])("that %s changes nothing", async (_, embed) => {
    const plain = createQueryEngine({
      files: Object.entries(files).map(([path, text]) => ({ path, bytes: bytes(text) })),
    });
    expect(await engineWith(embed).query("the tide at night")).toEqual(
      await plain.query("the tide at night"),
    );
  });
});

describe("a slow model", () => {
  test("is given up early, and not asked again while it cannot be in time", async () => {
    let asked = 0;
    const engine = createQueryEngine({
      files: Array.from({ length: 12 }, (_, i) => ({
        path: `tide${i}.ts`,
        bytes: bytes(`// The tide number ${i} rises at night.\nexport const tide${i} = ${i};\n`),
      })),
      embedBudgetMs: 60,
      embed: async (texts) => {
        asked += texts.length;
        await new Promise((resolve) => setTimeout(resolve, 15 * texts.length));
        return texts.map(() => new Float32Array([1]));
      },
    });
    const answers = await engine.query("the tide at night");
    expect(answers.every((one) => !one.why.includes("the model"))).toBe(true);
    expect(asked).toBeLessThan(9);
    const before = asked;
    await engine.query("the tide at night");
    expect(asked).toBe(before);
  });

  test("is not asked at all when its network has learned little", () => {
    expect(canRank(7.5)).toBe(false);
    expect(canRank(null)).toBe(false);
    expect(canRank(0.8)).toBe(true);
  });
});

describe("paths", () => {
  const of = (files: Record<string, string>) =>
    createQueryEngine({
      files: Object.entries(files).map(([path, text]) => ({ path, bytes: bytes(text) })),
    });

  test("of tests come after what they test, however a language names them", async () => {
    const source = "/** Splits a buffer into segments. */\nfun splitBuffer() {}\n";
    for (const test of [
      "app/commonTest/Segments.kt",
      "App.Tests/Segments.kt",
      "src/contest/SegmentsTests.kt",
      "src/contest/SegmentsSpec.kt",
      "Tests/Segments.kt",
    ]) {
      const engine = of({
        [test]: source,
        "zz/contest/very/far/down/in/there/Segments.kt": source,
      });
      const found = await engine.query("where is a buffer split into segments");
      expect(found.map((one) => one.path)).toEqual([
        "zz/contest/very/far/down/in/there/Segments.kt",
        test,
      ]);
    }
  });

  test("that name a module put its members first", async () => {
    const execute = "local function execute(args)\n  return args\nend\n";
    const engine = of({
      "cmd/check.lua": execute,
      "runloop/balancer/init.lua": `-- balances\n${execute}`,
      "runloop/timer.lua": `-- waits\n${execute}`,
    });
    expect((await engine.query("balancer.execute"))[0]?.path).toBe("runloop/balancer/init.lua");
    expect((await engine.query("timer.execute"))[0]?.path).toBe("runloop/timer.lua");
  });
});

describe("names beyond ASCII", () => {
  const engine = createQueryEngine({
    files: [
      { path: "maß.py", bytes: bytes("def größeÄndern(wert):\n    return wert\n") },
      { path: "use.py", bytes: bytes("from maß import größeÄndern\n\nprint(größeÄndern(3))\n") },
    ],
  });

  test("are found as typed, in another case and by their words", async () => {
    for (const query of ["größeÄndern", "GRÖSSEÄNDERN".replace("SS", "ß"), "größe ändern"])
      expect((await engine.query(query))[0]?.path, query).toBe("maß.py");
    expect((await engine.query("größeändern"))[0]?.why).toContain("spelled differently");
  });
});

describe("the index", () => {
  test("follows a file that changes and forgets one that goes", async () => {
    const engine = make();
    expect(places(await engine.query("Timeout"))[0]).toContain("src/timeouts.py");
    engine.setFile("src/timeouts.py", bytes("\n\nclass Timeout:\n    pass\n"));
    expect(places(await engine.query("Timeout"))[0]).toBe("src/timeouts.py:3-4 definition");
    engine.removeFile("src/timeouts.py");
    expect((await engine.query("Timeout")).some((one) => one.path === "src/timeouts.py")).toBe(
      false,
    );
    expect(engine.size.files).toBe(4);
  });

  test("forgets what lay in a folder that goes", async () => {
    const engine = make();
    await engine.ready();
    const before = engine.size.files;
    engine.setFile("late/extra.py", bytes("class Lately:\n    pass\n"));
    engine.removeFile("src");
    const left = await engine.query("Timeout");
    expect(left.filter((one) => one.path.startsWith("src/"))).toEqual([]);
    expect(engine.size.files).toBeLessThan(before);
    expect((await engine.query("Lately"))[0]?.path).toBe("late/extra.py");
    // Not yet indexed, and gone again.
    engine.setFile("late/more.py", bytes("class Morely:\n    pass\n"));
    engine.removeFile("late");
    expect(await engine.query("Morely")).toEqual([]);
  });

  test("stays right through many changes", async () => {
    const engine = make();
    for (let i = 0; i < 1200; i++)
      engine.setFile("hot.ts", bytes(`export const version${i} = ${i};\n`));
    await engine.ready();
    for (let i = 0; i < 1100; i++) {
      engine.setFile("hot.ts", bytes(`export const version${i} = ${i};\n`));
      await engine.ready();
    }
    expect((await engine.query("version1099"))[0]?.path).toBe("hot.ts");
    const gone = await engine.query("version3");
    expect(gone.every((one) => one.kind === "meaning")).toBe(true);
    expect(engine.size.chunks).toBeLessThan(20);
    expect((await engine.query("how are redirects followed"))[0]?.path).toBe("src/client.py");
  });

  test("answers nothing to nothing, to nonsense, and when it is called off", async () => {
    const engine = make();
    expect(await engine.query("   ")).toEqual([]);
    expect(await engine.query("zzyzx qwfpgj")).toEqual([]);
    expect(await engine.query("?")).toEqual([]);
    expect(await engine.query("Timeout", { signal: AbortSignal.abort() })).toEqual([]);
    expect(await createQueryEngine({ files: [] }).query("Timeout")).toEqual([]);
  });

  test("survives bytes that are no text", async () => {
    const engine = createQueryEngine({
      files: [
        { path: "raw.txt", bytes: Uint8Array.from({ length: 5000 }, (_, i) => (i * 131) % 256) },
        { path: "long.txt", bytes: bytes("word ".repeat(40_000)) },
        { path: "empty.txt", bytes: new Uint8Array(0) },
      ],
    });
    expect((await engine.query("word")).length).toBeGreaterThan(0);
  });
});
