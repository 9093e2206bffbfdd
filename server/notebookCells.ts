/**
 * Cells of notebooks that are open in the editor: each is a document of its own, and what the notebook says before
 * it is in the others. Editors open the cells of a notebook in their order; one that was added later is taken to
 * stand behind all that are open.
 */
import { URI } from "vscode-uri";
import { cellsScript, CODE_CELL } from "./corpus/notebook.ts";

const CELL_SCHEME = "vscode-notebook-cell";

interface OpenDocument {
  readonly uri: string;
  readonly languageId: string;
  getText(): string;
}

/** The notebook's own URI, or the URI as it is where it names no cell. */
export function fileUriOf(uri: string): string {
  const parsed = URI.parse(uri);
  return parsed.scheme === CELL_SCHEME
    ? parsed.with({ scheme: "file", fragment: "" }).toString()
    : uri;
}

/** What stands before a cell's own text in its notebook's script; nothing before any other document. */
export function scriptBeforeCell(uri: string, open: Iterable<OpenDocument>): string {
  const parsed = URI.parse(uri);
  if (parsed.scheme !== CELL_SCHEME) return "";
  const cells: { kind: string; source: string }[] = [];
  for (const document of open) {
    if (document.uri === uri) break;
    const other = URI.parse(document.uri);
    if (other.scheme !== CELL_SCHEME || other.path !== parsed.path) continue;
    const kind = document.languageId === "markdown" ? "markdown" : "code";
    cells.push({ kind, source: document.getText() });
  }
  const script = cellsScript(cells);
  return script === "" ? CODE_CELL : `${script}\n${CODE_CELL}`;
}
