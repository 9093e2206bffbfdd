/**
 * The tables of parts.ts as Markdown: every arm against the default of the same repository and seed, medians over
 * repositories and seeds with the whole range; then the figures by repository.
 *
 * node test/bench/run.mjs partsReport --out DIR
 */
import { parseArgs } from "node:util";
import { median, readRuns, repositoriesOf, type NetworkRun } from "./benchRuns.ts";
import { ARMS, DEFAULT_ARM } from "./partsArms.ts";

const { values } = parseArgs({ options: { out: { type: "string" } } });
if (values.out === undefined) {
  process.stderr.write("usage: partsReport --out DIR\n");
  process.exit(2);
}
const { networks } = readRuns(values.out);
const runs = networks.filter((r) => r.study === "parts" && Number.isFinite(r.bpb));
const repositories = repositoriesOf(runs);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const signed = (x: number, digits: number): string => {
  const text = Math.abs(x).toFixed(digits);
  return Number(text) === 0 ? text : `${x > 0 ? "+" : "−"}${text}`;
};
/** One value alone where there is no range. */
const ranged = (values: readonly number[], digits: number): string =>
  values.length === 0
    ? "–"
    : values.length === 1
      ? signed(values[0]!, digits)
      : `${signed(median(values), digits)} (${signed(Math.min(...values), digits)} … ${signed(Math.max(...values), digits)})`;

const of = (arm: string, repository?: string): NetworkRun[] =>
  runs.filter((r) => r.arm === arm && (repository === undefined || r.repository === repository));
const baseOf = (r: NetworkRun): NetworkRun | undefined =>
  runs.find((b) => b.arm === DEFAULT_ARM && b.repository === r.repository && b.seed === r.seed);
/** Over all runs of an arm that have a default beside them. */
const against = (arm: string, f: (run: NetworkRun, base: NetworkRun) => number): number[] =>
  of(arm).flatMap((r) => {
    const base = baseOf(r);
    return base === undefined ? [] : [f(r, base)];
  });
/** The median of each repository, so that no repository counts twice. */
const byRepository = (arm: string, f: (run: NetworkRun, base: NetworkRun) => number): number[] =>
  repositories.flatMap((repository) => {
    const each = of(arm, repository).flatMap((r) => {
      const base = baseOf(r);
      return base === undefined ? [] : [f(r, base)];
    });
    return each.length === 0 ? [] : [median(each)];
  });

const relative = (f: (r: NetworkRun) => number) => (r: NetworkRun, base: NetworkRun) =>
  100 * (f(r) / f(base) - 1);
const points = (f: (r: NetworkRun) => number) => (r: NetworkRun, base: NetworkRun) =>
  100 * (f(r) - f(base));
const share = (f: (r: NetworkRun) => number, arm: string, repository: string): string => {
  const each = of(arm, repository).map(f);
  return each.length === 0 ? "–" : (100 * median(each)).toFixed(1);
};

const arms = ARMS.filter((a) => of(a.name).length > 0);
const seedsOf = (arm: string): number => new Set(of(arm).map((r) => r.seed)).size;
const [first] = runs;
if (first === undefined) {
  process.stderr.write("there are no results yet\n");
  process.exit(1);
}
say(
  `${runs.length} trainings, preset ${first.preset}, ${first.device}; network alone on held-out files\n`,
);
say(
  "| part | instead | seeds | parameters | bits per byte, % | of names, % | names after one byte, points | rests of lines, points |",
);
say("| --- | --- | --- | --- | --- | --- | --- | --- |");
for (const { name, part } of arms) {
  if (name === DEFAULT_ARM) continue;
  const params = median(of(name).map((r) => r.params));
  const cells = [
    part,
    name,
    `${seedsOf(name)} × ${new Set(of(name).map((r) => r.repository)).size}`,
    `${(params / 1e6).toFixed(2)} M`,
    ranged(
      against(
        name,
        relative((r) => r.bpb),
      ),
      1,
    ),
    signed(
      median(
        byRepository(
          name,
          relative((r) => r.identifierBpb),
        ),
      ),
      1,
    ),
    ranged(
      byRepository(
        name,
        points((r) => r.identifierRight),
      ),
      1,
    ),
    ranged(
      byRepository(
        name,
        points((r) => r.lineRight),
      ),
      1,
    ),
  ];
  say(`| ${cells.join(" | ")} |`);
}

say(
  "\nBits per byte by repository: median, then the change from the default of the same seed in %\n",
);
say(`| | ${repositories.join(" | ")} |`);
say(`| --- |${" --- |".repeat(repositories.length)}`);
for (const { name } of arms) {
  const cells = repositories.map((repository) => {
    const each = of(name, repository);
    if (each.length === 0) return "–";
    const bpb = median(each.map((r) => r.bpb)).toFixed(4);
    if (name === DEFAULT_ARM) {
      const all = each.map((r) => r.bpb);
      return `${bpb} (${Math.min(...all).toFixed(4)} … ${Math.max(...all).toFixed(4)})`;
    }
    const change = each.flatMap((r) => {
      const base = baseOf(r);
      return base === undefined ? [] : [relative((x) => x.bpb)(r, base)];
    });
    return `${bpb}, ${change.map((c) => signed(c, 1)).join(" ")}`;
  });
  say(`| ${name} | ${cells.join(" | ")} |`);
}

say("\nNames guessed after one byte · rests of lines, % (medians)\n");
say(`| | ${repositories.join(" | ")} |`);
say(`| --- |${" --- |".repeat(repositories.length)}`);
for (const { name } of arms) {
  const cells = repositories.map(
    (repository) =>
      `${share((r) => r.identifierRight, name, repository)} · ${share((r) => r.lineRight, name, repository)}`,
  );
  say(`| ${name} | ${cells.join(" | ")} |`);
}

say("\nWhat was trained and measured\n");
say("| | training bytes | batch | steps | held-out bytes | names | lines |");
say("| --- | --- | --- | --- | --- | --- | --- |");
for (const repository of repositories) {
  const [r] = of(DEFAULT_ARM, repository);
  if (r === undefined) continue;
  say(
    `| ${repository} | ${(r.bytes / 1e6).toFixed(2)} MB | ${r.batch} | ${r.steps} | ${r.measured.toLocaleString("en")} | ${r.identifiers} | ${r.lines} |`,
  );
}
