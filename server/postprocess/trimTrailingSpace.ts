/** No blank lines, half indentation or spaces at the end, unless a space separates the text from what follows. */
import type { CleanUp } from "./candidate.ts";

export const trimTrailingSpace: CleanUp = (candidate, around) => {
  const { text, truncated } = candidate;
  const trimmed = text.trimEnd();
  if (trimmed === "") return { text: "", truncated };
  const rest = text.slice(trimmed.length);
  const separates = around.lineSuffix.trim() !== "" && rest === " ";
  return { text: separates && !around.lineSuffix.startsWith(" ") ? text : trimmed, truncated };
};
