/**
 * Tree-sitter grammars by language, loaded when first asked for. The files lie in `grammars/` beside the
 * bundle, or in the package when the program runs from its sources.
 */

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type * as treeSitterModule from "@vscode/tree-sitter-wasm";
import type { Language, Parser } from "@vscode/tree-sitter-wasm";

const GRAMMARS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    typescript: "typescript",
    typescriptreact: "tsx",
    javascript: "javascript",
    javascriptreact: "javascript",
    python: "python",
    rust: "rust",
    go: "go",
    java: "java",
    csharp: "c-sharp",
    c: "cpp",
    cpp: "cpp",
    ruby: "ruby",
    php: "php",
    shellscript: "bash",
    // Their scripts alone.
    vue: "typescript",
    svelte: "typescript",
  }),
);

export function hasGrammar(languageId: string): boolean {
  return GRAMMARS.has(languageId);
}

function grammarFolder(): string {
  const here = join(dirname(fileURLToPath(import.meta.url)), "grammars");
  if (existsSync(join(here, "tree-sitter.wasm"))) return here;
  const require = createRequire(import.meta.url);
  return dirname(require.resolve("@vscode/tree-sitter-wasm/wasm/tree-sitter.wasm"));
}

type TreeSitter = Pick<typeof treeSitterModule, "Parser" | "Language">;

interface Runtime {
  readonly folder: string;
  readonly treeSitter: TreeSitter;
}

let runtime: Promise<Runtime> | undefined;
const languages = new Map<string, Promise<Language>>();

/** The package looks for its own place when it is evaluated, by a name that only CommonJS modules have; in
 *  an ES module bundle it finds none and throws. So the name exists while the package loads. */
async function loadRuntime(): Promise<Runtime> {
  const folder = grammarFolder();
  const scope = globalThis as { __filename?: string };
  const added = scope.__filename === undefined;
  if (added) scope.__filename = join(folder, "tree-sitter.js");
  try {
    const loaded = await import("@vscode/tree-sitter-wasm");
    const treeSitter: TreeSitter = "default" in loaded ? loaded.default : loaded;
    await treeSitter.Parser.init({ locateFile: (file: string) => join(folder, file) });
    return { folder, treeSitter };
  } finally {
    if (added) delete scope.__filename;
  }
}

/** A parser for the language; rejects where the files of the grammar are missing or damaged. */
export async function createParser(languageId: string): Promise<Parser> {
  const grammar = GRAMMARS.get(languageId);
  if (grammar === undefined) throw new RangeError(`there is no grammar for ${languageId}`);
  runtime ??= loadRuntime();
  const { folder, treeSitter } = await runtime;
  let language = languages.get(grammar);
  if (!language) {
    language = readFile(join(folder, `tree-sitter-${grammar}.wasm`)).then((bytes) =>
      treeSitter.Language.load(new Uint8Array(bytes)),
    );
    languages.set(grammar, language);
  }
  const parser = new treeSitter.Parser();
  parser.setLanguage(await language);
  return parser;
}
