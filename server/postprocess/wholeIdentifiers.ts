/**
 * Never offers half a name: if the budget cut the text inside an identifier, or the text would grow together with
 * the identifier right of the cursor, the last identifier is taken off.
 */
import { IDENTIFIER_CHARACTER, type CleanUp } from "./candidate.ts";

export const wholeIdentifiers: CleanUp = (candidate, around) => {
  const characters = Array.from(candidate.text);
  const last = characters.at(-1);
  if (last === undefined || !IDENTIFIER_CHARACTER.test(last)) return candidate;
  const ahead = Array.from(around.lineSuffix.slice(0, 2))[0];
  const growsTogether = ahead !== undefined && IDENTIFIER_CHARACTER.test(ahead);
  if (!candidate.truncated && !growsTogether) return candidate;
  let end = characters.length;
  while (end > 0 && IDENTIFIER_CHARACTER.test(characters[end - 1]!)) end--;
  return { text: characters.slice(0, end).join(""), truncated: false };
};
