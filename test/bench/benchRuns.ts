/** The result lines of parts.ts, read back. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ModelConfig } from "../../model/config.ts";
import type { Study } from "./studies.ts";
import type { RunFigures } from "./trainArm.ts";

interface RunOf<S extends Study> {
  readonly id: string;
  readonly study: S;
  readonly arm: string;
  readonly repository: string;
  readonly seed: number;
  readonly bytes: number;
  readonly preset: string;
  readonly device: string;
  readonly set?: Partial<ModelConfig>;
  readonly size?: string;
}

export type NetworkRun = RunOf<"parts" | "sizes" | "rows"> & RunFigures;

export type IndexRun = RunOf<"index"> & {
  readonly share: number;
  readonly covered: number;
  readonly params: number;
  readonly mixed: number;
  readonly network: number | null;
  readonly memory: number | null;
  readonly memoryBytes: number;
};

export function readRuns(folder: string): { networks: NetworkRun[]; indices: IndexRun[] } {
  const runs = new Map<string, NetworkRun | IndexRun>();
  for (const name of readdirSync(folder).sort()) {
    if (!/^runs-.*\.jsonl$/.test(name)) continue;
    for (const line of readFileSync(join(folder, name), "utf8").split("\n")) {
      if (line === "") continue;
      const run = JSON.parse(line) as NetworkRun | IndexRun;
      runs.set(run.id, run);
    }
  }
  const all = [...runs.values()];
  return {
    networks: all.filter((r): r is NetworkRun => r.study !== "index"),
    indices: all.filter((r): r is IndexRun => r.study === "index"),
  };
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** Repositories in the order of their training bytes, largest first. */
export function repositoriesOf(runs: readonly { repository: string; bytes: number }[]): string[] {
  const bytes = new Map(runs.map((r) => [r.repository, r.bytes]));
  return [...bytes.keys()].sort((a, b) => bytes.get(b)! - bytes.get(a)!);
}
