/** LSP language identifiers by file extension, for files that no editor has named for us. */

const IDS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    typescript: "ts mts cts",
    typescriptreact: "tsx",
    javascript: "js mjs cjs",
    javascriptreact: "jsx",
    python: "py pyi pyw ipynb",
    rust: "rs",
    go: "go",
    java: "java",
    csharp: "cs",
    c: "c h",
    cpp: "cc cpp cxx hpp hh hxx",
    kotlin: "kt kts",
    swift: "swift",
    ruby: "rb rake",
    php: "php",
    lua: "lua",
    zig: "zig",
    haskell: "hs",
    shellscript: "sh bash",
    css: "css",
    scss: "scss",
    html: "html htm",
    json: "json",
    yaml: "yaml yml",
    markdown: "md markdown",
  }).flatMap(([id, extensions]) => extensions.split(" ").map((e) => [e, id] as const)),
);

/** "plaintext" for what has no identifier. */
export function languageIdOf(path: string): string {
  return IDS.get(path.slice(path.lastIndexOf(".") + 1).toLowerCase()) ?? "plaintext";
}
