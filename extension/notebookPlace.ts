/** Answers count the lines of a notebook's script; the editor shows its cells. */

/** Which cell a line of the script lies in, by the cells' texts: each has a line before and one behind it, empty
 *  ones are left out. */
export function cellAtLine(texts: readonly string[], line: number): number {
  let end = 0;
  let last = 0;
  for (const [at, text] of texts.entries()) {
    const trimmed = text.trimEnd();
    if (trimmed === "") continue;
    last = at;
    end += trimmed.split(/\r\n|\r|\n/).length + 2;
    if (line < end) return at;
  }
  return last;
}
