/**
 * Asks the sources about a workspace within one time budget and makes of the answers what the model and the
 * query engine need: a lexicon of names and a table of symbols. Partial results are results: the report
 * says per language who answered, for how many files, in what time, and why not more.
 */

import { join } from "node:path";
import { identityOf } from "../../model/facts/channels.ts";
import { FactLexicon } from "../../model/facts/lexicon.ts";
import type { NameEvidence } from "../../model/facts/lexicon.ts";
import { wordsOf } from "../../model/facts/words.ts";
import type { CorpusFile } from "../../model/bytes.ts";
import { silentLogger } from "../../model/logger.ts";
import type { Logger } from "../../model/logger.ts";
import { hasGrammar } from "./grammars.ts";
import { languageIdOf } from "./languageIds.ts";
import { findServer, LANGUAGE_SERVERS } from "./languageServers.ts";
import { createLspSource } from "./lspSource.ts";
import { SourceGone } from "./source.ts";
import type {
  EvidenceBudget,
  FactSource,
  FileEvidence,
  SourceFile,
  SymbolEntry,
  SymbolTable,
} from "./source.ts";
import { createTreeSitterSource } from "./treeSitterSource.ts";

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
  readonly onProgress?: (p: { done: number; total: number; languageId: string }) => void;
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
}

/** Languages with markup and data hold no names worth asking for. */
const MAX_FILE_BYTES = 1_000_000;
const MAX_DEFINITIONS_PER_FILE = 400;
/** A file may take this many times its even share of what is left, as the first ones load the project. */
const SHARE_FACTOR = 6;
const MIN_FILE_MS = 250;
/** Share of the budget that is kept for tree-sitter, which needs little. */
const FALLBACK_SHARE = 0.1;

type Answers = Map<string, { evidence: FileEvidence; source: string }>;

export async function collectFacts(o: CollectOptions): Promise<CollectedFacts> {
  const empty = { lexicon: new FactLexicon(), symbols: [], report: [] };
  if (o.sources === "off") return empty;
  const signal = o.signal ?? new AbortController().signal;
  const logger = o.logger ?? silentLogger;
  const deadline = performance.now() + o.budgetMs;
  const groups = byLanguage(o);
  const frequency = fileFrequency(groups);
  const priority = (name: string): number => frequency.get(name) ?? 0;
  const total = [...groups.values()].reduce((sum, files) => sum + files.length, 0);

  const answers: Answers = new Map();
  const report: LanguageReport[] = [];
  const fallback = createTreeSitterSource();
  let done = 0;
  let left = total;
  const servers = new Map<string, Promise<FactSource> | undefined>();
  try {
    for (const [languageId, files] of groups) {
      const start = performance.now();
      // Each language gets its files' share of the time that the ones before it have left.
      const share = ((deadline - start) * files.length) / Math.max(1, left);
      left -= files.length;
      const notes: string[] = [];
      const source = await openSource(o, languageId, servers, notes, logger);
      const step = (): void => o.onProgress?.({ done: ++done, total, languageId });
      const askAll = (who: FactSource, until: number, pending: readonly SourceFile[]) =>
        askFiles({ source: who, files: pending, until, priority, signal, answers, logger, step });
      if (source)
        notes.push(...(await askAll(source, start + share * (1 - FALLBACK_SHARE), files)));
      const unanswered = files.filter((file) => !answers.has(file.path));
      if (unanswered.length > 0 && hasGrammar(languageId)) {
        const until = Math.max(start + share, performance.now() + share * FALLBACK_SHARE);
        const said = await askAll(fallback, until, unanswered);
        notes.push(...said);
      }
      report.push(
        summary({ languageId, files, answers, ms: performance.now() - start, notes, signal }),
      );
    }
  } finally {
    const opened = [...new Set(servers.values())];
    await Promise.all(
      opened.map((server) =>
        server?.then(
          (source) => source.dispose(),
          () => undefined,
        ),
      ),
    );
    await fallback.dispose();
  }
  return { ...mergeAnswers(answers), report };
}

/** Files by language, largest group first, in an order that spreads over the folders: if time runs out,
 *  what was asked is a fair sample. */
function byLanguage(o: CollectOptions): Map<string, SourceFile[]> {
  const groups = new Map<string, SourceFile[]>();
  for (const { path, bytes } of o.files) {
    const languageId = languageIdOf(path);
    const known =
      hasGrammar(languageId) || LANGUAGE_SERVERS.some((s) => s.languages.includes(languageId));
    if (!known || bytes.length === 0 || bytes.length > MAX_FILE_BYTES) continue;
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

/** In how many files each name occurs: only what several files use is worth a question first. */
function fileFrequency(groups: ReadonlyMap<string, readonly SourceFile[]>): Map<string, number> {
  const frequency = new Map<string, number>();
  for (const files of groups.values())
    for (const file of files)
      for (const name of new Set(wordsOf(file.path, file.bytes).map((word) => word.name)))
        frequency.set(name, (frequency.get(name) ?? 0) + 1);
  return frequency;
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
    notes.push("no language server is installed");
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
    const limits = { initializeMs: Math.min(30_000, o.budgetMs / 2) };
    return createLspSource({ server, command, root: o.root, logger, limits });
  }
  return undefined;
}

/** Asks one source about files until its time is over. Returns what went wrong, for people. */
async function askFiles(o: {
  readonly source: FactSource;
  readonly files: readonly SourceFile[];
  readonly until: number;
  readonly priority: (name: string) => number;
  readonly signal: AbortSignal;
  readonly answers: Answers;
  readonly logger: Logger;
  readonly step: () => void;
}): Promise<string[]> {
  const { source, files, until, signal } = o;
  for (const [at, file] of files.entries()) {
    const left = until - performance.now();
    if (signal.aborted) return ["stopped"];
    if (left <= 0) return [`time was up after ${at} of ${files.length} files`];
    const share = Math.max(MIN_FILE_MS, (left * SHARE_FACTOR) / (files.length - at));
    const budget: EvidenceBudget = {
      deadline: performance.now() + Math.min(left, share),
      definitions: MAX_DEFINITIONS_PER_FILE,
      priority: o.priority,
    };
    try {
      const evidence = await source.evidence(file, budget, signal);
      if (evidence) o.answers.set(file.path, { evidence, source: source.name });
    } catch (error) {
      if (error instanceof SourceGone) {
        o.logger.warn(error.message, { file: file.path });
        return [error.message];
      }
      // One file that a source cannot stand is no reason to leave out the rest.
      o.logger.debug(`${source.name} failed on a file`, { file: file.path, error: String(error) });
    }
    o.step();
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

function mergeAnswers(answers: Answers): { lexicon: FactLexicon; symbols: SymbolTable } {
  const symbols: SymbolTable = [];
  /** Names that other files may see, by file. */
  const shared = new Map<string, Set<string>>();
  /** For names without a resolved definition: the one file that declares them, if it is one. */
  const declaredIn = new Map<string, string | undefined>();
  for (const path of [...answers.keys()].sort()) {
    const own = new Set<string>();
    shared.set(path, own);
    for (const symbol of answers.get(path)!.evidence.symbols) {
      symbols.push(symbol);
      if (symbol.local || own.has(symbol.name)) continue;
      own.add(symbol.name);
      declaredIn.set(symbol.name, declaredIn.has(symbol.name) ? undefined : path);
    }
  }
  const lexicon = new FactLexicon();
  for (const path of [...answers.keys()].sort()) {
    const { evidence, source } = answers.get(path)!;
    const items = evidence.identifiers.map((one): NameEvidence => {
      let place = one.definition;
      // Local names mean nothing elsewhere.
      if (place?.path === path && !shared.get(path)!.has(place.name)) place = undefined;
      else if (!place && source === "tree-sitter") {
        const only = declaredIn.get(one.name);
        if (only !== undefined) place = { path: only, name: one.name };
      }
      return {
        name: one.name,
        tokenType: one.tokenType,
        modifiers: one.modifiers,
        identity: place ? identityOf(place.path, place.name) : 0,
        count: one.count,
      };
    });
    lexicon.setFile(path, items);
  }
  return { lexicon, symbols };
}

export type { SymbolEntry, SymbolTable };
