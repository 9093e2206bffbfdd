/** Removes lines at the end of the suggestion that already stand below the cursor. */
import type { CleanUp } from "./candidate.ts";

export const dropRepeats: CleanUp = (candidate, around) => {
  const below = around.following
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const next = below[0];
  if (next === undefined || candidate.text.trim() === "") return candidate;
  const lines = candidate.text.split("\n");
  for (let start = 0; start < lines.length; start++) {
    // The first line continues the cursor's line, so it is compared together with what is left of it.
    const whole = (line: number) =>
      (line === 0 ? around.linePrefix + lines[0]! : lines[line]!).trim();
    const tail = lines.slice(start).map((_, index) => whole(start + index));
    const visible = tail.filter((line) => line !== "");
    if (visible.length === 0) continue;
    // One short line, such as a bracket, stands below almost anything.
    if (visible.length === 1 && visible[0]!.length < 3 && start === 0) continue;
    if (visible.every((line, index) => below[index] === line))
      return { text: lines.slice(0, start).join("\n"), truncated: false };
  }
  return candidate;
};
