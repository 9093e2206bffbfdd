/** Keeps one line unless several were asked for. A text that ended its line was not cut by the budget. */
import type { CleanUp } from "./candidate.ts";

export const limitLines: CleanUp = (candidate, around) => {
  if (around.multiLine) return candidate;
  const end = candidate.text.search(/[\r\n]/);
  return end < 0 ? candidate : { text: candidate.text.slice(0, end), truncated: false };
};
