/**
 * The inverted index behind both kinds of search: identifier → files, and term → chunks with weighted counts.
 * Files can be replaced and removed in place: their chunks die and are skipped, and the postings are
 * compacted when the dead outnumber the living. Text is handled as latin1, one character per byte, so that
 * offsets are byte offsets and invalid UTF-8 needs no special case.
 */
import type { CorpusFile } from "../../model/index.ts";
import { cutChunks } from "./chunks.ts";
import { findDefinitions, utf8 } from "./definitions.ts";
import type { Definition, SymbolEntry } from "./definitions.ts";
import { identifierTerms } from "./terms.ts";

export interface IndexedFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Byte offset of each line. */
  readonly lineStarts: Uint32Array;
  readonly definitions: readonly Definition[];
  readonly chunkIds: readonly number[];
  alive: boolean;
}

export interface IndexedChunk {
  readonly file: IndexedFile;
  /** Zero-based; the end is exclusive. */
  readonly startLine: number;
  readonly endLine: number;
  /** Sum of term weights, BM25's document length. */
  readonly length: number;
  readonly terms: Uint32Array;
  /** Mostly imports and re-exports: it names much and explains nothing. */
  readonly barrel: boolean;
  alive: boolean;
}

/** Term ids of one identifier, and the files it occurs in (indices into `files`, ascending). */
interface Identifier {
  readonly terms: readonly number[];
  readonly inFiles: number[];
}

/** How much more a term counts where it names something than where it is used. */
const DEFINED_NAME_WEIGHT = 3;
const FILE_NAME_WEIGHT = 2;
const FOLDER_NAME_WEIGHT = 0.5;

const IDENTIFIER = /[A-Za-z_$\x80-\xff][\w$\x80-\xff]*/g;
/** Longer runs are data, not names. */
const MAX_IDENTIFIER = 80;

export class TextIndex {
  readonly files: IndexedFile[] = [];
  readonly chunks: IndexedChunk[] = [];
  /** Per term: chunk id and weighted count, alternating. */
  readonly postings: number[][] = [];
  /** Living chunks that contain each term. */
  readonly chunkCounts: number[] = [];
  livingChunks = 0;
  totalLength = 0;
  readonly #byPath = new Map<string, number>();
  readonly #termIds = new Map<string, number>();
  readonly #identifiers = new Map<string, Identifier>();
  /** Lower case → the spellings that occur. */
  readonly #spellings = new Map<string, string[]>();
  /** File names in lower case, with and without extension and leading underscores → paths. */
  readonly #byFileName = new Map<string, Set<string>>();
  #counts = new Float64Array(1 << 15);

  termId(term: string): number | undefined {
    return this.#termIds.get(term);
  }

  file(path: string): IndexedFile | undefined {
    const at = this.#byPath.get(path);
    return at === undefined ? undefined : this.files[at];
  }

  paths(): string[] {
    return [...this.#byPath.keys()];
  }

  pathsNamed(fileName: string): readonly string[] {
    return [...(this.#byFileName.get(fileName.toLowerCase()) ?? [])];
  }

  spellings(lowerCase: string): readonly string[] {
    return this.#spellings.get(lowerCase) ?? [];
  }

  /** Files that contain the identifier as a whole word. */
  filesWith(identifier: string): IndexedFile[] {
    const known = this.#identifiers.get(identifier);
    return known === undefined
      ? []
      : known.inFiles.map((at) => this.files[at]!).filter((file) => file.alive);
  }

  remove(path: string): void {
    const at = this.#byPath.get(path);
    if (at === undefined) return;
    const file = this.files[at]!;
    this.#byPath.delete(path);
    for (const name of fileNames(path)) this.#byFileName.get(name)?.delete(path);
    file.alive = false;
    for (const chunkId of file.chunkIds) {
      const chunk = this.chunks[chunkId]!;
      chunk.alive = false;
      this.livingChunks--;
      this.totalLength -= chunk.length;
      for (const term of chunk.terms) this.chunkCounts[term]!--;
    }
  }

  /** True when most of the index is dead, so that building anew is cheaper than skipping. */
  get wasteful(): boolean {
    return this.chunks.length > 1_000 && this.livingChunks < this.chunks.length / 2;
  }

  add(source: CorpusFile, symbols: readonly SymbolEntry[] | undefined): void {
    this.remove(source.path);
    const { path, bytes } = source;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
    const lines = text.split("\n");
    const lineStarts = new Uint32Array(lines.length);
    for (let i = 1; i < lines.length; i++)
      lineStarts[i] = lineStarts[i - 1]! + lines[i - 1]!.length + 1;
    const definitions = findDefinitions(path, lines, symbols);
    const chunkIds: number[] = [];
    const file: IndexedFile = { path, bytes, lineStarts, definitions, chunkIds, alive: true };
    const fileIdx = this.files.length;
    this.files.push(file);
    this.#byPath.set(path, fileIdx);
    for (const name of fileNames(path)) {
      const same = this.#byFileName.get(name);
      if (same === undefined) this.#byFileName.set(name, new Set([path]));
      else same.add(path);
    }

    IDENTIFIER.lastIndex = 0;
    let token = IDENTIFIER.exec(text);
    let definitionIdx = 0;
    for (const cut of cutChunks(lines, definitions)) {
      const end = cut.endLine < lines.length ? lineStarts[cut.endLine]! : text.length;
      const touched: number[] = [];
      let length = 0;
      const count = (terms: readonly number[], weight: number): void => {
        for (const term of terms) {
          if (this.#counts[term] === 0) touched.push(term);
          this.#counts[term]! += weight;
          length += weight;
        }
      };
      for (; token !== null && token.index < end; token = IDENTIFIER.exec(text))
        if (token[0].length <= MAX_IDENTIFIER) count(this.#identifier(token[0], fileIdx).terms, 1);
      for (; definitionIdx < definitions.length; definitionIdx++) {
        const definition = definitions[definitionIdx]!;
        if (definition.line >= cut.endLine) break;
        const minor = definition.kind === "variable" || definition.kind === "parameter";
        if (!minor && definition.local !== true)
          count(this.#terms(definition.name), DEFINED_NAME_WEIGHT);
      }
      const steps = path.split("/");
      const name = steps.pop()!;
      count(this.#terms(name.replace(/\.[^.]*$/, "")), FILE_NAME_WEIGHT);
      for (const step of steps) count(this.#terms(step), FOLDER_NAME_WEIGHT);

      const chunkId = this.chunks.length;
      for (const term of touched) {
        this.postings[term]!.push(chunkId, this.#counts[term]!);
        this.chunkCounts[term]!++;
        this.#counts[term] = 0;
      }
      this.chunks.push({
        file,
        startLine: cut.startLine,
        endLine: cut.endLine,
        length,
        terms: Uint32Array.from(touched),
        barrel: isBarrel(lines.slice(cut.startLine, cut.endLine)),
        alive: true,
      });
      chunkIds.push(chunkId);
      this.livingChunks++;
      this.totalLength += length;
    }
  }

  #identifier(identifier: string, fileIdx: number): Identifier {
    let known = this.#identifiers.get(identifier);
    if (known === undefined) {
      const name = utf8(identifier);
      known = { terms: this.#terms(name), inFiles: [] };
      this.#identifiers.set(identifier, known);
      // Bytes have no upper and lower case, characters have.
      const lower = name.toLowerCase();
      const spellings = this.#spellings.get(lower);
      if (spellings === undefined) this.#spellings.set(lower, [name]);
      else spellings.push(name);
    }
    const { inFiles } = known;
    if (inFiles[inFiles.length - 1] !== fileIdx) inFiles.push(fileIdx);
    return known;
  }

  #terms(name: string): number[] {
    const ids: number[] = [];
    for (const term of identifierTerms(name)) {
      let id = this.#termIds.get(term);
      if (id === undefined) {
        id = this.postings.length;
        this.#termIds.set(term, id);
        this.postings.push([]);
        this.chunkCounts.push(0);
        if (id >= this.#counts.length) {
          const grown = new Float64Array(this.#counts.length * 2);
          grown.set(this.#counts);
          this.#counts = grown;
        }
      }
      ids.push(id);
    }
    return ids;
  }
}

const RE_EXPORT =
  /^\s*(?:import\b|from\b|export\s+(?:\*|\{|type\s+\{).*\bfrom\b|use\b|#include\b|using\b)/;

/** Names inside a bracket of imports over many lines count as imports too. */
function isBarrel(lines: readonly string[]): boolean {
  let code = 0;
  let imports = 0;
  let open = false;
  for (const line of lines) {
    if (line.trim() === "") continue;
    code++;
    if (open || RE_EXPORT.test(line)) {
      imports++;
      open = open ? !/[})\]]/.test(line) : /[({]\s*$/.test(line);
    } else if (/^export (?:type )?\{\s*$/.test(line)) {
      imports++;
      open = true;
    }
  }
  return code > 0 && imports / code > 0.7;
}

/** "src/_Models.py" → "_models.py", "_models", "models". */
function fileNames(path: string): Set<string> {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  const stem = name.replace(/\.[^.]*$/, "");
  return new Set([name, stem, stem.replace(/^_+/, "")]);
}

/** The bytes of lines [start, end) of a file. */
export function bytesOfLines(file: IndexedFile, start: number, end: number): Uint8Array {
  const from = file.lineStarts[start] ?? file.bytes.length;
  return file.bytes.subarray(from, file.lineStarts[end] ?? file.bytes.length);
}

export function lineText(file: IndexedFile, line: number): string {
  const bytes = bytesOfLines(file, line, line + 1);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}

/** The line that holds a byte offset, by bisection. */
export function lineAt(file: IndexedFile, offset: number): number {
  let low = 0;
  let high = file.lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (file.lineStarts[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The innermost definition whose body holds the line; undefined at the top level of the file. */
export function enclosing(file: IndexedFile, line: number): Definition | undefined {
  let best: Definition | undefined;
  for (const definition of file.definitions) {
    if (definition.line > line) break;
    if (definition.endLine < line || definition.endLine === definition.line) continue;
    if (definition.kind === "variable" || definition.kind === "constant") continue;
    best = definition;
  }
  return best;
}
