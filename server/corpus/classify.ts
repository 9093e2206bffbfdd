/**
 * What a file is, judged from its path and bytes alone: text that somebody wrote, or one of the kinds that
 * would teach the model nothing (binary, generated, vendored, lock files). What its text tells: writtenText.ts.
 * No IO here.
 */

export interface Finding {
  readonly reason: "binary" | "generated" | "minified" | "vendored" | "lockFile";
  /** One phrase for the user. */
  readonly detail: string;
}

/** Never code of this workspace, whatever the ignore files say; only .narrowgaugeignore can take one back. */
const BUILT_IN_FOLDERS = new Set([
  ".git",
  ".hg",
  ".svn",
  ".jj",
  "node_modules",
  "bower_components",
  "jspm_packages",
  "dist",
  "__pycache__",
  ".venv",
  ".tox",
  ".nox",
  ".mypy_cache",
  ".pytest_cache",
  ".ruff_cache",
  ".eggs",
  "site-packages",
  ".next",
  ".nuxt",
  ".svelte-kit",
  ".turbo",
  ".parcel-cache",
  ".cache",
  ".gradle",
  ".terraform",
  ".nyc_output",
  ".idea",
  ".vs",
  ".ipynb_checkpoints",
  ".direnv",
  ".dart_tool",
  ".stack-work",
  "dist-newstyle",
  "elm-stuff",
  ".zig-cache",
  "zig-cache",
  "zig-out",
  "DerivedData",
  ".yarn",
  ".pnpm-store",
  ".angular",
  ".docusaurus",
]);

/** Files that only a tool puts into a folder it fills. */
const FOLDERS_BY_CONTENT: readonly { readonly file: string; readonly what: string }[] = [
  { file: "pyvenv.cfg", what: "a Python environment" },
  // Source: the Cache Directory Tagging Specification, which Cargo and others follow.
  { file: "CACHEDIR.TAG", what: "a cache" },
  { file: "CMakeCache.txt", what: "build output" },
];

/** Folders that are build output or vendored only when the file beside them says so. */
const FOLDERS_BY_SIBLING: readonly {
  readonly folder: RegExp;
  readonly siblings: readonly string[];
  readonly what: string;
}[] = [
  {
    folder: /^vendor$/,
    siblings: ["go.mod", "composer.json", "Gemfile", "Cargo.toml"],
    what: "vendored dependencies",
  },
  { folder: /^Pods$/, siblings: ["Podfile"], what: "vendored dependencies" },
  { folder: /^Carthage$/, siblings: ["Cartfile"], what: "vendored dependencies" },
  { folder: /^deps$/, siblings: ["mix.exs"], what: "vendored dependencies" },
  {
    folder: /^target$/,
    siblings: ["Cargo.toml", "pom.xml", "build.sbt", "project.clj"],
    what: "build output",
  },
  { folder: /^\.build$/, siblings: ["Package.swift"], what: "build output" },
  {
    folder: /^build$/,
    siblings: ["build.gradle", "build.gradle.kts", "setup.py", "pubspec.yaml"],
    what: "build output",
  },
  {
    folder: /^_build$/,
    siblings: ["mix.exs", "dune-project", "rebar.config"],
    what: "build output",
  },
  { folder: /^(bin|obj)$/, siblings: [".csproj", ".fsproj", ".vbproj"], what: "build output" },
];

const VENDORED_FOLDERS = new Set(["third_party", "third-party", "thirdparty"]);

/** Version control stores; nothing takes these back. */
export const REPOSITORY_FOLDERS = new Set([".git", ".hg", ".svn", ".jj"]);

/** Judges a folder by the names in it. */
export function judgeFolderContent(
  names: ReadonlySet<string>,
): { reason: "builtInFolder"; detail: string } | undefined {
  const mark = FOLDERS_BY_CONTENT.find(({ file }) => names.has(file));
  return mark === undefined
    ? undefined
    : { reason: "builtInFolder", detail: `${mark.what}, as ${mark.file} in it says` };
}

/** Judges a folder by its name and by the names beside it. */
export function judgeFolder(o: {
  name: string;
  siblings: ReadonlySet<string>;
}): { reason: "builtInFolder" | "vendored"; detail: string } | undefined {
  if (BUILT_IN_FOLDERS.has(o.name))
    return { reason: "builtInFolder", detail: `${o.name} is always left out` };
  if (VENDORED_FOLDERS.has(o.name)) return { reason: "vendored", detail: "third-party code" };
  for (const rule of FOLDERS_BY_SIBLING) {
    if (!rule.folder.test(o.name)) continue;
    const sibling = rule.siblings.find((name) =>
      name.startsWith(".") ? [...o.siblings].some((s) => s.endsWith(name)) : o.siblings.has(name),
    );
    if (sibling !== undefined)
      return {
        reason: rule.what === "build output" ? "builtInFolder" : "vendored",
        detail: `${rule.what} beside ${sibling}`,
      };
  }
  return undefined;
}

/** Beside all that end in ".lock". */
const LOCK_FILES = new Set([
  "package-lock.json",
  "npm-shrinkwrap.json",
  "pnpm-lock.yaml",
  "bun.lockb",
  "Package.resolved",
  "Cartfile.resolved",
  "go.sum",
  "go.work.sum",
  "packages.lock.json",
  "gradle.lockfile",
  "cabal.project.freeze",
]);

/** Files that a program's forms, tables and project trees are saved to; nobody types them. */
const DESIGNER_FILES: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /\.designer\.(cs|vb)$/i, what: "a form designer" },
  { pattern: /\.(g|g\.i)\.cs$/i, what: "a compiler" },
  { pattern: /\.resx$/i, what: "a resource editor" },
  { pattern: /\.(pbxproj|xcscheme|storyboard|xib)$/, what: "Xcode" },
];

/** Drawings and fonts of more than this are coordinates that a program wrote. */
const MAX_SVG_BYTES = 65_536;

export function judgeName(path: string, bytes: number): Finding | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (LOCK_FILES.has(name) || /.\.lock$/.test(name))
    return { reason: "lockFile", detail: "a dependency lock file" };
  const designer = DESIGNER_FILES.find(({ pattern }) => pattern.test(name));
  if (designer !== undefined)
    return { reason: "generated", detail: `written by ${designer.what}, as its name says` };
  if (/\.svg$/i.test(name) && bytes > MAX_SVG_BYTES)
    return { reason: "generated", detail: "a large drawing" };
  if (/[.-]min\.(js|mjs|cjs|css)$/i.test(name))
    return { reason: "minified", detail: "minified by its name" };
  if (/\.(js|mjs|cjs|css|ts)\.map$/i.test(name))
    return { reason: "generated", detail: "a source map" };
  return undefined;
}

const SAMPLE_BYTES = 65_536;
/** Share of control bytes above which a text is not a text. */
const MAX_CONTROL_SHARE = 1 / 32;

/** NUL, or many control bytes; UTF-16 and UTF-32 say so by their byte order mark. */
export function judgeBytes(bytes: Uint8Array): Finding | undefined {
  const [a, b] = bytes;
  if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff))
    return { reason: "binary", detail: "UTF-16 or UTF-32, not UTF-8" };
  if (bytes.indexOf(0) >= 0) return { reason: "binary", detail: "contains NUL bytes" };
  const n = Math.min(bytes.length, SAMPLE_BYTES);
  let control = 0;
  for (let i = 0; i < n; i++) {
    const byte = bytes[i]!;
    // Tab, line feed, form feed, carriage return and escape occur in honest text.
    if (
      (byte < 32 && byte !== 9 && byte !== 10 && byte !== 12 && byte !== 13 && byte !== 27) ||
      byte === 127
    )
      control++;
  }
  if (control > n * MAX_CONTROL_SHARE)
    return { reason: "binary", detail: "many control characters" };
  return undefined;
}
