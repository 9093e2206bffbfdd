/**
 * Takes its questions from the workspace itself, so that the same test runs on any: a line that many
 * files have (a completion any model of this code should give) and a name that is defined once.
 */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

export interface Question {
  /** A file that does not have the line: the answer has to come from the others. */
  readonly file: string;
  readonly typed: string;
  /** All lines of the workspace that begin so: any of them is a good end. */
  readonly known: readonly string[];
}

function sources(folder: string): { path: string; text: string }[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => /\.(ts|tsx|js|py|rs|go|java|c|cpp|cs|rb|php)$/.test(path))
    .filter((path) => statSync(join(folder, path)).isFile())
    .sort()
    .map((path) => ({ path, text: readFileSync(join(folder, path), "utf8") }));
}

/** The statement that most files share, and a file without it. */
export function frequentLine(folder: string): Question {
  const files = sources(folder);
  const counts = new Map<string, number>();
  for (const { text } of files)
    for (const line of new Set(text.split(/\r?\n/)))
      if (line.length >= 28 && line.length <= 90 && /^\w.*\w/.test(line))
        counts.set(line, (counts.get(line) ?? 0) + 1);
  const [line] = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0] ?? [];
  if (line === undefined) throw new Error(`no line repeats in ${folder}`);
  const cut = line.length - Math.min(14, Math.floor(line.length / 3));
  const without = files.find(({ text }) => !text.includes(line.slice(0, cut)) && text.length > 400);
  if (!without) throw new Error(`every file of ${folder} has ${JSON.stringify(line)}`);
  const typed = line.slice(0, cut);
  const known = [...counts.keys()].filter((other) => other.startsWith(typed));
  return { file: without.path, typed, known };
}

/** The longest name that is defined once and used in other files. */
export function identifierOf(folder: string): string {
  const files = sources(folder);
  const definitions = new Map<string, number>();
  for (const { text } of files)
    for (const match of text.matchAll(/^(?:export )?(?:async )?(?:function|class|def) (\w{8,})/gm))
      definitions.set(match[1]!, (definitions.get(match[1]!) ?? 0) + 1);
  const uses = (name: string) => files.filter(({ text }) => text.includes(name)).length;
  const [best] = [...definitions]
    .filter(([, n]) => n === 1)
    .map(([name]) => ({ name, uses: uses(name) }))
    .sort((a, b) => b.uses - a.uses || (a.name < b.name ? -1 : 1));
  if (!best) throw new Error(`nothing is defined in ${folder}`);
  return best.name;
}
