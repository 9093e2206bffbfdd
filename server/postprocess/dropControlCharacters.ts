/**
 * Ends the text before its first character that cannot be typed: control characters other than tab and line
 * ends, halves of characters (lone surrogates), and U+FFFD, which stands for bytes that are no character.
 */
import type { CleanUp } from "./candidate.ts";

// eslint-disable-next-line no-control-regex -- control characters are what this looks for.
const NOT_TEXT =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffd\ufeff\u2028\u2029]|\p{Cs}/u;

export const dropControlCharacters: CleanUp = (candidate) => {
  const at = candidate.text.search(NOT_TEXT);
  return at < 0 ? candidate : { text: candidate.text.slice(0, at), truncated: true };
};
