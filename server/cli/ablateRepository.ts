/**
 * A repository for ablations: what is trained on, what the mixture is fitted on, and what is measured, which no training
 * sees. A folder with `workspace` and `heldout` in it is taken as told; of any other one a tenth of the files is kept
 * apart by a hash of their paths.
 */
import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { CorpusError } from "../../model/index.ts";
import type { CorpusFile, FactLexicon } from "../../model/index.ts";
import { pathHash, splitHeldout } from "../corpus/split.ts";
import { walkCorpus } from "../corpus/walk.ts";
import { collectFacts } from "../facts/collect.ts";

const MEASURED_SHARE = 0.1;
const FACTS_MS = 60_000;

export interface Repository {
  readonly name: string;
  readonly root: string;
  readonly train: readonly CorpusFile[];
  /** The workspace's own held-out files: the mixture and the weights of names are fitted on them. */
  readonly fitted: readonly CorpusFile[];
  readonly measured: readonly CorpusFile[];
}

/** `measuredBytes` bounds what is measured: whole files in the order of a hash of their paths. */
export async function openRepository(
  folder: string,
  o: { readonly measuredBytes: number; readonly signal: AbortSignal },
): Promise<Repository> {
  const given = resolve(folder);
  const isSplit = await isFolder(join(given, "workspace"), join(given, "heldout"));
  const root = isSplit ? join(given, "workspace") : given;
  const { files } = await walkCorpus({ root, signal: o.signal });
  let workspace = files;
  let apart: readonly CorpusFile[];
  if (isSplit) {
    const walk = { root: join(given, "heldout"), select: "everything", signal: o.signal } as const;
    apart = (await walkCorpus(walk)).files;
  } else {
    apart = files.filter((file) => measureHash(file.path) < MEASURED_SHARE);
    workspace = files.filter((file) => measureHash(file.path) >= MEASURED_SHARE);
  }
  if (workspace.length === 0 || apart.length === 0)
    throw new CorpusError(
      "NG_CORPUS_EMPTY",
      `${given} has ${workspace.length} files to train on and ${apart.length} to measure`,
      "name a folder with more source files, or one with workspace and heldout in it",
    );
  const measured: CorpusFile[] = [];
  let bytes = 0;
  for (const file of apart.toSorted((a, b) => measureHash(a.path) - measureHash(b.path))) {
    if (bytes >= o.measuredBytes) break;
    measured.push(file);
    bytes += file.bytes.length;
  }
  const { train, heldout } = splitHeldout(workspace);
  return { name: basename(given), root, train, fitted: heldout, measured };
}

/** What language servers, or tree-sitter where there is none, know of the trained files. */
export async function factsOf(
  repository: Repository,
  o: { readonly sources: "auto" | "off"; readonly signal: AbortSignal },
): Promise<FactLexicon> {
  const { train: files, root } = repository;
  return (await collectFacts({ files, root, budgetMs: FACTS_MS, ...o })).lexicon;
}

/** Apart from the hash that chooses what the mixture is fitted on. */
const measureHash = (path: string): number => pathHash(`measured ${path}`);

async function isFolder(...paths: readonly string[]): Promise<boolean> {
  const all = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  return all.every((one) => one?.isDirectory() === true);
}
