/**
 * What a file is, judged from its path and bytes alone: text that somebody wrote, or one of the kinds that
 * would teach the model nothing (binary, generated, minified, vendored, lock files). No IO here.
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
]);

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
  { folder: /^deps$/, siblings: ["mix.exs"], what: "vendored dependencies" },
  { folder: /^target$/, siblings: ["Cargo.toml", "pom.xml", "build.sbt"], what: "build output" },
  {
    folder: /^build$/,
    siblings: ["build.gradle", "build.gradle.kts", "setup.py"],
    what: "build output",
  },
  { folder: /^_build$/, siblings: ["mix.exs", "dune-project"], what: "build output" },
  { folder: /^(bin|obj)$/, siblings: [".csproj"], what: "build output" },
];

const VENDORED_FOLDERS = new Set(["third_party", "third-party", "thirdparty"]);

/** Version control stores; nothing takes these back. */
export const REPOSITORY_FOLDERS = new Set([".git", ".hg", ".svn", ".jj"]);

/** Judges a folder by its name and by the names beside it and in it. */
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

const LOCK_FILES = new Set([
  "package-lock.json",
  "npm-shrinkwrap.json",
  "yarn.lock",
  "pnpm-lock.yaml",
  "bun.lock",
  "bun.lockb",
  "deno.lock",
  "Cargo.lock",
  "Gemfile.lock",
  "Podfile.lock",
  "Package.resolved",
  "composer.lock",
  "poetry.lock",
  "pdm.lock",
  "uv.lock",
  "Pipfile.lock",
  "go.sum",
  "go.work.sum",
  "flake.lock",
  "mix.lock",
  "pubspec.lock",
  "packages.lock.json",
  "gradle.lockfile",
]);

export function judgeName(path: string): Finding | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (LOCK_FILES.has(name)) return { reason: "lockFile", detail: "a dependency lock file" };
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

/** A comment in the first lines that says a tool wrote the file. */
const GENERATED_LINES = [
  /@generated\b/,
  /\bcode generated\b.*\bdo not edit\b/i,
  /\b(?:file|code|source|module) (?:is|was|has been) (?:auto-?|automatically )generated\b/i,
  /^\W*(?:auto-?generated|automatically generated)\b(?: (?:file|code|by|from|with)\b|\W*$)/i,
  /\bgenerated by\b.*\bdo not (?:edit|modify|change)\b/i,
  /^\/\/ Jest Snapshot v\d/,
];
const COMMENT_START = /^\s*(?:\/\/|\/\*|\*|#|--|;|<!--|%|"""|'|REM\b|\(\*)/i;

const HEAD_LINES = 12;
const MINIFIED_LONGEST_LINE = 2_000;
const MINIFIED_MEAN_LINE = 400;

/** Generated or minified text. `text` is the file's bytes as latin1. */
export function judgeText(text: string): Finding | undefined {
  let at = 0;
  for (let line = 0; line < HEAD_LINES && at < text.length; line++) {
    const end = text.indexOf("\n", at);
    const one = text.slice(at, end < 0 ? Math.min(text.length, at + 400) : Math.min(end, at + 400));
    if (COMMENT_START.test(one) && GENERATED_LINES.some((pattern) => pattern.test(one.trim())))
      return { reason: "generated", detail: `line ${line + 1} says it is generated` };
    if (end < 0) break;
    at = end + 1;
  }
  let lines = 1;
  let longest = 0;
  for (let start = 0; ; lines++) {
    const end = text.indexOf("\n", start);
    longest = Math.max(longest, (end < 0 ? text.length : end) - start);
    if (end < 0) break;
    start = end + 1;
  }
  if (longest > MINIFIED_LONGEST_LINE && text.length / lines > MINIFIED_MEAN_LINE)
    return {
      reason: "minified",
      detail: `a line of ${longest} characters, ${Math.round(text.length / lines)} on average`,
    };
  return undefined;
}
