/**
 * Asks the sources about a workspace within one time budget and makes of the answers what the model and the
 * query engine need: a lexicon of names and a table of symbols. Partial results are results: the report
 * says per language who answered, for how many files, in what time, and why not more.
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { identityOf } from "../../model/index.ts";
import { FactLexicon } from "../../model/index.ts";
import type { CorpusFile } from "../../model/index.ts";
import { silentLogger } from "../../model/index.ts";
import type { Logger } from "../../model/index.ts";
import { hasGrammar } from "./grammars.ts";
import { isCodeLanguage, languageIdOf } from "./languageIds.ts";
import { findServer, LANGUAGE_SERVERS } from "./languageServers.ts";
import { createLspSource } from "./lspSource.ts";
import { mergeAnswers } from "./mergeAnswers.ts";
import type { Answer, Answers } from "./mergeAnswers.ts";
import { SourceGone } from "./source.ts";
import type { EvidenceBudget, FactSource, SourceFile, SymbolTable } from "./source.ts";
import { createTreeSitterSource } from "./treeSitterSource.ts";
import { countFiles } from "./wishes.ts";
import type { Wishes } from "./wishes.ts";

export interface LanguageReport {
  readonly languageId: string;
  /** Who answered for most files: "typescript-language-server", "editor", "tree-sitter", "none". */
  readonly source: string;
  readonly files: number;
  /** Files that a source said something of. */
  readonly answered: number;
  readonly ms: number;
  readonly asked: number;
  readonly resolved: number;
  /** Why not more; empty when all went as it should. */
  readonly why: string;
}

export interface CollectedFacts {
  readonly lexicon: FactLexicon;
  readonly symbols: SymbolTable;
  readonly report: readonly LanguageReport[];
}

export type FactsCache = Map<string, Answer>;

export interface CollectOptions {
  readonly files: readonly CorpusFile[];
  /** Absolute path of the workspace. */
  readonly root: string;
  readonly budgetMs: number;
  readonly sources: "auto" | "off";
  /** Asked first for every language, instead of a spawned server; the editor, where there is one. */
  readonly editor?: FactSource;
  /** For tests: how the server for a language is made. Undefined: none is installed. */
  readonly createServer?: (languageId: string) => Promise<FactSource> | undefined;
  /** Answers of earlier calls, by path and content: what has not changed is not asked again. */
  readonly cache?: FactsCache;
  readonly onProgress?: (p: { done: number; total: number; languageId: string }) => void;
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
}

const MAX_FILE_BYTES = 1_000_000;
const MAX_DEFINITIONS_PER_FILE = 400;
/** A file may take this many times its even share of what is left. */
const SHARE_FACTOR = 3;
const MIN_FILE_MS = 250;
/** For a file's symbols and tokens, whatever its share. */
const PATIENCE_MS = 3000;
/** Share of what is left that a source may take for its first answer, as it loads the project then. */
const FIRST_ANSWER_SHARE = 0.5;
/** Time for a file before one has been asked about. */
const FIRST_GUESS_MS = 500;
/** Files that tree-sitter describes at first, to learn how much time to keep for it. */
const PROBED_FILES = 6;
/** Most that is kept for tree-sitter. */
const MAX_FALLBACK_SHARE = 0.5;

/** Definitions lie in other files, whose change does not show here; within a run that is near enough. */
const cacheKey = (file: SourceFile): string =>
  `${file.path} ${createHash("sha256").update(file.bytes).digest("base64")}`;

export async function collectFacts(o: CollectOptions): Promise<CollectedFacts> {
  const empty = { lexicon: new FactLexicon(), symbols: [], report: [] };
  if (o.sources === "off") return empty;
  const signal = o.signal ?? new AbortController().signal;
  const logger = o.logger ?? silentLogger;
  const deadline = performance.now() + o.budgetMs;
  const groups = byLanguage(o);
  const wishes = await countFiles(groups, deadline, signal);
  const total = [...groups.values()].reduce((sum, files) => sum + files.length, 0);

  const answers: Answers = new Map();
  const report: LanguageReport[] = [];
  const fallback = createTreeSitterSource();
  const done = new Set<string>();
  let left = total;
  const servers = new Map<string, Promise<FactSource> | undefined>();
  try {
    for (const [languageId, files] of groups) {
      const start = performance.now();
      // Each language gets its files' share of the time that the ones before it have left.
      const share = ((deadline - start) * files.length) / Math.max(1, left);
      left -= files.length;
      const notes: string[] = [];
      for (const file of files) {
        const known = o.cache?.get(cacheKey(file));
        if (!known) continue;
        answers.set(file.path, known);
        done.add(file.path);
      }
      const fresh = files.filter((file) => !answers.has(file.path));
      const source =
        fresh.length === 0 ? undefined : await openSource(o, languageId, servers, notes, logger);
      const step = (file: SourceFile): void => {
        done.add(file.path);
        o.onProgress?.({ done: done.size, total, languageId });
      };
      const askAll = (source: FactSource, pending: readonly SourceFile[], keepMs = 0) =>
        askFiles({ source, files: pending, until: start + share, keepMs, wishes, signal, answers, logger, step }); // prettier-ignore
      if (source) {
        const keepMs = hasGrammar(languageId) ? await probe(fresh, askAll, fallback) : 0;
        notes.push(...(await askAll(source, fresh, Math.min(keepMs, share * MAX_FALLBACK_SHARE))));
      }
      const unanswered = fresh.filter((file) => !answers.has(file.path));
      if (unanswered.length > 0 && hasGrammar(languageId))
        notes.push(...(await askAll(fallback, unanswered)));
      // Nobody can be asked about these; the share that is done counts them.
      else for (const file of unanswered) done.add(file.path);
      const standIns = fresh.filter((file) => answers.get(file.path)?.source === fallback.name);
      if (source && standIns.length > 0)
        notes.push(`tree-sitter stood in for ${standIns.length} files`);
      for (const file of fresh) {
        const answer = answers.get(file.path);
        if (answer) o.cache?.set(cacheKey(file), answer);
      }
      report.push(
        summary({ languageId, files, answers, ms: performance.now() - start, notes, signal }),
      );
    }
  } finally {
    const opened = [...new Set(servers.values())];
    await Promise.all(opened.map((server) => stop(server)));
    await fallback.dispose();
  }
  return { ...(await mergeAnswers(answers)), report };
}

/** Time that tree-sitter would need for all files, from its time for a few; these are answered then. */
async function probe(
  files: readonly SourceFile[],
  askAll: (source: FactSource, pending: readonly SourceFile[]) => Promise<unknown>,
  fallback: FactSource,
): Promise<number> {
  // The first file loads the grammar, so it does not count.
  await askAll(fallback, files.slice(0, 1));
  const start = performance.now();
  const probed = files.slice(1, PROBED_FILES);
  await askAll(fallback, probed);
  return ((performance.now() - start) / Math.max(1, probed.length)) * files.length;
}

async function stop(server: Promise<FactSource> | undefined): Promise<void> {
  const source = await server?.catch(() => undefined);
  await source?.dispose();
}

/** Files by language, largest group first, in an order that spreads over the folders: if time runs out,
 *  what was asked is a fair sample. */
function byLanguage(o: CollectOptions): Map<string, SourceFile[]> {
  const groups = new Map<string, SourceFile[]>();
  for (const { path, bytes } of o.files) {
    const languageId = languageIdOf(path);
    if (!isCodeLanguage(languageId) || bytes.length === 0 || bytes.length > MAX_FILE_BYTES)
      continue;
    const file: SourceFile = { path, absolutePath: join(o.root, path), bytes, languageId };
    const group = groups.get(languageId);
    if (group) group.push(file);
    else groups.set(languageId, [file]);
  }
  for (const files of groups.values()) {
    const order = new Map(files.map((file) => [file, identityOf(file.path, "")]));
    files.sort((a, b) => order.get(a)! - order.get(b)!);
  }
  return new Map([...groups].sort((a, b) => b[1].length - a[1].length));
}

/** The source for a language: the editor, else an installed server, one for all languages it serves. */
async function openSource(
  o: CollectOptions,
  languageId: string,
  servers: Map<string, Promise<FactSource> | undefined>,
  notes: string[],
  logger: Logger,
): Promise<FactSource | undefined> {
  if (o.editor) return o.editor;
  const table = LANGUAGE_SERVERS.filter((s) => s.languages.includes(languageId));
  const name = o.createServer ? languageId : (table[0]?.name ?? languageId);
  if (!servers.has(name)) servers.set(name, startServer(o, languageId, logger));
  const starting = servers.get(name);
  if (!starting) {
    notes.push(
      table.length > 0 || hasGrammar(languageId)
        ? "no language server is installed"
        : "neither a grammar nor a language server is known",
    );
    return undefined;
  }
  try {
    return await starting;
  } catch (error) {
    notes.push(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

function startServer(
  o: CollectOptions,
  languageId: string,
  logger: Logger,
): Promise<FactSource> | undefined {
  if (o.createServer) return o.createServer(languageId);
  for (const server of LANGUAGE_SERVERS) {
    if (!server.languages.includes(languageId)) continue;
    const command = findServer(server);
    if (!command) continue;
    const half = o.budgetMs / 2;
    const limits = { initializeMs: Math.min(30_000, half), loadMs: Math.min(60_000, half) };
    return createLspSource({ server, command, root: o.root, logger, limits });
  }
  return undefined;
}

interface AskFiles {
  readonly source: FactSource;
  readonly files: readonly SourceFile[];
  readonly until: number;
  /** Time to leave over if no file is answered; less as files are. */
  readonly keepMs: number;
  readonly wishes: Wishes;
  readonly signal: AbortSignal;
  readonly answers: Answers;
  readonly logger: Logger;
  readonly step: (file: SourceFile) => void;
}

/** Asks one source about files until its time is over. Returns what went wrong, for people. */
async function askFiles(o: AskFiles): Promise<string[]> {
  // Whoever stops the work does not wait for a request that is under way.
  const over = new AbortController();
  const stopped = new Promise<undefined>((resolve) => {
    o.signal.addEventListener("abort", () => resolve(undefined), { signal: over.signal });
  });
  try {
    return await askInTurn(o, stopped);
  } finally {
    over.abort();
  }
}

async function askInTurn(o: AskFiles, stopped: Promise<undefined>): Promise<string[]> {
  const { source, files, until, signal } = o;
  const start = performance.now();
  let hasAnswered = false;
  let prepared = 0;
  for (const [at, file] of files.entries()) {
    const pending = files.length - at;
    const left = until - performance.now() - (o.keepMs * pending) / files.length;
    if (signal.aborted) return ["stopped"];
    // With less than this, a question costs the server more than it brings.
    if (left <= (o.keepMs > 0 ? MIN_FILE_MS : 0))
      return [`time was up after ${at} of ${files.length} files`];
    const msPerFile = at === 0 ? FIRST_GUESS_MS : (performance.now() - start) / at;
    const share = hasAnswered
      ? Math.max(MIN_FILE_MS, (left * SHARE_FACTOR) / pending)
      : Math.max(MIN_FILE_MS, left * FIRST_ANSWER_SHARE);
    if (hasAnswered && source.batch !== undefined && at >= prepared) {
      prepared = at + source.batch;
      source.prepare?.(files.slice(at, prepared));
    }
    const now = performance.now();
    const budget: EvidenceBudget = {
      deadline: now + Math.min(left, share),
      patience: now + Math.min(left, PATIENCE_MS),
      definitions: MAX_DEFINITIONS_PER_FILE,
      ...o.wishes.forFile({ isAhead: msPerFile * pending < left / 2 }),
    };
    try {
      const asked = source.evidence(file, budget, signal);
      asked.catch(() => undefined);
      const evidence = await Promise.race([asked, stopped]);
      if (evidence) o.answers.set(file.path, { evidence, source: source.name });
      hasAnswered ||= evidence !== undefined;
    } catch (error) {
      if (error instanceof SourceGone) {
        o.logger.warn(error.message, { file: file.path });
        return [error.message];
      }
      // One file that a source cannot stand is no reason to leave out the rest.
      o.logger.debug(`${source.name} failed on a file`, { file: file.path, error: String(error) });
    }
    o.step(file);
  }
  return [];
}

function summary(o: {
  readonly languageId: string;
  readonly files: readonly SourceFile[];
  readonly answers: Answers;
  readonly ms: number;
  readonly notes: readonly string[];
  readonly signal: AbortSignal;
}): LanguageReport {
  const bySource = new Map<string, number>();
  let asked = 0;
  let resolved = 0;
  let answered = 0;
  for (const file of o.files) {
    const answer = o.answers.get(file.path);
    if (!answer) continue;
    answered++;
    asked += answer.evidence.asked;
    resolved += answer.evidence.resolved;
    bySource.set(answer.source, (bySource.get(answer.source) ?? 0) + 1);
  }
  const [most] = [...bySource].sort((a, b) => b[1] - a[1]);
  return {
    languageId: o.languageId,
    source: most?.[0] ?? "none",
    files: o.files.length,
    answered,
    ms: Math.round(o.ms),
    asked,
    resolved,
    why: o.notes.join("; "),
  };
}
