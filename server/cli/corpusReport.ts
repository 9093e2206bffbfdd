/** What the walk found, in words: how much is read, and what stays out for which reason. */
import type { CorpusWalk, ExclusionReason } from "../corpus/walk.ts";
import { plural, size } from "./terminal.ts";

export const REASON_WORDS: Readonly<Record<ExclusionReason, string>> = {
  ignored: "ignored by rule",
  builtInFolder: "build output or dependencies",
  secret: "may hold a secret",
  binary: "binary",
  generated: "generated",
  minified: "minified",
  vendored: "third-party code",
  lockFile: "lock file",
  tooLarge: "too large",
  overTotal: "beyond the corpus limit",
  duplicate: "duplicate",
  empty: "empty",
  link: "link",
  notAFile: "not a regular file",
  unreadable: "not readable",
};

/** "3 binary, 1 too large", most frequent first. */
export function leftOutSummary(walk: CorpusWalk): string {
  return Object.entries(walk.totals.excluded)
    .filter(([, count]) => count.files > 0)
    .sort((a, b) => b[1].files - a[1].files)
    .map(([reason, count]) => `${count.files} ${REASON_WORDS[reason as ExclusionReason]}`)
    .join(", ");
}

export function corpusReport(walk: CorpusWalk): string {
  const left = leftOutSummary(walk);
  const lines = [
    `${plural(walk.totals.files, "file")}, ${size(walk.totals.bytes)}${left === "" ? "" : `; left out: ${left}`}`,
  ];
  for (const one of walk.excluded)
    if (one.reason === "secret" || one.reason === "tooLarge" || one.reason === "overTotal")
      lines.push(`left out: ${one.path} (${one.detail})`);
  for (const problem of walk.problems) lines.push(`problem: ${problem.path}: ${problem.message}`);
  const shown = 12;
  if (lines.length > shown) lines.splice(shown, lines.length, `and ${lines.length - shown} more`);
  return `${lines.join("\n")}\n`;
}
