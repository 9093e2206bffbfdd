/** Who knew what of the workspace's languages, in words; the ones that nobody knows share a line. */
import type { LanguageReport } from "../facts/collect.ts";
import { plural } from "./terminal.ts";

export function factsReport(report: readonly LanguageReport[]): string {
  const lines: string[] = [];
  const unknown = new Map<string, LanguageReport[]>();
  for (const one of report) {
    if (one.source === "none") {
      const alike = unknown.get(one.why);
      if (alike === undefined) unknown.set(one.why, [one]);
      else alike.push(one);
      continue;
    }
    const why = one.why === "" ? "" : ` (${one.why})`;
    lines.push(
      `facts: ${one.languageId} from ${one.source}, ${one.answered} of ${plural(one.files, "file")}, ${(one.ms / 1000).toFixed(1)} s${why}`,
    );
  }
  for (const [why, languages] of unknown) {
    const files = languages.reduce((sum, one) => sum + one.files, 0);
    const names = languages.map((one) => one.languageId).join(", ");
    lines.push(
      `facts: none for ${names}, ${plural(files, "file")}${why === "" ? "" : ` (${why})`}`,
    );
  }
  return lines.map((line) => `${line}\n`).join("");
}
