/**
 * An identifier answered exactly: where it is defined, then where it is used, from the bytes themselves.
 * Whole words only. A dotted name (`Client.send`) means the member of that container; another spelling in
 * upper or lower case comes after the spelling that was typed.
 */
import type { Definition } from "./definitions.ts";
import { enclosing, lineAt, lineText } from "./textIndex.ts";
import type { IndexedFile, TextIndex } from "./textIndex.ts";
import { priorOf } from "./meaning.ts";

export interface ExactHit {
  readonly file: IndexedFile;
  readonly kind: "definition" | "reference" | "file";
  /** Zero-based; the end is inclusive. */
  readonly startLine: number;
  readonly endLine: number;
  /** Byte column of the name in its line. */
  readonly column: number;
  /** Higher is earlier within its kind. */
  readonly rank: number;
  readonly why: string;
}

const NAME = /^[\p{L}_$@#.][\p{L}\p{N}_$-]*(?:(?:\.|::|->|#|\/)[\p{L}\p{N}_$-]+)*(?:\(\))?$/u;

/** One word without spaces that can be a name; sentences are not. */
export function asIdentifier(query: string): string | undefined {
  const text = query.trim();
  return NAME.test(text) && text.length <= 120 ? text.replace(/\(\)$/, "") : undefined;
}

const KIND_RANK: Readonly<Record<string, number>> = {
  class: 10,
  interface: 10,
  struct: 10,
  type: 9.5,
  enum: 9.5,
  trait: 9.5,
  function: 9,
  component: 9,
  method: 8,
  constructor: 8,
  constant: 7,
  property: 5,
  field: 5,
  "enum member": 5,
  heading: 3,
  variable: 3,
  parameter: 2,
};

/** How many uses are read before ranking; a name used more often is not a question of place. */
const MAX_REFERENCES = 240;
const MAX_REFERENCES_PER_FILE = 12;

export function searchExact(
  index: TextIndex,
  query: string,
  o: { symbolsOf: (name: string) => readonly { file: IndexedFile; definition: Definition }[] },
): ExactHit[] {
  const name = asIdentifier(query);
  if (name === undefined) return [];
  const steps = name.split(/\.|::|->|#/).filter((step) => step !== "");
  const last = steps[steps.length - 1] ?? name;
  const container = steps.length > 1 ? steps[steps.length - 2] : undefined;

  const spellings = index.spellings(last.toLowerCase());
  const ordered = [last, ...spellings.filter((spelling) => spelling !== last)];
  const definitions: ExactHit[] = [];
  const references: ExactHit[] = [];
  for (const spelling of ordered) {
    const typed = spelling === last ? 0 : 1;
    const defined = new Set<string>();
    for (const { file, definition } of o.symbolsOf(spelling)) {
      const inside =
        container === undefined || definition.container?.split(".").at(-1) === container;
      defined.add(`${file.path}:${definition.line}`);
      if (!inside && container !== undefined && definition.container !== undefined) continue;
      definitions.push({
        file,
        kind: "definition",
        startLine: definition.line,
        endLine: definition.endLine,
        column: Math.max(0, columnOf(file, definition.line, spelling)),
        rank:
          100 +
          (KIND_RANK[definition.kind] ?? 6) * priorOf(file) -
          definition.indent / 4 -
          (definition.local === true ? 4 : 0) -
          typed * 3 +
          (container === undefined ? 0 : inside ? 20 : isNamedAfter(file.path, container) ? 15 : 0),
        why: `definition of ${definition.kind} ${
          definition.container === undefined ? "" : `${definition.container}.`
        }${spelling}${typed === 0 ? "" : ", spelled differently"}`,
      });
    }
    if (typed !== 0) continue;
    references.push(...findReferences(index, spelling, defined));
  }
  if (definitions.length === 0 && references.length === 0 && spellings.length > 0)
    for (const spelling of spellings)
      references.push(...findReferences(index, spelling, new Set()));

  const files = findFiles(index, name);
  definitions.sort(byRank);
  references.sort(byRank);
  return [...definitions, ...files, ...spreadOverFiles(references)];
}

/** Where languages have a file for a module: its name, or its folder's where it stands for that. */
function isNamedAfter(path: string, module: string): boolean {
  const [file = "", folder] = path.toLowerCase().split("/").reverse();
  const stem = file.replace(/\.[^.]*$/, "");
  const standsFor = /^(init|index|mod|lib|main|__init__)$/.test(stem) ? folder : stem;
  return standsFor === module.toLowerCase();
}

const byRank = (a: ExactHit, b: ExactHit): number =>
  b.rank - a.rank ||
  (a.file.path < b.file.path ? -1 : a.file.path > b.file.path ? 1 : a.startLine - b.startLine);

/** Whole-word occurrences, one per line, definitions left out. */
function findReferences(
  index: TextIndex,
  spelling: string,
  defined: ReadonlySet<string>,
): ExactHit[] {
  const hits: ExactHit[] = [];
  const needle = Buffer.from(spelling, "utf8");
  const plain = /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(spelling);
  const files = plain
    ? index.filesWith(needle.toString("latin1"))
    : index.files.filter((file) => file.alive);
  const ordered = files
    .map((file) => ({ file, prior: priorOf(file) }))
    .sort((a, b) => b.prior - a.prior);
  for (const { file, prior } of ordered) {
    if (hits.length >= MAX_REFERENCES) break;
    const { bytes } = file;
    const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const found: { line: number; column: number }[] = [];
    let at = haystack.indexOf(needle);
    for (; at >= 0; at = haystack.indexOf(needle, at + needle.length)) {
      if (isWordByte(bytes[at - 1]) || isWordByte(bytes[at + needle.length])) continue;
      const line = lineAt(file, at);
      if (found[found.length - 1]?.line === line || defined.has(`${file.path}:${line}`)) continue;
      if (found.length === MAX_REFERENCES_PER_FILE) break;
      found.push({ line, column: at - file.lineStarts[line]! });
    }
    const often =
      at >= 0
        ? `one of more than ${found.length} uses`
        : found.length === 1
          ? "the only use"
          : `one of ${found.length} uses`;
    for (const { line, column } of found) {
      const text = lineText(file, line).trim();
      const imported = isImport(file, line, text);
      const comment = /^(\/\/|\/\*|\*|#|--)/.test(text);
      const where = imported ? undefined : enclosing(file, line);
      hits.push({
        file,
        kind: "reference",
        startLine: line,
        endLine: line,
        column,
        rank: prior * 10 - (imported ? 4 : 0) - (comment ? 3 : 0) + found.length / 20,
        why:
          (imported ? "imported" : comment ? "named in a comment" : "used") +
          (where === undefined ? "" : ` in ${where.kind} ${where.name}`) +
          `, ${often} in this file`,
      });
    }
  }
  return hits;
}

const IMPORT = /^(?:import\b|from\b|export\s+(?:type\s+)?\{|use\b|#include\b|require\()/;
const IMPORT_OPENS =
  /^(?:from\b.*\bimport\s*\(|import\b.*\{|export\s+(?:type\s+)?\{|use\b.*\{)\s*$/;
const IMPORT_ITEM = /^(?:type\s+)?[\w$]+(?:\s+as\s+[\w$]+)?,?$/;
const MAX_IMPORT_LINES = 60;

/** An import, or one item of a bracket of imports that opened on a line above. */
function isImport(file: IndexedFile, line: number, text: string): boolean {
  if (IMPORT.test(text)) return true;
  if (!IMPORT_ITEM.test(text)) return false;
  for (let at = line - 1; at >= 0 && at > line - MAX_IMPORT_LINES; at--) {
    const above = lineText(file, at).trim();
    if (IMPORT_OPENS.test(above)) return true;
    if (!IMPORT_ITEM.test(above)) return false;
  }
  return false;
}

/** The best use of each file first, then the second of each… */
function spreadOverFiles(references: readonly ExactHit[]): ExactHit[] {
  const seen = new Map<IndexedFile, number>();
  return references
    .map((hit, order) => {
      const round = seen.get(hit.file) ?? 0;
      seen.set(hit.file, round + 1);
      return { hit, round, order };
    })
    .sort((a, b) => a.round - b.round || a.order - b.order)
    .map(({ hit }) => hit);
}

/** Files whose name or path end is what was typed, with or without the extension. */
function findFiles(index: TextIndex, name: string): ExactHit[] {
  const wanted = name.toLowerCase();
  const hits: ExactHit[] = [];
  for (const path of index.pathsNamed(wanted.slice(wanted.lastIndexOf("/") + 1))) {
    const lower = path.toLowerCase();
    const end = lower === wanted || lower.endsWith(`/${wanted}`);
    if (!end && wanted.includes("/")) continue;
    const file = index.file(path)!;
    hits.push({
      file,
      kind: "file",
      startLine: 0,
      endLine: 0,
      column: 0,
      rank: (end ? 20 : 10) + priorOf(file),
      why: "the file of this name",
    });
  }
  return hits.sort(byRank);
}

function isWordByte(byte: number | undefined): boolean {
  return (
    byte !== undefined &&
    ((byte >= 48 && byte <= 57) ||
      (byte >= 65 && byte <= 90) ||
      (byte >= 97 && byte <= 122) ||
      byte === 95 ||
      byte === 36 ||
      byte >= 128)
  );
}

function columnOf(file: IndexedFile, line: number, name: string): number {
  const start = file.lineStarts[line]!;
  const end = file.lineStarts[line + 1] ?? file.bytes.length;
  return Buffer.from(file.bytes.buffer, file.bytes.byteOffset + start, end - start).indexOf(name);
}
