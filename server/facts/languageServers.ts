/**
 * The language servers that may be spawned, and where they are found: beside this program (development
 * dependencies), else on PATH. Never in the workspace itself: opening a folder must not run what lies in it.
 */

import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
}

export interface LanguageServer {
  readonly name: string;
  /** LSP language identifiers that it answers for. */
  readonly languages: readonly string[];
  /** npm package and the script in it, for servers that Node runs. */
  readonly nodeScript?: { readonly package: string; readonly script: string };
  /** Names on PATH, the first found is taken. */
  readonly binaries: readonly string[];
  readonly args: readonly string[];
  readonly initializationOptions?: unknown;
  /** Answer to workspace/configuration, by section. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Answers nothing until the project is loaded, and reports that work. */
  readonly loadsFirst?: true;
  /** How many files stay open at once. */
  readonly openFiles: number;
}

export const LANGUAGE_SERVERS: readonly LanguageServer[] = [
  {
    name: "typescript-language-server",
    languages: ["typescript", "typescriptreact", "javascript", "javascriptreact"],
    nodeScript: { package: "typescript-language-server", script: "lib/cli.mjs" },
    binaries: ["typescript-language-server"],
    args: ["--stdio"],
    // No typings are fetched: nothing leaves the machine. One server process is enough for questions.
    initializationOptions: {
      disableAutomaticTypingAcquisition: true,
      tsserver: { useSyntaxServer: "never" },
    },
    openFiles: 40,
  },
  {
    name: "pyright",
    languages: ["python"],
    nodeScript: { package: "pyright", script: "langserver.index.js" },
    binaries: ["basedpyright-langserver", "pyright-langserver"],
    args: ["--stdio"],
    settings: {
      "python.analysis": {
        diagnosticMode: "openFilesOnly",
        typeCheckingMode: "off",
        useLibraryCodeForTypes: true,
        indexing: false,
      },
    },
    openFiles: 20,
  },
  { ...server("rust-analyzer", ["rust"], ["rust-analyzer"], []), loadsFirst: true },
  { ...server("gopls", ["go"], ["gopls"], [], { semanticTokens: true }), loadsFirst: true },
  server("clangd", ["c", "cpp"], ["clangd"], ["--background-index=false", "--log=error"]),
  { ...server("jdtls", ["java"], ["jdtls"], []), loadsFirst: true },
  server("zls", ["zig"], ["zls"], []),
  server("lua-language-server", ["lua"], ["lua-language-server"], []),
  server("solargraph", ["ruby"], ["solargraph"], ["stdio"]),
  server("sourcekit-lsp", ["swift"], ["sourcekit-lsp"], []),
  server("intelephense", ["php"], ["intelephense"], ["--stdio"]),
  server("haskell-language-server", ["haskell"], ["haskell-language-server-wrapper"], ["--lsp"]),
  server("csharp-ls", ["csharp"], ["csharp-ls"], []),
];

function server(
  name: string,
  languages: readonly string[],
  binaries: readonly string[],
  args: readonly string[],
  initializationOptions?: unknown,
): LanguageServer {
  const options = initializationOptions === undefined ? {} : { initializationOptions };
  return { name, languages, binaries, args, openFiles: 20, ...options };
}

/** The command that starts a server, or undefined where it is not installed. */
export function findServer(
  server: LanguageServer,
  o: { readonly path?: string | undefined; readonly from?: string } = {},
): ServerCommand | undefined {
  const from = o.from ?? dirname(fileURLToPath(import.meta.url));
  const script = server.nodeScript && findPackageScript(server.nodeScript, from);
  if (script !== undefined) return { command: process.execPath, args: [script, ...server.args] };
  for (const binary of server.binaries) {
    const command = findOnPath(binary, o.path ?? process.env["PATH"] ?? "");
    if (command !== undefined) return { command, args: server.args };
  }
  return undefined;
}

function findPackageScript(
  what: { readonly package: string; readonly script: string },
  from: string,
): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const script = join(folder, "node_modules", what.package, what.script);
    if (existsSync(script)) return script;
    if (dirname(folder) === folder) return undefined;
  }
}

function findOnPath(binary: string, path: string): string | undefined {
  const endings = process.platform === "win32" ? [".exe"] : [""];
  for (const folder of path.split(delimiter)) {
    // A relative entry would be looked up in the workspace.
    if (!isAbsolute(folder)) continue;
    for (const ending of endings) {
      const file = join(folder, binary + ending);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        // Not here.
      }
    }
  }
  return undefined;
}
