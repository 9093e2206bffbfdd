/** Files whose text is not their bytes: UTF-16, and notebooks. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { readCorpusFile, walkCorpus } from "../../server/corpus/walk.ts";
import { cellAtLine } from "../../extension/notebookPlace.ts";
import { cellsScript } from "../../server/corpus/notebook.ts";
import { readableText } from "../../server/corpus/readable.ts";
import { settingsFrom } from "../../server/settings.ts";
import { WorkspaceCorpus } from "../../server/workspaceCorpus.ts";

async function folder(files: Record<string, string | Uint8Array>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "readable-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) await writeFile(join(root, path), content);
  return root;
}

const utf8 = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

function utf16(text: string, order: "little" | "big"): Uint8Array {
  const bytes = Buffer.from(`\uFEFF${text}`, "utf16le");
  return new Uint8Array(order === "little" ? bytes : bytes.swap16());
}

const SQL = "SELECT Größe, '𝒳' FROM [dbo].[Körbe]\r\nGO\r\n";

const PICTURE = "iVBORw0KGgo".repeat(20_000);

function notebook(cells: readonly unknown[]): string {
  return JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5 }, null, 1);
}

const BOOK = notebook([
  { cell_type: "markdown", metadata: {}, source: ["# Setup\n", "\n", "First things."] },
  {
    cell_type: "code",
    execution_count: 1,
    metadata: {},
    outputs: [{ output_type: "display_data", data: { "image/png": PICTURE } }],
    source: ["import numpy as np\n", "x = np.zeros(3)"],
  },
  { cell_type: "code", metadata: {}, outputs: [], source: [] },
  { cell_type: "code", metadata: {}, outputs: [], source: "print(x)\r\n" },
]);

const SCRIPT = [
  "# %% [markdown]",
  "# # Setup",
  "#",
  "# First things.",
  "",
  "# %%",
  "import numpy as np",
  "x = np.zeros(3)",
  "",
  "# %%",
  "print(x)",
  "",
].join("\n");

describe("UTF-16", () => {
  test("is read as the text it holds, in either order", async () => {
    const root = await folder({
      "little.sql": utf16(SQL, "little"),
      "big.sql": utf16(`${SQL}-- second\n`, "big"),
      "plain.sql": "SELECT 1\n",
    });
    const walk = await walkCorpus({ root });
    expect(walk.files.map(({ path, bytes }) => [path, utf8(bytes)])).toEqual([
      ["big.sql", `${SQL}-- second\n`],
      ["little.sql", SQL],
      ["plain.sql", "SELECT 1\n"],
    ]);
    expect([...walk.converted]).toEqual(expect.arrayContaining(["big.sql", "little.sql"]));
    expect(walk.converted.size).toBe(2);
  });

  test("that is broken is left out as before", async () => {
    const root = await folder({
      "half.txt": new Uint8Array([0xff, 0xfe, 0x00, 0xd8, 0x61, 0x00]),
      "wide.txt": new Uint8Array([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]),
    });
    const walk = await walkCorpus({ root });
    expect(walk.files).toEqual([]);
    expect(walk.excluded.map((one) => one.reason)).toEqual(["binary", "binary"]);
  });
});

describe("a line of a notebook's script", () => {
  test("lies in the cell that the editor shows", () => {
    const cells = [
      { kind: "markdown", source: "# Title\n\nText." },
      { kind: "code", source: "" },
      { kind: "code", source: "a = 1\r\nb = 2\n\n" },
      { kind: "code", source: "print(a)" },
    ];
    const texts = cells.map((cell) => cell.source);
    const lines = cellsScript(cells).split("\n");
    for (const [word, cell] of [
      ["Title", 0],
      ["Text.", 0],
      ["b = 2", 2],
      ["print", 3],
    ] as const) {
      const line = lines.findIndex((one) => one.includes(word));
      expect(cellAtLine(texts, line), word).toBe(cell);
    }
    expect(cellAtLine(texts, lines.indexOf("# %%"))).toBe(2);
    expect(cellAtLine(texts, 999)).toBe(3);
    expect(cellAtLine([], 0)).toBe(0);
  });
});

describe("a notebook", () => {
  test("is read as its script, without outputs, however large they are", async () => {
    const root = await folder({ "plot.ipynb": BOOK });
    const walk = await walkCorpus({ root, maxFileKiB: 100 });
    expect(BOOK.length).toBeGreaterThan(200_000);
    expect(walk.files.map((file) => utf8(file.bytes))).toEqual([SCRIPT]);
    const one = await readCorpusFile({ root, path: "plot.ipynb", maxFileKiB: 100 });
    expect(utf8(one?.file?.bytes)).toBe(SCRIPT);
  });

  test("of version 3 has its cells in worksheets", () => {
    const old = {
      nbformat: 3,
      worksheets: [{ cells: [{ cell_type: "code", input: ["a = 1\n", "b = 2"] }] }],
    };
    const bytes = new TextEncoder().encode(JSON.stringify(old));
    expect(utf8(readableText("old.ipynb", bytes))).toBe("# %%\na = 1\nb = 2\n");
  });

  test("that is broken keeps its bytes; one without text is empty", async () => {
    const broken = new TextEncoder().encode('{"cells": [');
    expect(readableText("broken.ipynb", broken)).toBe(broken);
    const root = await folder({ "none.ipynb": notebook([]) });
    const walk = await walkCorpus({ root });
    expect(walk.excluded).toEqual([
      { path: "none.ipynb", reason: "empty", detail: "no text in it", bytes: 0 },
    ]);
  });

  test("reaches the model host as its script", async () => {
    const root = await folder({ "a.ipynb": BOOK, "b.py": "x = 1\n" });
    const storage = await folder({});
    const corpus = new WorkspaceCorpus(root, () => Promise.resolve(settingsFrom(undefined)));
    const { manifest } = await corpus.writeManifest(storage, new AbortController().signal);
    const { files } = JSON.parse(await readFile(manifest, "utf8")) as {
      files: { path: string; absolute: string }[];
    };
    expect(files.map((file) => file.path)).toEqual(["a.ipynb", "b.py"]);
    expect(await readFile(files[0]!.absolute, "utf8")).toBe(SCRIPT);
    expect(files[1]!.absolute.endsWith("/b.py")).toBe(true);
  });
});
