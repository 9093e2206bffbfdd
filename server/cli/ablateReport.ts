/** Ablation results as tables: medians over seeds, one table for each repository, differences from the first row. */
import type { AblationRow } from "./ablateTables.ts";
import { rate } from "./terminal.ts";

/** One training, measured one way. */
export interface AblationRun {
  /** Names everything that the figures depend on; a run with this key is not repeated. */
  readonly key: string;
  readonly repository: string;
  readonly row: string;
  readonly seed: number;
  readonly params: number;
  readonly trained_bytes: number;
  readonly bytes_per_s: number;
  readonly measured_bytes: number;
  readonly bpb: number;
  readonly bpb_network: number | null;
  readonly bpb_memory: number | null;
  /** Bits per byte of identifiers in code; null where there are none. */
  readonly bpb_identifier: number | null;
  /** Share of identifiers of which every byte was the first choice. */
  readonly identifier_top1: number | null;
  readonly device: string;
}

const FIGURES = [
  "params",
  "bytes_per_s",
  "bpb",
  "bpb_network",
  "bpb_memory",
  "bpb_identifier",
  "identifier_top1",
] as const;

export type AblationMedians = Readonly<Record<(typeof FIGURES)[number], number | null>> & {
  readonly repository: string;
  readonly row: string;
  readonly seeds: number;
  /** Relative to the first row of the table. */
  readonly bpb_change: number | null;
};

/** The middle value; the mean of the two middle ones of an even number. */
export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function mediansOf(
  rows: readonly AblationRow[],
  runs: readonly AblationRun[],
): AblationMedians[] {
  const repositories = [...new Set(runs.map((run) => run.repository))];
  return repositories.flatMap((repository) => {
    let first: number | null = null;
    return rows.map((row, i): AblationMedians => {
      const own = runs.filter((run) => run.repository === repository && run.row === row.name);
      const figures = Object.fromEntries(
        FIGURES.map((name) => [
          name,
          median(own.map((run) => run[name]).filter((value) => value !== null)),
        ]),
      ) as Record<(typeof FIGURES)[number], number | null>;
      if (i === 0) first = figures.bpb;
      const bpb_change = figures.bpb === null || first === null ? null : figures.bpb / first - 1;
      return { repository, row: row.name, seeds: own.length, ...figures, bpb_change };
    });
  });
}

const number = (value: number | null): string => (value === null ? "–" : value.toFixed(4));
const percent = (value: number | null): string =>
  value === null ? "–" : `${(value * 100).toFixed(1)} %`;

export function ablationMarkdown(title: string, medians: readonly AblationMedians[]): string {
  const lines = [`# ${title}`, ""];
  for (const repository of new Set(medians.map((one) => one.repository))) {
    lines.push(
      `## ${repository}`,
      "",
      "| | seeds | parameters | bpb | change | network alone | memory alone | identifiers, bpb | identifiers, first choice | training |",
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    );
    for (const one of medians) {
      if (one.repository !== repository) continue;
      const change = one.bpb_change === null ? "–" : `${one.bpb_change > 0 ? "+" : ""}${percent(one.bpb_change)}`; // prettier-ignore
      const cells = [
        one.row.replaceAll("|", "\\|"),
        one.seeds,
        one.params === null ? "–" : `${(one.params / 1e6).toFixed(2)} M`,
        number(one.bpb),
        change,
        number(one.bpb_network),
        number(one.bpb_memory),
        number(one.bpb_identifier),
        percent(one.identifier_top1),
        one.bytes_per_s === null ? "–" : rate(one.bytes_per_s),
      ];
      lines.push(`| ${cells.join(" | ")} |`);
    }
    lines.push("");
  }
  return lines.join("\n");
}
