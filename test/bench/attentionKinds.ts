/**
 * Plots of attention kinds: quality at equal size and at equal arithmetic, from the runs of parts.ts, and, from those of
 * attentionCost.ts and attentionCost.py, the cache and the time by the length of the context.
 *
 * node test/bench/run.mjs attentionKinds --out DIR [--cost FILE]
 *
 * Results: media/attentionKinds.json and .svg, media/attentionCost.svg. Without --out they are drawn again from the JSON.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { presetConfig, type ModelConfig } from "../../model/config.ts";
import { attentionSizes } from "../../model/params.ts";
import { linearAxis, logAxis } from "./axes.ts";
import { median, readRuns, type NetworkRun } from "./benchRuns.ts";
import { chart, type Panel, type Series } from "./chart.ts";
import { DEFAULT_ARM, FEW_KEY_DIMS } from "./partsArms.ts";
import { ATTENTION_ARMS } from "./studies.ts";

const { values } = parseArgs({ options: { out: { type: "string" }, cost: { type: "string" } } });
const media = join(process.cwd(), "media");
const file = join(media, "attentionKinds.json");

/** Of the repositories here; the rules end a patch about so often. */
const BYTES_PER_PATCH = 6.7;

interface Quality {
  readonly repository: string;
  readonly arm: string;
  readonly seeds: number;
  readonly params: number;
  /** Floating-point operations of a forward pass, per byte. */
  readonly flop: number;
  readonly bpb: number;
}

interface Cost {
  readonly kind: string;
  readonly mode: "window" | "extend";
  readonly length: number;
  readonly us: number;
  readonly lookup: number;
  readonly device: string;
}

interface Results {
  readonly device: string;
  readonly preset: string;
  readonly quality: readonly Quality[];
  readonly costs: readonly Cost[];
}

/** Operations of a score, and of the value that it weighs, for one pair of a head. */
function pairFlop(c: ModelConfig, where: "local" | "trunk", few: boolean): number {
  const { bands, headDim } = attentionSizes(c, where);
  const score =
    c.attention === "dot"
      ? 2 * (few ? FEW_KEY_DIMS : headDim)
      : 3 * (c.attention === "published" ? 1 : bands);
  return score + 2 * headDim;
}

/** Grid: 64 points carried in and out per row, and half a chunk of pairs. */
const GRID_POINTS = 64;
function lookupFlop(c: ModelConfig, where: "local" | "trunk", keys: number, few: boolean): number {
  const { nHeads, headDim } = attentionSizes(c, where);
  if (c.attention !== "grid" || where === "local") return nHeads * keys * pairFlop(c, where, few);
  return nHeads * (GRID_POINTS * 4 * headDim + (GRID_POINTS / 2) * pairFlop(c, where, few));
}

/** Matrix entries that a row meets in one layer, keys' and queries' maps included. */
function layerEntries(c: ModelConfig, where: "local" | "trunk", few: boolean): number {
  const { channels: C, nHeads, headDim, nTied, nFree, bands } = attentionSizes(c, where);
  const ends = 2 * C * C + 8 * C * C;
  if (c.attention === "dot" || c.attention === "published")
    return ends + 2 * C * nHeads * (few ? FEW_KEY_DIMS : headDim);
  return ends + 2 * C * (nTied * c.energyChannels + nFree * bands) + C * nHeads;
}

/** Forward, per byte: matrix products and attention; streams, norms and the like are left out. */
function flopPerByte(c: ModelConfig, few: boolean): number {
  const local = c.encoderLayers + c.decoderLayers;
  const perPatch = 1 / BYTES_PER_PATCH;
  const localLayer =
    2 * layerEntries(c, "local", few) + lookupFlop(c, "local", c.localWindow / 2, few);
  const trunkLayer =
    2 * layerEntries(c, "trunk", few) +
    lookupFlop(c, "trunk", c.context / 2 / BYTES_PER_PATCH, few);
  const ends = 2 * c.localChannels * (256 + 2 * c.trunkChannels * perPatch);
  return local * localLayer + c.trunkLayers * trunkLayer * perPatch + ends;
}

/** The name in the legend. */
const kindName = (arm: string): string => (arm === DEFAULT_ARM ? "eight and four bands" : arm);

function qualityOf(runs: readonly NetworkRun[]): Quality[] {
  const plotted = new Set(runs.filter((r) => r.study === "sizes").map((r) => r.repository));
  const groups = new Map<string, NetworkRun[]>();
  for (const r of runs) {
    if (r.study === "rows" || !plotted.has(r.repository) || !ATTENTION_ARMS.includes(r.arm))
      continue;
    const key = `${r.repository} ${r.arm} ${r.size ?? ""}`;
    groups.set(key, [...(groups.get(key) ?? []), r]);
  }
  return [...groups.values()].map((group) => {
    const { repository, arm, params, preset, set } = group[0]!;
    const few = arm === "dot product, equal key cache";
    return {
      repository,
      arm: kindName(arm),
      seeds: group.length,
      params,
      flop: Math.round(flopPerByte(presetConfig(preset, set ?? {}), few)),
      bpb: median(group.map((r) => r.bpb)),
    };
  });
}

function readCosts(path: string): Cost[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Cost);
}

const known = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Results) : undefined;
let results = known;
if (values.out !== undefined) {
  const { networks } = readRuns(values.out);
  const [first] = networks;
  results = {
    device: first!.device,
    preset: first!.preset,
    quality: qualityOf(networks),
    costs: values.cost === undefined ? (known?.costs ?? []) : readCosts(values.cost),
  };
  writeFileSync(file, `${JSON.stringify(results)}\n`);
}
if (results === undefined) {
  process.stderr.write("there are no results: --out names the folder of parts.ts\n");
  process.exit(2);
}
const { quality, costs } = results;

const kinds = ATTENTION_ARMS.map(kindName);
function qualityPanel(repository: string, what: "params" | "flop"): Panel {
  const here = quality.filter((q) => q.repository === repository);
  const series = kinds.flatMap((arm): Series[] => {
    const points = here
      .filter((q) => q.arm === arm)
      .map((q) => [q[what] / 1e6, q.bpb] as const)
      .sort((a, b) => a[0] - b[0]);
    return points.length === 0 ? [] : [{ name: arm, points, dots: true }];
  });
  const xs = here.map((q) => q[what] / 1e6);
  return {
    title: `${repository}: ${what === "params" ? "at equal size" : "at equal arithmetic"}`,
    x:
      what === "params"
        ? linearAxis("million parameters", xs)
        : linearAxis("MFLOP per byte, forward", xs),
    y: linearAxis(
      "held-out bits per byte",
      here.map((q) => q.bpb),
    ),
    series,
  };
}
const repositories = [...new Set(quality.map((q) => q.repository))];
if (repositories.length > 0)
  writeFileSync(
    join(media, "attentionKinds.svg"),
    chart(
      repositories.flatMap((r) => [qualityPanel(r, "params"), qualityPanel(r, "flop")]),
      "Held-out bits per byte of attention kinds against parameters and against arithmetic",
    ),
  );

/** Numbers that a key leaves per head of 64. */
const KEY_NUMBERS: Readonly<Record<string, number>> = {
  "eight bands": 9,
  "four bands": 5,
  grid: 2,
  "dot product": 64,
};
const HEADS = 8;

function costPanel(mode: Cost["mode"], title: string): Panel {
  const here = costs.filter((c) => c.mode === mode);
  const series = [...new Set(here.map((c) => c.kind))].map((kind) => ({
    name: kind,
    points: here
      .filter((c) => c.kind === kind)
      .map((c) => [c.length, c.lookup] as const)
      .sort((a, b) => a[0] - b[0]),
    dots: true as const,
  }));
  return {
    title,
    x: lengths,
    y: logAxis(
      "microseconds",
      here.map((c) => c.lookup),
    ),
    series,
  };
}
const lengths = logAxis(
  "context, positions",
  [1024, 32768],
  [1024, 2048, 4096, 8192, 16384, 32768],
);
if (costs.length > 0) {
  const cached = Object.entries(KEY_NUMBERS).map(([name, numbers]) => ({
    name,
    points: lengths.ticks.map((n) => [n, (n * numbers * HEADS * 4) / 2 ** 20] as const),
  }));
  const cache: Panel = {
    title: "Cache of one layer's keys, 8 heads",
    x: lengths,
    y: logAxis(
      "MiB in f32 (values: as dot product)",
      cached.flatMap((s) => s.points.map(([, y]) => y)),
    ),
    series: cached,
  };
  writeFileSync(
    join(media, "attentionCost.svg"),
    chart(
      [
        cache,
        costPanel("window", "Lookup over a whole window, forward"),
        costPanel("extend", "Lookup of one byte more behind a cache"),
      ],
      "Cache of keys and time of a lookup against the length of the context, for attention kinds",
    ),
  );
}
for (const q of quality)
  process.stdout.write(
    `${q.repository.padEnd(12)} ${q.arm.padEnd(30)} ${(q.params / 1e6).toFixed(2).padStart(6)} M  ${(q.flop / 1e6).toFixed(2).padStart(6)} MFLOP/byte  ${q.bpb.toFixed(4)} (${q.seeds})\n`,
  );
for (const c of costs)
  process.stdout.write(
    `${c.kind.padEnd(20)} ${c.mode.padEnd(6)} ${String(c.length).padStart(6)}  lookup ${c.lookup.toFixed(1)} µs, sublayer ${c.us.toFixed(1)} µs\n`,
  );
