/**
 * What an editor would have closed behind the cursor: the brackets that the text before it has left open. Parsers make
 * more of `call(|)` than of a text that ends in the middle, and nothing but the text before the cursor is asked for it.
 */
import { byteKinds, KIND } from "../../model/index.ts";

const CLOSERS: ReadonlyMap<number, string> = new Map([
  [40, ")"],
  [91, "]"],
  [123, "}"],
]);
const NEWLINE = 10;
const RETURN = 13;

export function closersOf(path: string, before: Uint8Array): string {
  const kinds = byteKinds(path, before);
  const last = kinds.at(-1);
  // Within a string or a comment they would be read as a part of it.
  if ((last === KIND.string || last === KIND.comment) && before.at(-1) !== NEWLINE) return "";
  const open: string[] = [];
  before.forEach((byte, i) => {
    if (kinds[i] !== KIND.punctuation) return;
    const closer = CLOSERS.get(byte);
    if (closer !== undefined) open.push(closer);
    else if (byte === 41 || byte === 93 || byte === 125) {
      const found = open.lastIndexOf(String.fromCharCode(byte));
      if (found >= 0) open.length = found;
    }
  });
  const closers = open
    .reverse()
    .map((closer) => (closer === "}" ? "\n}" : closer))
    .join("");
  // A line feed behind a carriage return would be one line end with it, and move the cursor.
  return before.at(-1) === RETURN ? closers.trimStart() : closers;
}
