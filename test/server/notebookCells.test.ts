/** A cell is completed with its notebook's cells before it, under its notebook's path. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { URI } from "vscode-uri";
import { withEarlier } from "../../server/context.ts";
import { fileUriOf, scriptBeforeCell } from "../../server/notebookCells.ts";
import { startServer } from "../support/lspClient.ts";

const cell = (n: number, path = "/work/plot.ipynb") =>
  `vscode-notebook-cell:${path}#W${n}sZmlsZQ==`;

const open = (uri: string, text: string, languageId = "python") => ({
  uri,
  languageId,
  getText: () => text,
});

describe("the script before a cell", () => {
  const documents = [
    open("file:///work/a.py", "not = 1"),
    open(cell(0), "Load the data.", "markdown"),
    open(cell(1), "import numpy as np\n"),
    open(cell(0, "/work/other.ipynb"), "other = 1"),
    open(cell(2), "x = np."),
    open(cell(3), "later = 1"),
  ];

  test("holds the cells before it and begins it", () => {
    expect(scriptBeforeCell(cell(2), documents)).toBe(
      "# %% [markdown]\n# Load the data.\n\n# %%\nimport numpy as np\n\n# %%\n",
    );
    expect(scriptBeforeCell(cell(0), documents)).toBe("# %%\n");
  });

  test("is empty for a file, whose URI stays", () => {
    expect(scriptBeforeCell("file:///work/a.py", documents)).toBe("");
    expect(fileUriOf("file:///work/a.py")).toBe("file:///work/a.py");
    expect(fileUriOf(cell(1))).toBe("file:///work/plot.ipynb");
  });
});

test("earlier text takes the room that is left, and no part of a character", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const text = (of: Uint8Array) => new TextDecoder("utf-8", { fatal: true }).decode(of);
  expect(text(withEarlier(bytes("abc"), bytes("def"), 10))).toBe("abcdef");
  expect(text(withEarlier(bytes("abc"), bytes("def"), 5))).toBe("bcdef");
  expect(text(withEarlier(bytes("aé"), bytes("def"), 4))).toBe("def");
  expect(text(withEarlier(bytes("abc"), bytes("def"), 2))).toBe("def");
});

test("the server asks the model about a cell with the cells before it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "narrowgauge-cells-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const root = join(folder, "workspace");
  await mkdir(join(folder, "storage", "model"), { recursive: true });
  await mkdir(join(root, "books"), { recursive: true });
  await writeFile(join(folder, "storage", "model", "manifest.json"), "{}");
  const here = dirname(fileURLToPath(import.meta.url));
  const client = await startServer({
    parts: {
      host: {
        modulePath: join(here, "..", "support", "fakeModelHost.mjs"),
        execPath: process.execPath,
        args: [JSON.stringify({ echo: true })],
        protocolVersion: 1,
        backOff: { firstMs: 30, maxMs: 60, windowMs: 60_000, safeModeAfter: 3, giveUpAfter: 5 },
      },
      createQuery: () => Promise.reject(new Error("nobody asks")),
      collectFacts: () => Promise.resolve({}),
      power: () => Promise.resolve("mains"),
    },
    root,
    storagePath: join(folder, "storage"),
    consented: true,
    settings: { completion: { debounceMs: 0 } },
  });
  onTestFinished(() => client.close());
  await client.untilState("ready");
  const path = URI.file(join(root, "books", "plot.ipynb")).path;
  await client.write(cell(0, path), "import numpy as np");
  const items = await client.complete(await client.write(cell(1, path), "x = np|"));
  // The stand-in writes down what it was asked.
  expect(items?.[0]?.insertText).toBe("books/plot.ipynb|# %% import numpy as np  # %% x = np");
});
