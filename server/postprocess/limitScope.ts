/**
 * Ends a suggestion of several lines where it leaves the block the cursor is in: at the first later line
 * indented less than the cursor's line. A line of only closing brackets at the cursor's level still belongs to it.
 */
import type { CleanUp } from "./candidate.ts";

export const limitScope: CleanUp = (candidate, around) => {
  if (!around.multiLine) return candidate;
  const lines = candidate.text.split("\n");
  const base = indentation(around.linePrefix);
  const blankStart = around.linePrefix.trim() === "";
  for (let line = 1; line < lines.length; line++) {
    const text = lines[line]!.replace(/\r$/, "");
    if (text.trim() === "") continue;
    const depth = indentation(text);
    const closes = /^[\s)\]}>;,]+$/.test(text);
    const leaves = depth < base || (depth === base && !blankStart && !closes);
    if (leaves) return { text: lines.slice(0, line).join("\n"), truncated: false };
  }
  return candidate;
};

function indentation(line: string): number {
  return line.length - line.trimStart().length;
}
