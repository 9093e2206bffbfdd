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
    elixir: "ex exs",
    erlang: "erl hrl",
    scala: "scala sc",
    dart: "dart",
    groovy: "groovy gradle",
    clojure: "clj cljs cljc",
    fsharp: "fs fsx fsi",
    vb: "vb",
    ocaml: "ml mli",
    elm: "elm",
    nim: "nim",
    crystal: "cr",
    julia: "jl",
    r: "r",
    perl: "pl pm",
    powershell: "ps1 psm1",
    "objective-c": "m",
    "objective-cpp": "mm",
    solidity: "sol",
    terraform: "tf",
    vue: "vue",
    svelte: "svelte",
    astro: "astro",
    shellscript: "sh bash",
    css: "css",
    scss: "scss",
    html: "html htm",
    json: "json",
    yaml: "yaml yml",
    markdown: "md markdown",
  }).flatMap(([id, extensions]) => extensions.split(" ").map((e) => [e, id] as const)),
);

/** Prose, markup and data hold no names worth asking for. */
const NO_CODE: ReadonlySet<string> = new Set(
  "css scss html json yaml markdown plaintext".split(" "),
);

export const isCodeLanguage = (languageId: string): boolean => !NO_CODE.has(languageId);

/** "plaintext" for what has no identifier. */
export function languageIdOf(path: string): string {
  return IDS.get(path.slice(path.lastIndexOf(".") + 1).toLowerCase()) ?? "plaintext";
}
