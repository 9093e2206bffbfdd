/**
 * Which paths the ignore files of a workspace leave out. Rules nest as in git: a deeper file overrules a
 * shallower one, and every .narrowgaugeignore overrules every .gitignore, so that `!path` there takes a path
 * back in. Layers are immutable: descending into a folder makes a new rule set, siblings do not see it.
 */
import { readFile, stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import ignore from "ignore";
import type { Ignore } from "ignore";

export const NARROW_IGNORE_FILE = ".narrowgaugeignore";

export interface IgnoreVerdict {
  /** What left the path out, in words for the user; undefined when the path stays. */
  readonly ignoredBy: string | undefined;
  /** A negative pattern of .narrowgaugeignore took the path back in. */
  readonly takenBack: boolean;
  /** …and that pattern names exactly this file, without wildcards. */
  readonly named: boolean;
}

interface Layer {
  readonly source: string;
  /** Folder of the ignore file, relative to the root; "" at or above the root. */
  readonly base: string;
  /** From the ignore file's folder down to the root, for files above the root. */
  readonly prefix: string;
  readonly rules: Ignore;
  readonly named: ReadonlySet<string>;
}

function makeLayer(o: { source: string; base: string; prefix: string; text: string }): Layer {
  const named = new Set<string>();
  for (const line of o.text.split(/\r?\n/)) {
    const name = line.trim().replace(/^!\/?/, "");
    if (line.trim().startsWith("!") && !/[*?[\]\\]|\/$/.test(name)) named.add(name);
  }
  // The library folds case by default; git does so only on case-insensitive file systems.
  const rules = ignore({ ignorecase: process.platform !== "linux" }).add(o.text);
  return { source: o.source, base: o.base, prefix: o.prefix, rules, named };
}

async function readRules(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, "utf8");
    return text.startsWith("\uFEFF") ? text.slice(1) : text;
  } catch {
    return undefined;
  }
}

/** Path as the layer's own folder sees it; undefined when the path is not below that folder. */
function seenFrom(layer: Layer, path: string): string | undefined {
  if (layer.base === "") return layer.prefix + path;
  return path.startsWith(`${layer.base}/`) ? path.slice(layer.base.length + 1) : undefined;
}

export class IgnoreRules {
  readonly #git: readonly Layer[];
  readonly #own: readonly Layer[];

  private constructor(git: readonly Layer[], own: readonly Layer[]) {
    this.#git = git;
    this.#own = own;
  }

  /** Rules in force at `root`: those of the enclosing git work tree, plus the patterns of the settings. */
  static async open(o: { root: string; exclude?: readonly string[] }): Promise<IgnoreRules> {
    const root = resolve(o.root);
    const above: Layer[] = [];
    const top = await gitTop(root);
    if (top !== undefined) {
      const info = await readRules(join(top, ".git", "info", "exclude"));
      const prefixFrom = (folder: string): string => {
        const below = relative(folder, root).split(sep).join("/");
        return below === "" ? "" : `${below}/`;
      };
      if (info !== undefined)
        above.push(
          makeLayer({
            source: ".git/info/exclude",
            base: "",
            prefix: prefixFrom(top),
            text: info,
          }),
        );
      const folders: string[] = [];
      for (let at = root; at !== top; at = dirname(at)) folders.unshift(dirname(at));
      for (const folder of folders) {
        const text = await readRules(join(folder, ".gitignore"));
        if (text !== undefined)
          above.push(
            makeLayer({ source: ".gitignore", base: "", prefix: prefixFrom(folder), text }),
          );
      }
    }
    // Somebody who names an ignored folder means it: then the rules above it have no say.
    const rootIgnored = above.some(
      (layer) => layer.prefix !== "" && layer.rules.test(layer.prefix).ignored,
    );
    const settings =
      o.exclude !== undefined && o.exclude.length > 0
        ? [
            makeLayer({
              source: "the setting narrowgauge.corpus.exclude",
              base: "",
              prefix: "",
              text: o.exclude.join("\n"),
            }),
          ]
        : [];
    return new IgnoreRules(rootIgnored ? [] : above, settings);
  }

  /** Adds the ignore files of one folder (`folder` relative to the root, "" for the root itself). */
  async descend(root: string, folder: string): Promise<IgnoreRules> {
    const [git, own] = await Promise.all([
      readRules(join(root, folder, ".gitignore")),
      readRules(join(root, folder, NARROW_IGNORE_FILE)),
    ]);
    if (git === undefined && own === undefined) return this;
    const add = (source: string, text: string | undefined): Layer[] =>
      text === undefined ? [] : [makeLayer({ source, base: folder, prefix: "", text })];
    return new IgnoreRules(
      [...this.#git, ...add(".gitignore", git)],
      [...this.#own, ...add(NARROW_IGNORE_FILE, own)],
    );
  }

  /** Judges one entry whose parent folder was not left out. */
  judge(path: string, kind: "file" | "folder"): IgnoreVerdict {
    let ignoredBy: string | undefined;
    let takenBack = false;
    let named = false;
    for (const layer of [...this.#git, ...this.#own]) {
      const seen = seenFrom(layer, path);
      if (seen === undefined) continue;
      const result = layer.rules.test(kind === "folder" ? `${seen}/` : seen);
      if (result.ignored) {
        // We stand inside the parent, so a stronger rule took it back: an inherited verdict is void.
        if (parentIgnored(layer, seen)) continue;
        ignoredBy = `${result.rule?.pattern ?? "a rule"} in ${layer.source}`;
        takenBack = false;
      } else if (result.unignored) {
        ignoredBy = undefined;
        takenBack = layer.source === NARROW_IGNORE_FILE;
        const base = seen.slice(seen.lastIndexOf("/") + 1);
        named = takenBack && (layer.named.has(seen) || layer.named.has(base));
      }
    }
    return { ignoredBy, takenBack, named };
  }
}

function parentIgnored(layer: Layer, seen: string): boolean {
  const cut = seen.lastIndexOf("/");
  return cut > 0 && layer.rules.test(`${seen.slice(0, cut)}/`).ignored;
}

/** The folder that holds `.git`, searching upwards from `root`. */
async function gitTop(root: string): Promise<string | undefined> {
  for (let at = root; ; at = dirname(at)) {
    try {
      await stat(join(at, ".git"));
      return at;
    } catch {
      if (dirname(at) === at) return undefined;
    }
  }
}
