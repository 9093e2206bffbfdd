/**
 * Where names are defined: from language servers' symbols where there are some, else from the shape of the
 * line. The fallback knows the common keywords of many languages; it is for ranking and for the first
 * answer, never for editing, so a rare wrong guess costs a place in a list.
 */

import { definitionByShape, shapesOf } from "./languageDefinitions.ts";

/** One symbol as language servers tell it; lines and characters are zero-based. */
export interface SymbolEntry {
  readonly name: string;
  readonly kind: string | number;
  readonly container?: string | undefined;
  readonly path: string;
  readonly startLine: number;
  readonly startCharacter: number;
  readonly endLine: number;
  /** Inside a function: not to be seen from other files. */
  readonly local?: true;
}

export interface Definition {
  readonly name: string;
  /** A word for the user: "class", "function", "constant". */
  readonly kind: string;
  readonly container: string | undefined;
  /** Zero-based. */
  readonly line: number;
  /** Last line of the body when known, else the line itself. */
  readonly endLine: number;
  /** Indentation of the line in columns. */
  readonly indent: number;
  readonly local?: true;
}

/** LSP SymbolKind, one-based. */
const SYMBOL_KINDS = (
  "file module namespace package class method property field constructor enum interface function variable " +
  "constant string number boolean array object key null value event operator parameter"
).split(" ");

export function kindWord(kind: string | number): string {
  if (typeof kind === "number") return kind === 26 ? "type" : (SYMBOL_KINDS[kind - 1] ?? "symbol");
  return kind.toLowerCase();
}

const MODIFIERS =
  "(?:(?:export|default|declare|public|private|protected|internal|static|final|abstract|async|pub(?:\\([a-z]+\\))?|unsafe|extern|inline|virtual|override|sealed|open|suspend|readonly|partial)\\s+)*";

const KEYWORD = new RegExp(
  `^\\s*${MODIFIERS}(function\\*?|class|interface|type|enum|struct|trait|impl|mod|module|namespace|def|fn|func|fun|sub|proc|macro|object|record|union|protocol|const|let|var|val|static(?=\\s+(?:mut\\s+)?\\w+\\s*:))\\s+(?:\\([^)]*\\)\\s*)?([A-Za-z_$\\x80-\\xff][\\w$\\x80-\\xff]*)`,
);
/** A call looks the same until its end: a method has a body on the line, or a modifier before it. */
const METHOD =
  /^\s+(?:get |set |\*)?([A-Za-z_$][\w$]*)\s*(?:<[^>]*>)?\((?:(?!=>).)*\)\s*(?::[^=]+)?\{\s*$/;
const MODIFIED_METHOD =
  /^\s+(?:(?:public|private|protected|internal|static|async|override|abstract|virtual|final)\s+)+([A-Za-z_$][\w$]*)\s*(?:<[^>]*>)?\([^;]*$/;
/** A constant that holds a function. */
const ARROW =
  /=\s*(?:async\s*)?(?:function\b|\((?:[^()]*\)[^=]*=>.*)?\s*$|\([^()]*\)[^=]*=>|[\w$]+\s*=>|(?:React\.)?(?:memo|forwardRef)\b)/;
const FIELD = /^ {2,4}([A-Za-z_$][\w$]*)\s*=\s*(?:async\s*)?(?:\([^;]*|[\w$]+)\s*=>/;
const ASSIGNMENT = /^([A-Za-z_]\w*)\s*(?::[^=]+)?=[^=>]/;
const C_FUNCTION = /^[A-Za-z_][\w\s*&:<>,]*?[\s*&]([A-Za-z_]\w*)\s*\([^;=]*$/;
const DEFINE = /^\s*#\s*define\s+([A-Za-z_]\w*)/;
const RULE = /^\s*([.#@%]?[A-Za-z_-][\w-]*)[^;:]*\{\s*$/;
const HEADING = /^#{1,6}\s+(.{2,60})/;

const NOT_METHODS = new Set(
  "if for while switch catch return function with else do elif using lock foreach synchronized await new throw super expect describe it test useEffect useMemo useCallback".split(
    " ",
  ),
);

const KIND_WORDS: Readonly<Record<string, string>> = {
  def: "function",
  fn: "function",
  func: "function",
  fun: "function",
  sub: "function",
  proc: "function",
  "function*": "function",
  const: "constant",
  val: "constant",
  static: "constant",
  let: "variable",
  var: "variable",
  impl: "implementation",
  mod: "module",
};

/** Extensions whose braces are rules, not code. */
const STYLE = /\.(css|scss|sass|less)$/;
const MARKDOWN = /\.(md|mdx|markdown|rst)$/;
const C_FAMILY = /\.(c|h|cc|cpp|cxx|hpp|hh|m|mm|java|cs|glsl|ino)$/;

/** The name a line defines, guessed from its shape. */
export function definitionOnLine(
  path: string,
  line: string,
): { name: string; kind: string } | undefined {
  if (line.length > 400) return undefined;
  if (MARKDOWN.test(path)) {
    const heading = HEADING.exec(line);
    return heading === null ? undefined : { name: heading[1]!.trim(), kind: "heading" };
  }
  if (STYLE.test(path)) {
    const rule = RULE.exec(line);
    return rule === null ? undefined : { name: rule[1]!.replace(/^[.#@%]/, ""), kind: "rule" };
  }
  const shapes = shapesOf(path);
  if (shapes !== undefined) return definitionByShape(shapes, line);
  if (C_FAMILY.test(path)) {
    const c = C_FUNCTION.exec(line);
    if (c !== null && !NOT_METHODS.has(c[1]!)) return { name: c[1]!, kind: "function" };
  }
  const keyword = KEYWORD.exec(line);
  if (keyword !== null) {
    const word = keyword[1]!;
    const kind = KIND_WORDS[word] ?? word;
    const callable = (kind === "constant" || kind === "variable") && ARROW.test(line);
    return { name: keyword[2]!, kind: callable ? "function" : kind };
  }
  const define = DEFINE.exec(line);
  if (define !== null) return { name: define[1]!, kind: "macro" };
  const field = FIELD.exec(line);
  if (field !== null) return { name: field[1]!, kind: "method" };
  const method = METHOD.exec(line) ?? MODIFIED_METHOD.exec(line);
  if (method !== null && !NOT_METHODS.has(method[1]!)) return { name: method[1]!, kind: "method" };
  const assignment = ASSIGNMENT.exec(line);
  if (assignment !== null) return { name: assignment[1]!, kind: "constant" };
  return undefined;
}

export function indentOf(line: string): number {
  let columns = 0;
  for (let i = 0; i < line.length; i++) {
    const c = line.charCodeAt(i);
    if (c === 32) columns++;
    else if (c === 9) columns += 4;
    else return columns;
  }
  return columns;
}

const COMMENT_LINE = /^\s*(?:\/\/|\/\*|\*|#(?!\s*(?:define|if|include))|--|;|"""|''')/;

/** Reads a latin1 string of UTF-8 bytes as text; plain ASCII is returned as it is. */
export function utf8(latin1: string): string {
  return /[\x80-\xff]/.test(latin1) ? Buffer.from(latin1, "latin1").toString("utf8") : latin1;
}

/** All definitions of a file. Symbols, when given, replace the guesses; `lines` are the file's lines as latin1. */
export function findDefinitions(
  path: string,
  lines: readonly string[],
  symbols: readonly SymbolEntry[] | undefined,
): Definition[] {
  if (symbols !== undefined && symbols.length > 0)
    return symbols
      .filter((symbol) => symbol.startLine < lines.length)
      .map((symbol) => ({
        name: symbol.name,
        kind: kindWord(symbol.kind),
        container: symbol.container === "" ? undefined : symbol.container,
        line: symbol.startLine,
        endLine: Math.min(symbol.endLine, lines.length - 1),
        indent: indentOf(lines[symbol.startLine]!),
        ...(symbol.local === true ? { local: true as const } : {}),
      }))
      .sort((a, b) => a.line - b.line || b.endLine - a.endLine);
  const found: Definition[] = [];
  /** Open definitions by indentation, for the container's name. */
  const open: { name: string; indent: number }[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    if (line.length < 3) continue;
    if (COMMENT_LINE.test(line) && !MARKDOWN.test(path)) continue;
    const one = definitionOnLine(path, line);
    if (one === undefined) continue;
    const name = utf8(one.name);
    const indent = indentOf(line);
    while (open.length > 0 && open[open.length - 1]!.indent >= indent) open.pop();
    const container = open[open.length - 1]?.name;
    const kind =
      one.kind === "function" && container !== undefined && indent > 0 ? "method" : one.kind;
    found.push({
      name,
      kind,
      container,
      line: i,
      endLine: bodyEnd(lines, i, indent),
      indent,
    });
    if (!["constant", "variable", "macro"].includes(one.kind)) open.push({ name, indent });
  }
  return found;
}

/** The body lasts while lines are indented deeper; a closing bracket at the same depth belongs to it. */
function bodyEnd(lines: readonly string[], start: number, indent: number): number {
  let end = start;
  for (let i = start + 1; i < lines.length && i < start + 2_000; i++) {
    const line = lines[i]!;
    if (line.trim() === "") continue;
    const columns = indentOf(line);
    if (columns > indent) end = i;
    else if (columns === indent && /^[)\]}]/.test(line.trim())) {
      end = i;
      if (/^[)\]}]+[;,]?\s*$/.test(line.trim())) break;
    } else break;
  }
  return end;
}
