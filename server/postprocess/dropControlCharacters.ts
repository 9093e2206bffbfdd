/**
 * Ends the text before its first character that cannot be typed: control characters other than tab and line
 * ends, halves of characters (lone surrogates), and U+FFFD, which stands for bytes that are no character.
 */
import type { CleanUp } from "./candidate.ts";

// Not "anything but a control character", less those that text is made of.
const NOT_TEXT = /[^\P{Cc}\t\n\r]|[\ufffd\ufeff\u2028\u2029]|\p{Cs}/u;

export const dropControlCharacters: CleanUp = (candidate) => {
  const at = candidate.text.search(NOT_TEXT);
  return at < 0 ? candidate : { text: candidate.text.slice(0, at), truncated: true };
};
