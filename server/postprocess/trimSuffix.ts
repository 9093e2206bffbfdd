/**
 * Removes what already stands to the right of the cursor. A bracket that the suggestion itself opened is not a
 * repetition: `call(|)` completed with `inner()` keeps its last bracket.
 */
import type { CleanUp } from "./candidate.ts";

const OPENERS = "([{";
const CLOSERS = ")]}";
/** Fewer visible characters than this may well occur in a suggestion without being a repetition. */
const MIN_CONTAINED = 4;

export const trimSuffix: CleanUp = (candidate, around) => {
  const { text } = candidate;
  const suffix = around.lineSuffix.trimEnd();
  if (suffix.trim() === "" || text === "") return candidate;
  const quote = closingQuote(text, around.linePrefix, suffix);
  if (quote >= 0) return { text: text.slice(0, quote), truncated: false };
  const unmatched = firstUnmatchedCloser(text);
  if (unmatched >= 0 && suffix.trimStart().startsWith(text[unmatched]!))
    return { text: text.slice(0, unmatched), truncated: false };
  const trimmed = suffix.trim();
  const contained = trimmed.length >= MIN_CONTAINED ? text.indexOf(trimmed) : -1;
  if (contained >= 0) return { text: text.slice(0, contained), truncated: false };
  for (const ahead of new Set([suffix, suffix.trimStart()])) {
    for (let length = Math.min(text.length, ahead.length); length > 0; length--) {
      if (!text.endsWith(ahead.slice(0, length))) continue;
      const end = Math.max(text.length - length, lastOwnCloser(text) + 1);
      return end === text.length ? candidate : { text: text.slice(0, end), truncated: false };
    }
  }
  return candidate;
};

/** Where the text ends the string the cursor is in, if the string's end already stands behind the cursor; or -1. */
function closingQuote(text: string, before: string, suffix: string): number {
  const quote = suffix[0]!;
  if (!"\"'`".includes(quote)) return -1;
  const quotes = before.split(quote).length - 1;
  return quotes % 2 === 1 ? text.indexOf(quote) : -1;
}

/** Index of the first closing bracket that nothing in the text opened, or -1. Text in strings counts too. */
function firstUnmatchedCloser(text: string): number {
  const open: string[] = [];
  for (let index = 0; index < text.length; index++) {
    const character = text[index]!;
    if (OPENERS.includes(character)) open.push(character);
    else if (CLOSERS.includes(character)) {
      if (open.pop() !== OPENERS[CLOSERS.indexOf(character)]) return index;
    }
  }
  return -1;
}

/** Index of the last closing bracket whose opening one is in the text, or -1. */
function lastOwnCloser(text: string): number {
  let depth = 0;
  let last = -1;
  for (let index = 0; index < text.length; index++) {
    if (OPENERS.includes(text[index]!)) depth++;
    else if (CLOSERS.includes(text[index]!) && depth > 0) {
      depth--;
      last = index;
    }
  }
  return last;
}
