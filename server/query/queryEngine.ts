/**
 * Answers "where is it?" for one corpus: names exactly, sentences by meaning, each answer with its reason.
 * Indexing happens in slices between other work of the process, and a query waits for it; files can be
 * replaced and removed at any time. An aborted query answers with an empty list, it does not throw.
 */
import type { CorpusFile } from "../../model/index.ts";
import type { Definition, SymbolEntry } from "./definitions.ts";
import { asIdentifier, searchExact } from "./exact.ts";
import type { ExactHit } from "./exact.ts";
import { searchMeaning } from "./meaning.ts";
import { ModelRanker } from "./rank.ts";
import type { Embed, FusedHit } from "./rank.ts";
import { enclosing, lineText, TextIndex } from "./textIndex.ts";
import type { IndexedFile } from "./textIndex.ts";

export type { SymbolEntry } from "./definitions.ts";
export { canRank } from "./rank.ts";
export type { Embed } from "./rank.ts";

export interface QueryAnswer {
  readonly path: string;
  /** One-based, both inclusive. */
  readonly startLine: number;
  readonly endLine: number;
  /** UTF-16 columns, zero-based; equal when the place is a whole range of lines. */
  readonly startCharacter: number;
  readonly endCharacter: number;
  /** In (0, 1], falling along the list. */
  readonly score: number;
  readonly why: string;
  readonly kind: "definition" | "reference" | "symbol" | "text" | "meaning";
  /** The most telling line, trimmed. */
  readonly preview: string;
}

export interface QueryOptions {
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

export interface QueryEngine {
  query(text: string, o?: QueryOptions): Promise<QueryAnswer[]>;
  /** Symbols of the path are dropped when its bytes change; `setSymbols` gives new ones. */
  setFile(path: string, bytes: Uint8Array): void;
  /** …or all files below a folder. */
  removeFile(path: string): void;
  /** Replaces what language servers say about one file. */
  setSymbols(path: string, symbols: readonly SymbolEntry[]): void;
  /** Resolves when everything given so far is indexed. */
  ready(): Promise<void>;
  readonly size: { readonly files: number; readonly chunks: number };
}

export interface QueryEngineOptions {
  readonly files: readonly CorpusFile[];
  readonly symbols?: readonly SymbolEntry[];
  readonly embed?: Embed;
  /** How long a query waits for the model. */
  readonly embedBudgetMs?: number;
}

const DEFAULT_LIMIT = 10;
const DEFAULT_EMBED_BUDGET_MS = 300;
/** Answers by meaning that are ranked, even when fewer are asked for. */
const RANKED = 30;
/** Time between two turns of the event loop while indexing. */
const SLICE_MS = 12;

export function createQueryEngine(o: QueryEngineOptions): QueryEngine {
  return new Engine(o);
}

class Engine implements QueryEngine {
  #index = new TextIndex();
  readonly #ranker: ModelRanker | undefined;
  readonly #symbols = new Map<string, SymbolEntry[]>();
  /** What is to be indexed: bytes, or null for a removal. The last word on a path counts. */
  readonly #pending = new Map<string, Uint8Array | null>();
  #indexing: Promise<void> | undefined;
  #byName: Map<string, { file: IndexedFile; definition: Definition }[]> | undefined;

  constructor(o: QueryEngineOptions) {
    const budgetMs = o.embedBudgetMs ?? DEFAULT_EMBED_BUDGET_MS;
    this.#ranker =
      o.embed === undefined ? undefined : new ModelRanker({ embed: o.embed, budgetMs });
    for (const symbol of o.symbols ?? []) {
      const ofFile = this.#symbols.get(symbol.path);
      if (ofFile === undefined) this.#symbols.set(symbol.path, [symbol]);
      else ofFile.push(symbol);
    }
    for (const file of o.files) this.#pending.set(file.path, file.bytes);
  }

  get size(): { files: number; chunks: number } {
    return { files: this.#index.paths().length, chunks: this.#index.livingChunks };
  }

  setFile(path: string, bytes: Uint8Array): void {
    const old = this.#pending.get(path) ?? this.#index.file(path)?.bytes;
    // What language servers said about the old text may point at other lines now.
    if (old != null && Buffer.compare(old, bytes) !== 0) this.#symbols.delete(path);
    this.#pending.set(path, bytes);
  }

  removeFile(path: string): void {
    const isFile = this.#pending.has(path) || this.#index.file(path) !== undefined;
    for (const one of isFile ? [path] : this.#filesBelow(path)) {
      this.#symbols.delete(one);
      this.#pending.set(one, null);
    }
  }

  #filesBelow(folder: string): string[] {
    const known = new Set([...this.#index.paths(), ...this.#pending.keys()]);
    return [...known].filter((path) => path.startsWith(`${folder}/`));
  }

  setSymbols(path: string, symbols: readonly SymbolEntry[]): void {
    this.#symbols.set(path, [...symbols]);
    const bytes = this.#pending.get(path) ?? this.#index.file(path)?.bytes;
    if (bytes !== undefined) this.#pending.set(path, bytes);
  }

  async ready(): Promise<void> {
    while (this.#pending.size > 0 || this.#indexing !== undefined) {
      this.#indexing ??= this.#indexPending().finally(() => (this.#indexing = undefined));
      await this.#indexing;
    }
  }

  async #indexPending(): Promise<void> {
    let sliceStart = performance.now();
    for (;;) {
      const next = this.#pending.entries().next();
      if (next.done === true) break;
      const [path, bytes] = next.value;
      this.#pending.delete(path);
      if (bytes === null) this.#index.remove(path);
      else this.#index.add({ path, bytes }, this.#symbols.get(path));
      if (performance.now() - sliceStart > SLICE_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        sliceStart = performance.now();
      }
    }
    if (this.#index.wasteful) this.#rebuild();
    this.#byName = undefined;
    this.#definitionsNamed("");
  }

  /** Starts a fresh index from the living files, when too much of the old one is dead. */
  #rebuild(): void {
    const fresh = new TextIndex();
    for (const file of this.#index.files)
      if (file.alive) fresh.add(file, this.#symbols.get(file.path));
    this.#index = fresh;
    this.#ranker?.forget();
  }

  #definitionsNamed(name: string): readonly { file: IndexedFile; definition: Definition }[] {
    if (this.#byName === undefined) {
      this.#byName = new Map();
      for (const file of this.#index.files) {
        if (!file.alive) continue;
        for (const definition of file.definitions) {
          const same = this.#byName.get(definition.name);
          if (same === undefined) this.#byName.set(definition.name, [{ file, definition }]);
          else same.push({ file, definition });
        }
      }
    }
    return this.#byName.get(name) ?? [];
  }

  async query(text: string, o: QueryOptions = {}): Promise<QueryAnswer[]> {
    const limit = Math.max(1, o.limit ?? DEFAULT_LIMIT);
    const question = text.trim();
    await this.ready();
    if (question === "" || cancelled(o.signal)) return [];
    const exact = this.#exact(question, limit);
    if (exact.length >= limit) return scored(exact.slice(0, limit));

    const { hits } = searchMeaning(this.#index, question, {
      limit: Math.max(limit, RANKED),
    });
    // A bare name has been answered; the model is for sentences.
    const ranker = asIdentifier(question) === undefined ? this.#ranker : undefined;
    const fused: readonly FusedHit[] =
      ranker === undefined
        ? hits.map((hit) => ({ ...hit, similarity: undefined }))
        : await ranker.fuse(hits, question, o.signal);
    if (cancelled(o.signal)) return [];
    const answers = [...exact];
    for (const hit of fused) {
      if (answers.length >= limit) break;
      const answer = meaningAnswer(hit);
      if (!answers.some((other) => covers(other, answer))) answers.push(answer);
    }
    return scored(answers);
  }

  /** Exact answers: for a bare name everything, in a sentence the definitions of names written as code. */
  #exact(question: string, limit: number): QueryAnswer[] {
    const o = { symbolsOf: (name: string) => this.#definitionsNamed(name) };
    if (asIdentifier(question) !== undefined) {
      const hits = searchExact(this.#index, question, o);
      const definitions = hits.filter((hit) => hit.kind !== "reference");
      const references = hits.filter((hit) => hit.kind === "reference");
      // Many definitions must not hide that it is used, nor uses that it is defined.
      const room = references.length > 0 ? Math.max(1, limit - 2) : limit;
      const first = definitions.slice(0, room);
      return [...first, ...references.slice(0, limit - first.length)].map(exactAnswer);
    }
    const answers: QueryAnswer[] = [];
    for (const word of question.split(/[\s,;?!"'`]+/)) {
      if (!/[a-z0-9][A-Z]|[A-Za-z0-9]_[A-Za-z0-9]|\w\.\w|::|\(\)$/.test(word)) continue;
      const hits = searchExact(this.#index, word.replace(/[.:]$/, ""), o);
      answers.push(
        ...hits
          .filter((hit) => hit.kind !== "reference")
          .slice(0, 2)
          .map(exactAnswer),
      );
    }
    return answers.slice(0, Math.max(1, limit >> 1));
  }
}

// A function, since the checker takes an aborted signal to stay as it was across an await.
const cancelled = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

function exactAnswer(hit: ExactHit): QueryAnswer {
  const line = lineText(hit.file, hit.startLine);
  const start = Buffer.from(line, "utf8").subarray(0, hit.column).toString("utf8").length;
  return {
    path: hit.file.path,
    startLine: hit.startLine + 1,
    endLine: hit.endLine + 1,
    startCharacter: start,
    endCharacter: start,
    score: 1,
    why: hit.why,
    kind: hit.kind === "file" ? "text" : hit.kind,
    preview: line.trim().slice(0, 200),
  };
}

function meaningAnswer(hit: FusedHit): QueryAnswer {
  const { file, startLine, endLine } = hit.chunk;
  const named = namedBy(hit);
  const words = hit.words.map((word) => `“${word}”`).join(", ");
  const top = startLine === 0 && (named === undefined || isSmall(named));
  const where = top
    ? " at the top of the file"
    : named === undefined
      ? ""
      : ` in ${named.kind} ${named.container === undefined ? "" : `${named.container}.`}${named.name}`;
  const model =
    hit.similarity === undefined
      ? ""
      : `, the model finds it ${Math.round(Math.max(0, hit.similarity) * 100)} % alike`;
  return {
    path: file.path,
    startLine: startLine + 1,
    endLine,
    startCharacter: 0,
    endCharacter: 0,
    score: hit.score,
    why: `${words === "" ? "related words" : words}${where}${model}`,
    kind: "meaning",
    preview: lineText(file, named !== undefined && named.line >= startLine ? named.line : startLine)
      .trim()
      .slice(0, 200),
  };
}

const isSmall = (one: Definition): boolean => one.kind === "constant" || one.kind === "variable";

/** The definition that tells best what a chunk is: one in it with a body, else the one around it. */
function namedBy({ chunk }: FusedHit): Definition | undefined {
  const { file, startLine, endLine } = chunk;
  const inside = file.definitions.filter((one) => one.line >= startLine && one.line < endLine);
  const outermost = Math.min(...inside.map((one) => one.indent));
  const around = enclosing(file, startLine);
  return (
    inside.find((one) => !isSmall(one) && one.indent === outermost) ??
    inside.find((one) => one.indent === 0) ??
    around ??
    inside.find((one) => !isSmall(one)) ??
    inside[0]
  );
}

function covers(a: QueryAnswer, b: QueryAnswer): boolean {
  return (
    a.path === b.path &&
    a.kind === "definition" &&
    a.startLine >= b.startLine &&
    a.startLine <= b.endLine
  );
}

/** Scores that fall along the list: exact answers near 1, meaning below by its share of the best. */
function scored(answers: readonly QueryAnswer[]): QueryAnswer[] {
  const meaning = answers.filter((answer) => answer.kind === "meaning").map((one) => one.score);
  const best = Math.max(...meaning, 1e-9);
  let below = 1;
  return answers.map((answer, at) => {
    const own = answer.kind === "meaning" ? (0.7 * answer.score) / best : 1 - at / 100;
    below = Math.min(below, Math.max(own, 0.01));
    return { ...answer, score: Math.round(below * 1e4) / 1e4 };
  });
}
