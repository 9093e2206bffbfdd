/**
 * Plot of memory against network at a fixed total size, from the runs of parts.ts: the exact memory of some of the files
 * with a network that fills what is left of the bytes, mixed; and n-gram rows inside a network at equal parameters.
 *
 * node test/bench/run.mjs memoryNetwork --out DIR
 *
 * Results: media/memoryNetwork.json and media/memoryNetwork.svg. Without --out the plot is drawn again from the JSON.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { linearAxis } from "./axes.ts";
import { median, readRuns } from "./benchRuns.ts";
import { chart, type Panel, type Series } from "./chart.ts";
import { DEFAULT_ARM } from "./partsArms.ts";
import { networkParams, PARAM_BYTES } from "./studies.ts";

const { values } = parseArgs({ options: { out: { type: "string" } } });
const media = join(process.cwd(), "media");
const file = join(media, "memoryNetwork.json");

interface IndexPoint {
  readonly repository: string;
  readonly memoryBytes: number;
  readonly networkBytes: number;
  /** Share of the files that the memory holds. */
  readonly covered: number;
  readonly mixed: number;
  readonly network: number | null;
  readonly memory: number | null;
}

interface RowsPoint {
  readonly repository: string;
  /** Of all parameters. */
  readonly rowsShare: number;
  readonly params: number;
  readonly bpb: number;
}

interface Results {
  readonly device: string;
  readonly index: readonly IndexPoint[];
  readonly rows: readonly RowsPoint[];
}

function measured(folder: string): Results {
  const { networks, indices } = readRuns(folder);
  const index = indices.map((r) => ({
    repository: r.repository,
    memoryBytes: r.memoryBytes,
    networkBytes: r.params * PARAM_BYTES,
    covered: r.covered,
    mixed: r.mixed,
    network: r.network,
    memory: r.share === 0 ? null : r.memory,
  }));
  const rows = networks.filter((r) => r.study === "rows");
  const points: RowsPoint[] = rows.map((r) => ({
    repository: r.repository,
    rowsShare: 1 - networkParams(r.preset, r.set ?? {}) / r.params,
    params: r.params,
    bpb: r.bpb,
  }));
  for (const repository of new Set(rows.map((r) => r.repository))) {
    const plain = networks.filter(
      (r) =>
        r.study === "parts" && r.arm === DEFAULT_ARM && r.repository === repository && r.seed === 1,
    );
    if (plain.length > 0)
      points.push({
        repository,
        rowsShare: 0,
        params: plain[0]!.params,
        bpb: median(plain.map((r) => r.bpb)),
      });
  }
  return { device: networks[0]!.device, index, rows: points };
}

let results: Results | undefined;
if (values.out !== undefined) {
  results = measured(values.out);
  writeFileSync(file, `${JSON.stringify(results)}\n`);
} else if (existsSync(file)) results = JSON.parse(readFileSync(file, "utf8")) as Results;
if (results === undefined) {
  process.stderr.write("there are no results: --out names the folder of parts.ts\n");
  process.exit(2);
}
const { index, rows } = results;

const shareOf = (p: IndexPoint): number => p.memoryBytes / (p.memoryBytes + p.networkBytes);
const percent: Panel["x"] = { label: "", from: 0, to: 100, ticks: [0, 20, 40, 60, 80, 100] };

function indexPanel(repository: string): Panel {
  const here = index
    .filter((p) => p.repository === repository)
    .sort((a, b) => shareOf(a) - shareOf(b));
  const line = (name: string, of: "mixed" | "network" | "memory"): Series => ({
    name,
    points: here.flatMap((p) => (p[of] === null ? [] : [[100 * shareOf(p), p[of]] as const])),
    dots: true,
  });
  const series = [
    line("network and memory", "mixed"),
    line("network alone", "network"),
    line("memory alone", "memory"),
  ];
  const mean = here.reduce((sum, p) => sum + p.memoryBytes + p.networkBytes, 0) / here.length;
  return {
    title: `${repository}: ${(mean / 1e6).toFixed(0)} MB in all`,
    x: { ...percent, label: "% of the bytes in the exact memory" },
    y: linearAxis(
      "held-out bits per byte",
      series.flatMap((s) => s.points.map(([, y]) => y)),
    ),
    series,
  };
}

function rowsPanel(repository: string): Panel {
  const points = rows
    .filter((p) => p.repository === repository)
    .map((p) => [100 * p.rowsShare, p.bpb] as const)
    .sort((a, b) => a[0] - b[0]);
  return {
    title: `${repository}: equal parameters`,
    x: { ...percent, label: "% of the parameters in n-gram rows" },
    y: linearAxis(
      "held-out bits per byte",
      points.map(([, y]) => y),
    ),
    series: [{ name: "network with n-gram rows", points, dots: true }],
  };
}

const repositories = [...new Set(index.map((p) => p.repository))];
writeFileSync(
  join(media, "memoryNetwork.svg"),
  chart(
    [...repositories.map(indexPanel), ...repositories.map(rowsPanel)],
    "Held-out bits per byte against the share of a fixed total size that memory has instead of the network",
  ),
);
for (const p of [...index].sort(
  (a, b) => a.repository.localeCompare(b.repository) || shareOf(a) - shareOf(b),
))
  process.stdout.write(
    `${p.repository.padEnd(12)} memory ${(p.memoryBytes / 1e6).toFixed(1)} MB (${(100 * p.covered).toFixed(0)} % of files), network ${(p.networkBytes / 1e6).toFixed(1)} MB: mixed ${p.mixed.toFixed(4)}, network ${p.network?.toFixed(4) ?? "–"}, memory ${p.memory?.toFixed(4) ?? "–"}\n`,
  );
for (const p of [...rows].sort(
  (a, b) => a.repository.localeCompare(b.repository) || a.rowsShare - b.rowsShare,
))
  process.stdout.write(
    `${p.repository.padEnd(12)} ${(100 * p.rowsShare).toFixed(0)} % of ${(p.params / 1e6).toFixed(2)} M in rows: ${p.bpb.toFixed(4)}\n`,
  );
