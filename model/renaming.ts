/**
 * Renaming of identifiers as augmentation: in a renamed window, some of the names that few files share get other
 * names, each the same one throughout the window, so that a name has to be read from where it was declared and not
 * remembered. New names come from the corpus and have the form of the old ones. Keywords, strings and comments stay.
 */
import type { CorpusFile } from "./bytes.ts";
import { wordsOf } from "./facts/words.ts";
import type { Random } from "./random.ts";

/** Names in a larger share of the files are the language's or a library's, not the workspace's own. */
const RARE_SHARE = 0.05;
const RARE_FILES = 2;
/** Share of a renamed window's names that change. */
const RENAMED_SHARE = 0.5;
const MAX_NAME_BYTES = 32;
/** Draws until a name is found that the window does not have. */
const DRAWS = 8;

/** Where the names of one file stand that may be renamed, in order. */
export interface NamePlaces {
  readonly starts: Uint32Array;
  readonly names: Uint32Array;
}

type Style = "snake" | "upper" | "pascal" | "camel" | "lower";

function styleOf(name: string): Style {
  if (/^[A-Z][A-Z0-9_]+$/.test(name)) return "upper";
  if (name.slice(1).includes("_")) return "snake";
  if (/^[A-Z]/.test(name)) return "pascal";
  return /[A-Z]/.test(name) ? "camel" : "lower";
}

export class Renamer {
  readonly #places: NamePlaces[];
  readonly #names: Uint8Array[] = [];
  /** Ids of the names that a name may become. */
  readonly #pools: (readonly number[])[] = [];

  constructor(files: readonly CorpusFile[]) {
    const words = files.map((f) => placesOf(f));
    const inFiles = new Map<string, number>();
    for (const file of words)
      for (const name of new Set(file.map((w) => w.name)))
        inFiles.set(name, (inFiles.get(name) ?? 0) + 1);
    const most = Math.max(RARE_FILES, files.length * RARE_SHARE);
    const ids = new Map<string, number>();
    const pools = new Map<Style, number[]>();
    const text = new TextEncoder();
    for (const [name, count] of inFiles) {
      const bytes = text.encode(name);
      if (count > most || bytes.length > MAX_NAME_BYTES) continue;
      const style = styleOf(name);
      if (!pools.has(style)) pools.set(style, []);
      const pool = pools.get(style)!;
      ids.set(name, this.#names.length);
      pool.push(this.#names.length);
      this.#names.push(bytes);
      this.#pools.push(pool);
    }
    this.#places = words.map((file) => {
      const kept = file.filter((w) => ids.has(w.name));
      return {
        starts: Uint32Array.from(kept, (w) => w.start),
        names: Uint32Array.from(kept, (w) => ids.get(w.name)!),
      };
    });
  }

  places(file: number): NamePlaces {
    return this.#places[file]!;
  }

  length(name: number): number {
    return this.#names[name]!.length;
  }

  /** What each name becomes in one window: a map without two names to one. */
  window(random: Random): (name: number) => Uint8Array {
    const becomes = new Map<number, number>();
    const taken = new Set<number>();
    return (name) => {
      let to = becomes.get(name);
      if (to === undefined) {
        to = name;
        // A name that another one took has to go.
        if (taken.has(name) || random.uniform() < RENAMED_SHARE)
          to = this.#draw(name, taken, random);
        becomes.set(name, to);
        taken.add(to);
      }
      return this.#names[to]!;
    };
  }

  #draw(name: number, taken: ReadonlySet<number>, random: Random): number {
    const pool = this.#pools[name]!;
    for (let i = 0; i < DRAWS; i++) {
      const to = pool[random.below(pool.length)]!;
      if (!taken.has(to)) return to;
    }
    for (const to of pool) if (!taken.has(to)) return to;
    return name;
  }
}

function placesOf(file: CorpusFile): { name: string; start: number }[] {
  const lines = [0];
  file.bytes.forEach((byte, t) => {
    if (byte === 10) lines.push(t + 1);
  });
  return wordsOf(file.path, file.bytes).map((w) => ({
    name: w.name,
    start: lines[w.line]! + w.column,
  }));
}
