/**
 * What the editor's language servers know of the workspace, collected within a budget before training and written
 * to files: a lexicon for the model host, a table of symbols for it and for the query engine.
 */
import { existsSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../model/index.ts";
import { collectFacts } from "./facts/collect.ts";
import { createEditorSource } from "./facts/editorSource.ts";
import type { FactsPort } from "./languageServer.ts";
import type { SymbolEntry } from "./query/queryEngine.ts";

/** Training waits this share of its own budget, within bounds; files beyond it train without facts. */
const BUDGET_SHARE = 0.1;
const MIN_BUDGET_MS = 5000;
const MAX_BUDGET_MS = 45_000;
const LEXICON = "lexicon.json";
const SYMBOLS = "symbols.json";

export function factsFromEditor(logger: Logger): FactsPort {
  return async ({ connection, root, files, folder, minutes, resume, signal, onPhase }) => {
    const lexiconPath = join(folder, LEXICON);
    const symbolsPath = join(folder, SYMBOLS);
    // A resumed run goes on with the facts it began with.
    if (resume && existsSync(lexiconPath) && existsSync(symbolsPath))
      return { lexiconPath, symbolsPath };
    const bytes = new Map(files.map((file) => [file.path, file.bytes]));
    const editor = createEditorSource({
      connection,
      root,
      bytesOf: (path) => bytes.get(path),
    });
    const { lexicon, symbols, report } = await collectFacts({
      files,
      root,
      budgetMs: Math.max(MIN_BUDGET_MS, Math.min(MAX_BUDGET_MS, minutes * 60_000 * BUDGET_SHARE)),
      sources: "auto",
      editor,
      signal,
      logger,
      onProgress: ({ done, total }) =>
        onPhase(`asking language servers ${Math.floor((100 * done) / Math.max(1, total))} %`),
    });
    logger.info("language servers were asked", { languages: report });
    await writeWhole(lexiconPath, JSON.stringify(lexicon.serialize()));
    await writeWhole(symbolsPath, JSON.stringify(symbols));
    return { lexiconPath, symbolsPath };
  };
}

/** The symbols of the last collection, or none. */
export async function readSymbols(folder: string): Promise<readonly SymbolEntry[]> {
  try {
    return JSON.parse(await readFile(join(folder, SYMBOLS), "utf8")) as SymbolEntry[];
  } catch {
    return [];
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
