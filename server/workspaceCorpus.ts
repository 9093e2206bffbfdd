/**
 * The workspace as the language server sees it: what training would read and what is left out, the files written
 * down for the model host, and single files as they change. A file that becomes excluded is reported as removed,
 * so that the model's memory forgets it.
 */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CorpusError, type CorpusFile } from "../model/index.ts";
import { splitHeldout } from "./corpus/split.ts";
import {
  listCorpusFolder,
  readCorpusFile,
  walkCorpus,
  type CorpusWalk,
  type WalkOptions,
} from "./corpus/walk.ts";
import type { CorpusPreview } from "./protocol.ts";
import type { Settings } from "./settings.ts";

/** The words a person reads for each reason. */
const REASONS: Readonly<Record<string, string>> = {
  ignored: "ignored by .gitignore, .narrowgaugeignore or your settings",
  builtInFolder: "folders of packages, build output and repositories",
  secret: "secrets: keys, passwords, tokens",
  binary: "not text",
  generated: "generated",
  minified: "minified",
  vendored: "copies of other people's code",
  lockFile: "lock files",
  tooLarge: "too large",
  overTotal: "beyond the size limit of the whole",
  duplicate: "the same content as another file",
  empty: "empty",
  link: "links",
  notAFile: "not regular files",
  unreadable: "not readable",
};

/** Entry of the file list the host reads; bytes stay on disk, those of converted texts in a folder beside the list. */
export interface ManifestEntry {
  readonly path: string;
  readonly absolute: string;
  readonly heldout: boolean;
}

export class WorkspaceCorpus {
  readonly root: string;
  private readonly settings: () => Promise<Settings>;
  private newest: CorpusWalk | undefined;

  constructor(root: string, settings: () => Promise<Settings>) {
    this.root = root;
    this.settings = settings;
  }

  async walk(signal?: AbortSignal): Promise<CorpusWalk> {
    const options = await this.options();
    this.newest = await walkCorpus(signal === undefined ? options : { ...options, signal });
    return this.newest;
  }

  async preview(): Promise<CorpusPreview> {
    const { totals } = await this.walk();
    const leftOut = Object.entries(totals.excluded)
      .filter(([, count]) => count.files > 0)
      .map(([reason, count]) => ({
        reason: REASONS[reason] ?? reason,
        files: count.files,
        sizeBytes: count.bytes,
      }))
      .sort((a, b) => b.files - a.files);
    return { root: this.root, files: totals.files, sizeBytes: totals.bytes, leftOut };
  }

  /** Everything read and everything left out, as a text a person can search. */
  async listing(): Promise<string> {
    const { files, excluded, totals, problems } = this.newest ?? (await this.walk());
    const lines = [
      `Narrowgauge: what training on ${this.root} reads, and what it leaves out`,
      "",
      `Read: ${totals.files} files, ${totals.bytes} bytes`,
      ...files.map((file) => `  ${file.path}  (${file.bytes.length} bytes)`),
      "",
      `Left out: ${excluded.length}`,
      ...excluded.map(
        (one) => `  ${one.path}  — ${REASONS[one.reason] ?? one.reason}: ${one.detail}`,
      ),
    ];
    if (problems.length > 0)
      lines.push("", "Problems:", ...problems.map((one) => `  ${one.path}  — ${one.message}`));
    return lines.join("\n") + "\n";
  }

  /** Writes the list of files for the host and returns its path with the files. */
  async writeManifest(
    folder: string,
    signal: AbortSignal,
  ): Promise<{ readonly manifest: string; readonly files: readonly CorpusFile[] }> {
    const { files, excluded, converted } = await this.walk(signal);
    if (files.length === 0)
      throw new CorpusError(
        "NG_CORPUS_EMPTY",
        excluded.length === 0
          ? "the workspace has no files"
          : `the workspace has no files to learn from; ${excluded.length} were left out`,
        "the list of files left out, with reasons, opens from the training dialog",
      );
    const { heldout } = splitHeldout(files);
    const held = new Set(heldout.map((file) => file.path));
    const texts = join(folder, "texts");
    await rm(texts, { recursive: true, force: true });
    await mkdir(converted.size === 0 ? folder : texts, { recursive: true });
    const entries: ManifestEntry[] = [];
    for (const [at, { path, bytes }] of files.entries()) {
      const absolute = converted.has(path) ? join(texts, `${at}.txt`) : join(this.root, path);
      if (converted.has(path)) await writeFile(absolute, bytes);
      entries.push({ path, absolute, heldout: held.has(path) });
    }
    const manifest = join(folder, "files.json");
    await writeFile(`${manifest}.new`, JSON.stringify({ root: this.root, files: entries }));
    await rename(`${manifest}.new`, manifest);
    return { manifest, files };
  }

  /** The file as training would read it now; undefined when it is gone or left out. */
  async file(path: string): Promise<CorpusFile | undefined> {
    const found = await readCorpusFile({ ...(await this.options()), path });
    return found?.file;
  }

  /** Paths below a folder that training would look at now. */
  async inside(folder: string): Promise<string[]> {
    return listCorpusFolder({ ...(await this.options()), path: folder });
  }

  private async options(): Promise<WalkOptions> {
    const settings = await this.settings();
    return {
      root: this.root,
      maxFileKiB: settings["corpus.maxFileKiB"],
      exclude: settings["corpus.exclude"],
    };
  }
}
