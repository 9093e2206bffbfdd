/**
 * A Jupyter notebook as the script it stands for: its cells in a row in the "percent" form that editors and
 * jupytext know. The file itself is JSON with a string for each line and pictures as base64, which is not what
 * anybody types, and its outputs are no code. Source: nbformat 4 (and 3) of the Jupyter project.
 */

const NOTEBOOK = /\.ipynb$/i;

export const isNotebook = (path: string): boolean => NOTEBOOK.test(path);

export interface Cell {
  /** "code", or what it is instead: "markdown", "raw". */
  readonly kind: string;
  readonly source: string;
}

/** What begins a cell of code. */
export const CODE_CELL = "# %%\n";

/** The script, or undefined where the text is no notebook. */
export function notebookScript(text: string): string | undefined {
  const cells = cellsOf(text);
  return cells === undefined ? undefined : cellsScript(cells);
}

/** Cells in a row; those that are not code are comments, and empty ones are left out. */
export function cellsScript(cells: readonly Cell[]): string {
  const parts: string[] = [];
  for (const { kind, source } of cells) {
    const lines = source.replace(/\r\n?/g, "\n").trimEnd();
    if (lines === "") continue;
    if (kind === "code") parts.push(`${CODE_CELL}${lines}\n`);
    else parts.push(`# %% [${kind}]\n${lines.replace(/^(?=.)/gm, "# ").replace(/^$/gm, "#")}\n`);
  }
  return parts.join("\n");
}

function cellsOf(text: string): Cell[] | undefined {
  let book: unknown;
  try {
    book = JSON.parse(text);
  } catch {
    return undefined;
  }
  // Version 3 has its cells in worksheets.
  const sheets = list(at(book, "worksheets"));
  const cells =
    sheets?.flatMap((sheet) => list(at(sheet, "cells")) ?? []) ?? list(at(book, "cells"));
  return cells?.map((cell) => {
    const kind = at(cell, "cell_type");
    return {
      kind: typeof kind === "string" ? kind : "raw",
      source: joined(at(cell, "source") ?? at(cell, "input")),
    };
  });
}

function at(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

const list = (value: unknown): readonly unknown[] | undefined =>
  Array.isArray(value) ? value : undefined;

/** A cell's text is one string, or one for each line. */
function joined(source: unknown): string {
  if (typeof source === "string") return source;
  return (list(source) ?? []).filter((line) => typeof line === "string").join("");
}
