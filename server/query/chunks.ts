/**
 * A file cut into pieces of about 10 to 40 lines, the unit of meaning search. Cuts fall where a reader would
 * put them: before a definition together with its comments and decorators, else at a blank line of the
 * lowest indentation. Lines are zero-based here; the answer to the user is one-based.
 */
import { indentOf } from "./definitions.ts";
import type { Definition } from "./definitions.ts";

export interface Chunk {
  readonly startLine: number;
  /** Exclusive. */
  readonly endLine: number;
}

export const MIN_CHUNK_LINES = 10;
export const MAX_CHUNK_LINES = 40;

const ATTACHED = /^\s*(?:\/\/|\/\*|\*|#|@|--|""")/;

/** How good a place each line is to start a new piece; 0 is "in the middle of something". */
function cutStrengths(lines: readonly string[], definitions: readonly Definition[]): Uint8Array {
  const strengths = new Uint8Array(lines.length + 1);
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i]!;
    if (line.trim() === "" || lines[i - 1]!.trim() !== "") continue;
    const columns = indentOf(line);
    strengths[i] = columns === 0 ? 4 : columns <= 4 ? 2 : 1;
  }
  for (const definition of definitions) {
    if (definition.kind === "variable" || definition.kind === "constant") continue;
    if (definition.indent > 4) continue;
    let start = definition.line;
    while (start > 0 && ATTACHED.test(lines[start - 1]!)) {
      strengths[start] = 0;
      start--;
    }
    strengths[start] = definition.indent === 0 ? 5 : 3;
  }
  strengths[lines.length] = 5;
  return strengths;
}

export function cutChunks(lines: readonly string[], definitions: readonly Definition[]): Chunk[] {
  const strengths = cutStrengths(lines, definitions);
  const chunks: Chunk[] = [];
  let start = 0;
  while (start < lines.length) {
    let end = lines.length;
    if (lines.length - start > MAX_CHUNK_LINES) {
      end = start + MAX_CHUNK_LINES;
      let best = 0;
      for (let cut = start + MIN_CHUNK_LINES; cut <= start + MAX_CHUNK_LINES; cut++) {
        const strength = strengths[cut]!;
        // Of equal definitions the first one ends the piece; of equal blank lines the last one.
        if (strength > best || (strength === best && strength > 0 && strength < 3)) {
          best = strength;
          end = cut;
        }
      }
    } else {
      for (let cut = start + MIN_CHUNK_LINES; cut <= lines.length - MIN_CHUNK_LINES; cut++)
        if (strengths[cut]! >= 3) {
          end = cut;
          break;
        }
    }
    let first = start;
    let last = end;
    while (first < last && lines[first]!.trim() === "") first++;
    while (last > first && lines[last - 1]!.trim() === "") last--;
    if (last > first) chunks.push({ startLine: first, endLine: last });
    start = end;
  }
  return chunks;
}
