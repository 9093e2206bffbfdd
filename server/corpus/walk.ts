/**
 * The files of a workspace that a model may learn from, as bytes, and every file left out with its reason.
 * A broken or unreadable file is a problem in the result, never an exception; only a missing root throws.
 * Bytes are kept as they are: invalid UTF-8, CRLF and byte order marks included; only UTF-16 and notebooks are read
 * as the text they stand for. Links are not followed.
 */
import { createHash } from "node:crypto";
import type { Dirent, Stats } from "node:fs";
import { open, readFile, readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { CorpusError, isDataFile } from "../../model/index.ts";
import type { CorpusFile } from "../../model/index.ts";
import {
  judgeBytes,
  judgeFolder,
  judgeFolderContent,
  judgeName,
  REPOSITORY_FOLDERS,
} from "./classify.ts";
import { IgnoreRules } from "./ignoreRules.ts";
import { isNotebook } from "./notebook.ts";
import { MAX_NOTEBOOK_KIB, readableText } from "./readable.ts";
import { secretByContent, secretByName } from "./secrets.ts";
import { judgeText } from "./writtenText.ts";

export const DEFAULT_MAX_FILE_KIB = 1024;
/** Beyond it, indices in memory would no longer fit beside an editor. */
export const DEFAULT_MAX_TOTAL_MIB = 64;

export const EXCLUSION_REASONS = [
  "ignored",
  "builtInFolder",
  "secret",
  "binary",
  "generated",
  "minified",
  "vendored",
  "lockFile",
  "tooLarge",
  "overTotal",
  "duplicate",
  "empty",
  "link",
  "notAFile",
  "unreadable",
] as const;
export type ExclusionReason = (typeof EXCLUSION_REASONS)[number];

export interface Excluded {
  /** Folders end in "/": what is inside was not looked at, its bytes are unknown and counted as 0. */
  readonly path: string;
  readonly reason: ExclusionReason;
  /** One phrase for the user. */
  readonly detail: string;
  readonly bytes: number;
}

export interface CorpusProblem {
  readonly path: string;
  readonly message: string;
}

export interface CorpusTotals {
  readonly files: number;
  readonly bytes: number;
  readonly excluded: Readonly<Record<ExclusionReason, { files: number; bytes: number }>>;
}

export interface CorpusWalk {
  /** In path order (code units). */
  readonly files: readonly CorpusFile[];
  /** Paths whose text is not what lies on disk: decoded, or a notebook's script. */
  readonly converted: ReadonlySet<string>;
  readonly excluded: readonly Excluded[];
  readonly totals: CorpusTotals;
  readonly problems: readonly CorpusProblem[];
}

export interface WalkOptions {
  readonly root: string;
  readonly maxFileKiB?: number;
  readonly maxTotalMiB?: number;
  /** Further patterns in .gitignore syntax (the setting narrowgauge.corpus.exclude). */
  readonly exclude?: readonly string[];
  /** "everything" keeps all readable text within the size cap: for scoring a given set of files. "dependencies" looks
   *  into build output and package folders too, whatever ignore files say, and judges files as for training. */
  readonly select?: "training" | "everything" | "dependencies";
  readonly signal?: AbortSignal;
}

interface Candidate {
  readonly path: string;
  readonly bytes: number;
  readonly takenBack: boolean;
  readonly named: boolean;
}

/** What is read of a file that is too large, to tell a picture from a text. */
const HEAD_BYTES = 65_536;

/** Data of more than this goes first where the whole is too large. */
const LARGE_DATA_BYTES = 16_384;

/** How many files are read at the same time. */
const READERS = 16;

const comparePaths = (a: { path: string }, b: { path: string }): number =>
  a.path < b.path ? -1 : a.path > b.path ? 1 : 0;

export async function walkCorpus(o: WalkOptions): Promise<CorpusWalk> {
  const root = await openRoot(o.root);
  const walk = new Walk(root, o);
  await walk.folder("", await walk.rootRules(), { takenBack: false });
  await walk.readAll();
  return walk.result();
}

/** Judges and reads one file, for a change on disk. Returns undefined when it no longer exists. */
export async function readCorpusFile(
  o: WalkOptions & { readonly path: string },
): Promise<{ file?: CorpusFile; excluded?: Excluded } | undefined> {
  const root = await openRoot(o.root);
  const walk = new Walk(root, o);
  const cut = o.path.lastIndexOf("/");
  const inside = await walk.descend(cut < 0 ? "" : o.path.slice(0, cut));
  if (inside === undefined) return { excluded: walk.result().excluded[0]! };
  const rules = await inside.rules.descend(root, inside.folder);
  let stats: Stats;
  try {
    stats = await stat(join(root, o.path));
  } catch {
    return undefined;
  }
  if (!stats.isFile()) return undefined;
  const { takenBack } = inside;
  const candidate = walk.judgeFile(o.path, { bytes: stats.size, rules, takenBack });
  if (candidate !== undefined) await walk.read(candidate);
  const { files, excluded } = walk.result();
  return files[0] !== undefined ? { file: files[0] } : { excluded: excluded[0]! };
}

/** Paths of the files below a folder that would be read; none where there is no such folder. */
export async function listCorpusFolder(
  o: WalkOptions & { readonly path: string },
): Promise<string[]> {
  const root = await openRoot(o.root);
  const isFolder = await stat(join(root, o.path)).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isFolder) return [];
  const walk = new Walk(root, o);
  const inside = await walk.descend(o.path);
  if (inside === undefined) return [];
  await walk.folder(o.path, inside.rules, inside);
  return walk.candidatePaths();
}

async function openRoot(root: string): Promise<string> {
  try {
    const real = await realpath(root);
    if (!(await stat(real)).isDirectory())
      throw new CorpusError(
        "NG_CORPUS_NOT_A_FOLDER",
        `${root} is a file, not a folder`,
        "name the folder that holds the files",
      );
    return real;
  } catch (error) {
    if (error instanceof CorpusError) throw error;
    throw new CorpusError(
      "NG_CORPUS_NO_FOLDER",
      `there is no folder ${root}`,
      "check the path; it is taken relative to the current folder",
      { cause: error },
    );
  }
}

async function readWhole(path: string): Promise<Uint8Array> {
  const buffer = await readFile(path);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

async function readHead(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

class Walk {
  readonly #root: string;
  readonly #o: WalkOptions;
  readonly #everything: boolean;
  readonly #dependencies: boolean;
  readonly #candidates: Candidate[] = [];
  readonly #files: CorpusFile[] = [];
  readonly #excluded: Excluded[] = [];
  readonly #problems: CorpusProblem[] = [];
  readonly #converted = new Set<string>();

  constructor(root: string, o: WalkOptions) {
    this.#root = root;
    this.#o = o;
    this.#everything = o.select === "everything";
    this.#dependencies = o.select === "dependencies";
  }

  rootRules(): Promise<IgnoreRules> {
    return IgnoreRules.open({
      root: this.#root,
      ...(this.#o.exclude === undefined ? {} : { exclude: this.#o.exclude }),
    });
  }

  async folder(
    folder: string,
    outerRules: IgnoreRules,
    inherited: { takenBack: boolean },
  ): Promise<void> {
    this.#o.signal?.throwIfAborted();
    let entries: Dirent[];
    try {
      entries = await readdir(join(this.#root, folder), { withFileTypes: true });
    } catch (error) {
      this.#unreadable(`${folder}/`, error);
      return;
    }
    const names = new Set(entries.map((entry) => entry.name));
    if (!this.judgeContent(folder, { names, takenBack: inherited.takenBack })) return;
    const rules =
      this.#everything || this.#dependencies
        ? outerRules
        : await outerRules.descend(this.#root, folder);
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    const pathOf = (entry: Dirent): string =>
      folder === "" ? entry.name : `${folder}/${entry.name}`;
    // All at once, for folders of thousands of files; an error is kept as the answer.
    const sizes = new Map(
      entries
        .filter((entry) => entry.isFile())
        .map((entry) => {
          const path = pathOf(entry);
          const size = stat(join(this.#root, path)).then(
            (stats) => stats.size,
            (error: Error) => error,
          );
          return [path, size] as const;
        }),
    );
    for (const entry of entries) {
      const path = pathOf(entry);
      if (entry.isSymbolicLink()) {
        this.#exclude(path, "link", "a link; links are not followed", 0);
      } else if (entry.isDirectory()) {
        const verdict = this.judgeFolder(path, { names, rules, takenBack: inherited.takenBack });
        if (verdict !== undefined) await this.folder(path, rules, verdict);
      } else if (entry.isFile()) {
        const bytes = await sizes.get(path)!;
        if (typeof bytes !== "number") {
          this.#unreadable(path, bytes);
          continue;
        }
        const candidate = this.judgeFile(path, { bytes, rules, takenBack: inherited.takenBack });
        if (candidate !== undefined) this.#candidates.push(candidate);
      } else {
        this.#exclude(path, "notAFile", "a device, pipe or socket", 0);
      }
    }
  }

  /** Goes down to a folder and judges each on the way: the rules above it. undefined: left out, and noted. */
  async descend(
    path: string,
  ): Promise<{ folder: string; rules: IgnoreRules; takenBack: boolean } | undefined> {
    let rules = await this.rootRules();
    let takenBack = false;
    let folder = "";
    const namesIn = async (inside: string): Promise<Set<string>> =>
      new Set(await readdir(join(this.#root, inside)).catch(() => [] as string[]));
    let names = await namesIn("");
    for (const step of path === "" ? [] : path.split("/")) {
      rules = await rules.descend(this.#root, folder);
      folder = folder === "" ? step : `${folder}/${step}`;
      const verdict = this.judgeFolder(folder, { names, rules, takenBack });
      if (verdict === undefined) return undefined;
      takenBack = verdict.takenBack;
      names = await namesIn(folder);
      if (!this.judgeContent(folder, { names, takenBack })) return undefined;
    }
    return { folder, rules, takenBack };
  }

  candidatePaths(): string[] {
    return this.#candidates.map((candidate) => candidate.path);
  }

  /** undefined: left out, and noted. */
  judgeFolder(
    path: string,
    o: { names: ReadonlySet<string>; rules: IgnoreRules; takenBack: boolean },
  ): { takenBack: boolean } | undefined {
    const name = path.slice(path.lastIndexOf("/") + 1);
    if ((this.#everything || this.#dependencies) && !REPOSITORY_FOLDERS.has(name))
      return { takenBack: this.#everything };
    const verdict = o.rules.judge(path, "folder");
    if (verdict.ignoredBy !== undefined) {
      this.#exclude(`${path}/`, "ignored", verdict.ignoredBy, 0);
      return undefined;
    }
    const takenBack = verdict.takenBack || o.takenBack;
    const found = judgeFolder({ name, siblings: o.names });
    if (found !== undefined && (!takenBack || REPOSITORY_FOLDERS.has(name))) {
      this.#exclude(`${path}/`, found.reason, found.detail, 0);
      return undefined;
    }
    return { takenBack };
  }

  /** False: left out by what lies in it, and noted. */
  judgeContent(folder: string, o: { names: ReadonlySet<string>; takenBack: boolean }): boolean {
    // The folder that somebody named is what they mean.
    if (folder === "" || o.takenBack || this.#everything || this.#dependencies) return true;
    const found = judgeFolderContent(o.names);
    if (found === undefined) return true;
    this.#exclude(`${folder}/`, found.reason, found.detail, 0);
    return false;
  }

  /** undefined: left out, and noted. */
  judgeFile(
    path: string,
    o: { bytes: number; rules: IgnoreRules; takenBack: boolean },
  ): Candidate | undefined {
    const out = (reason: ExclusionReason, detail: string): undefined => {
      this.#exclude(path, reason, detail, o.bytes);
    };
    const verdict =
      this.#everything || this.#dependencies
        ? { ignoredBy: undefined, takenBack: this.#everything, named: this.#everything }
        : o.rules.judge(path, "file");
    if (verdict.ignoredBy !== undefined) return out("ignored", verdict.ignoredBy);
    const takenBack = verdict.takenBack || o.takenBack;
    // A wildcard must not let a credential in; the file has to be named.
    const secret = verdict.named ? undefined : secretByName(path);
    if (secret !== undefined) return out("secret", `${secret} by its name`);
    const named = takenBack ? undefined : judgeName(path, o.bytes);
    if (named !== undefined) return out(named.reason, named.detail);
    if (o.bytes === 0) return out("empty", "no bytes");
    return { path, bytes: o.bytes, takenBack, named: verdict.named };
  }

  async readAll(): Promise<void> {
    this.#candidates.sort(comparePaths);
    let next = 0;
    const reader = async (): Promise<void> => {
      for (;;) {
        const candidate = this.#candidates[next++];
        if (candidate === undefined) return;
        this.#o.signal?.throwIfAborted();
        await this.read(candidate);
      }
    };
    await Promise.all(Array.from({ length: READERS }, reader));
    this.#files.sort(comparePaths);
    if (!this.#everything) this.#dropDuplicates();
    this.#capTotal();
  }

  async read(candidate: Candidate): Promise<void> {
    const { path } = candidate;
    const maxKiB = this.#o.maxFileKiB ?? DEFAULT_MAX_FILE_KIB;
    // What counts is the size of what is learned.
    const readKiB = isNotebook(path) ? Math.max(maxKiB, MAX_NOTEBOOK_KIB) : maxKiB;
    const isWhole = candidate.bytes <= readKiB * 1024;
    let raw: Uint8Array;
    try {
      raw = await (isWhole ? readWhole : readHead)(join(this.#root, path));
    } catch (error) {
      this.#unreadable(path, error);
      return;
    }
    const bytes = isWhole ? readableText(path, raw) : raw;
    const found = judgeBytes(bytes);
    if (found !== undefined) {
      this.#exclude(path, found.reason, found.detail, candidate.bytes);
      return;
    }
    const size = isWhole ? bytes.length : candidate.bytes;
    if (size > maxKiB * 1024) {
      const detail = `${kib(size)} KiB, the limit is ${kib(maxKiB * 1024)} KiB`;
      this.#exclude(path, "tooLarge", detail, size);
      return;
    }
    if (bytes.length === 0) {
      this.#exclude(path, "empty", "no text in it", 0);
      return;
    }
    if (!candidate.named) {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
      const secret = secretByContent(text);
      if (secret !== undefined) {
        this.#exclude(path, "secret", `contains ${secret}`, bytes.length);
        return;
      }
      const written = candidate.takenBack ? undefined : judgeText(text);
      if (written !== undefined) {
        this.#exclude(path, written.reason, written.detail, bytes.length);
        return;
      }
    }
    if (bytes !== raw) this.#converted.add(path);
    this.#files.push({ path, bytes });
  }

  result(): CorpusWalk {
    const excluded = Object.fromEntries(
      EXCLUSION_REASONS.map((reason) => [reason, { files: 0, bytes: 0 }]),
    ) as Record<ExclusionReason, { files: number; bytes: number }>;
    for (const one of this.#excluded) {
      excluded[one.reason].files++;
      excluded[one.reason].bytes += one.bytes;
    }
    return {
      files: this.#files,
      converted: this.#converted,
      excluded: [...this.#excluded].sort(comparePaths),
      totals: {
        files: this.#files.length,
        bytes: this.#files.reduce((sum, file) => sum + file.bytes.length, 0),
        excluded,
      },
      problems: [...this.#problems].sort(comparePaths),
    };
  }

  /** The first path of each content stays. */
  #dropDuplicates(): void {
    const seen = new Map<string, string>();
    const kept: CorpusFile[] = [];
    for (const file of this.#files) {
      const key = createHash("sha256").update(file.bytes).digest("base64");
      const first = seen.get(key);
      if (first === undefined) {
        seen.set(key, file.path);
        kept.push(file);
      } else {
        this.#exclude(file.path, "duplicate", `the same bytes as ${first}`, file.bytes.length);
      }
    }
    this.#files.splice(0, this.#files.length, ...kept);
  }

  /** The largest files go first, so that more of the workspace is heard; before any code, what is much data. */
  #capTotal(): void {
    const cap = (this.#o.maxTotalMiB ?? DEFAULT_MAX_TOTAL_MIB) * 2 ** 20;
    const total = this.#files.reduce((sum, file) => sum + file.bytes.length, 0);
    if (total <= cap) return;
    const ranked = this.#files.map((file) => ({
      file,
      isData: file.bytes.length > LARGE_DATA_BYTES && isDataFile(file.path),
    }));
    ranked.sort(
      (a, b) =>
        Number(a.isData) - Number(b.isData) ||
        a.file.bytes.length - b.file.bytes.length ||
        comparePaths(a.file, b.file),
    );
    const kept: CorpusFile[] = [];
    let used = 0;
    for (const { file } of ranked) {
      used += file.bytes.length;
      if (used <= cap) kept.push(file);
      else
        this.#exclude(
          file.path,
          "overTotal",
          `the corpus limit of ${cap / 2 ** 20} MiB is reached`,
          file.bytes.length,
        );
    }
    this.#files.splice(0, this.#files.length, ...kept.sort(comparePaths));
  }

  #exclude(path: string, reason: ExclusionReason, detail: string, bytes: number): void {
    this.#excluded.push({ path, reason, detail, bytes });
  }

  #unreadable(path: string, error: unknown): void {
    const code = (error as NodeJS.ErrnoException).code;
    const message =
      code === "EACCES" || code === "EPERM"
        ? "no permission to read it"
        : code === "ENOENT"
          ? // What cannot be decoded is written with a mark in its place.
            path.includes("\uFFFD")
            ? "its name is not valid UTF-8"
            : "it vanished while being read"
          : error instanceof Error
            ? error.message
            : String(error);
    this.#problems.push({ path, message });
    this.#exclude(path, "unreadable", message, 0);
  }
}

const kib = (bytes: number): string => Math.ceil(bytes / 1024).toLocaleString("en-US");
