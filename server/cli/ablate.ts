/**
 * `narrowgauge ablate`: the rows of a table trained on equal bytes, with several seeds, on several repositories, and
 * measured on files that no training saw. Writes a table of medians after every run; what is done is not done again.
 */
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Model, openDevice, presetConfig, train } from "../../model/index.ts";
import type { FactLexicon } from "../../model/index.ts";
import { AblationJournal } from "./ablateJournal.ts";
import { ablationMarkdown, mediansOf } from "./ablateReport.ts";
import type { AblationMedians, AblationRun } from "./ablateReport.ts";
import { factsOf, openRepository } from "./ablateRepository.ts";
import type { Repository } from "./ablateRepository.ts";
import { readTable, TABLE_NAMES } from "./ablateTables.ts";
import type { AblationRow, AblationTable } from "./ablateTables.ts";
import { DEVICE_FLAG, JSON_FLAG } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { ClassFigures } from "./classFigures.ts";
import { identifierHits, sum } from "./scoring.ts";
import { plural, ProgressLine, size, terminalLogger } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const PRESETS = ["nano", "small", "base"] as const;
const DEFAULT_SEEDS = 3;
const DEFAULT_MEASURED = 200_000;

export const ABLATE: CommandSpec = {
  name: "ablate",
  summary: "train and measure the variants of a table",
  flags: {
    table: {
      value: `${TABLE_NAMES.join("|")}|FILE`,
      required: true,
      help: "a built-in table, or a JSON file of one",
    },
    repos: {
      value: "DIR,…",
      required: true,
      help: "repositories; those with workspace/ and heldout/ in them are taken as split",
    },
    out: { value: "DIR", required: true, help: "folder of the results; runs found there are kept" },
    preset: {
      value: PRESETS.join("|"),
      choices: PRESETS,
      fallback: "nano",
      help: "what the variants start from",
    },
    bytes: { value: "N", required: true, help: "bytes that every variant is trained on" },
    seeds: { value: "N", fallback: String(DEFAULT_SEEDS), help: "seeds of every row, 1 to N" },
    measured: {
      value: "N",
      fallback: String(DEFAULT_MEASURED),
      help: "bytes of held-out files to measure, at least one file",
    },
    facts: {
      value: "auto|off",
      choices: ["auto", "off"],
      fallback: "auto",
      help: "ask language servers what they know",
    },
    device: DEVICE_FLAG,
    json: JSON_FLAG,
  },
};

interface Ablation {
  readonly table: AblationTable;
  readonly preset: (typeof PRESETS)[number];
  readonly bytes: number;
  readonly measuredBytes: number;
  readonly facts: "auto" | "off";
  readonly out: string;
  readonly on: { device: Awaited<ReturnType<typeof openDevice>>["device"]; reason: string };
  readonly journal: AblationJournal;
  readonly terminal: Terminal;
  readonly progress: ProgressLine;
}

export async function runAblate(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const table = await readTable(flags.need("table"));
  const preset = flags.need("preset") as Ablation["preset"];
  const bytes = flags.number("bytes", { min: 1 })!;
  const seeds = flags.number("seeds", { min: 1, max: 1000, integer: true })!;
  const measuredBytes = flags.number("measured", { min: 1 })!;
  // Before anything is trained: a wrong name in the last row should not cost the first ones.
  for (const row of table.rows) presetConfig(preset, row.set);
  const out = resolve(flags.need("out"));
  const repositories: Repository[] = [];
  for (const folder of flags.need("repos").split(","))
    repositories.push(await openRepository(folder, { measuredBytes, signal: terminal.signal }));
  const journal = await AblationJournal.open(out);
  const progress = new ProgressLine(terminal);
  const on = await openDevice(flags.need("device") as "auto" | "gpu" | "cpu", {
    logger: terminalLogger(terminal, progress),
  });
  const o: Ablation = {
    table,
    preset,
    bytes,
    measuredBytes,
    facts: flags.need("facts") as "auto" | "off",
    out,
    on,
    journal,
    terminal,
    progress,
  };
  const runs: AblationRun[] = [];
  try {
    for (const repository of repositories) {
      let lexicon: Promise<FactLexicon> | undefined;
      const facts = (): Promise<FactLexicon> =>
        (lexicon ??= factsOf(repository, { sources: o.facts, signal: terminal.signal }));
      for (let seed = 1; seed <= seeds; seed++)
        for (const group of alike(table.rows)) {
          runs.push(...(await runGroup(o, { repository, group, seed, facts })));
          await report(o, runs);
        }
    }
  } finally {
    progress.close();
    await on.device.dispose();
  }
  const medians = await report(o, runs);
  terminal.out(
    flags.has("json")
      ? JSON.stringify({ table: table.name, device: on.device.name, medians, runs })
      : ablationMarkdown(titleOf(o), medians).trimEnd(),
  );
}

/** Rows that are trained alike, together, in the order of the first of them. */
function alike(rows: readonly AblationRow[]): AblationRow[][] {
  const groups = new Map<string, AblationRow[]>();
  for (const row of rows) {
    const key = JSON.stringify(Object.entries(row.set).sort());
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return [...groups.values()];
}

interface Group {
  readonly repository: Repository;
  readonly group: readonly AblationRow[];
  readonly seed: number;
  readonly facts: () => Promise<FactLexicon>;
}

/** Everything that a run's figures depend on, except the program's version. */
function keyOf(o: Ablation, { repository, seed }: Group, row: AblationRow): string {
  const hash = createHash("sha256");
  for (const files of [repository.train, repository.fitted, repository.measured]) {
    for (const file of files) hash.update(file.path).update("\0").update(file.bytes).update("\0");
    hash.update("\x01");
  }
  const { preset, bytes, facts } = o;
  const kind = o.on.device.kind;
  const { name: _, ...what } = row;
  return JSON.stringify({ preset, bytes, facts, kind, seed, what, files: hash.digest("hex").slice(0, 16) }); // prettier-ignore
}

async function runGroup(o: Ablation, g: Group): Promise<AblationRun[]> {
  const keys = new Map(g.group.map((row) => [row, keyOf(o, g, row)] as const));
  const known = g.group.map((row) => o.journal.find(keys.get(row)!));
  const named = (run: AblationRun, row: AblationRow): AblationRun => ({
    ...run,
    repository: g.repository.name,
    row: row.name,
  });
  if (known.every((run) => run !== undefined))
    return known.map((run, i) => named(run, g.group[i]!));
  const { signal } = o.terminal;
  signal.throwIfAborted();
  const dir = join(o.out, "model");
  await rm(dir, { recursive: true, force: true });
  const { repository, seed } = g;
  const trained = await train({
    files: repository.train,
    heldout: repository.fitted,
    out: dir,
    preset: o.preset,
    seed,
    device: "auto",
    on: o.on,
    bytes: o.bytes,
    overrides: g.group[0]!.set,
    lexicon: await g.facts(),
    logger: terminalLogger(o.terminal, o.progress),
    signal,
    onProgress: (p) => o.progress.update(p),
  });
  signal.throwIfAborted();
  const runs: AblationRun[] = [];
  for (const [i, row] of g.group.entries()) {
    const before = known[i];
    if (before !== undefined) {
      runs.push(named(before, row));
      continue;
    }
    const run: AblationRun = {
      key: keys.get(row)!,
      repository: repository.name,
      row: row.name,
      seed,
      params: trained.params,
      trained_bytes: trained.bytes,
      bytes_per_s: trained.bytes_per_s,
      ...(await measure(o, { repository, row, dir })),
      device: trained.device,
    };
    await o.journal.add(run);
    runs.push(run);
  }
  await rm(dir, { recursive: true, force: true });
  return runs;
}

type Measured = Pick<
  AblationRun,
  "measured_bytes" | "bpb" | "bpb_network" | "bpb_memory" | "bpb_identifier" | "identifier_top1"
>;

/** Each file alone, from its first byte; loaded anew, so that what one row absorbed is not there for the next. */
async function measure(
  o: Ablation,
  { repository, row, dir }: { repository: Repository; row: AblationRow; dir: string },
): Promise<Measured> {
  const { memory, network, candidates } = row;
  const model = await Model.load(dir, { device: "auto", on: o.on });
  try {
    const classes = new ClassFigures({ memory, network });
    let [bytes, bits, bitsNetwork, bitsMemory, identifiers, right] = [0, 0, 0, 0, 0, 0];
    for (const file of repository.measured) {
      o.terminal.signal.throwIfAborted();
      const scored = await model.score({
        ...file,
        memory,
        network,
        candidates,
        ...(row.session === "on" ? { session: 1 } : {}),
      });
      bytes += file.bytes.length;
      bits += sum(scored.bits);
      bitsNetwork += sum(scored.bitsNetwork);
      bitsMemory += sum(scored.bitsMemory);
      classes.add(file, scored);
      const hits = identifierHits(file.bytes, scored.top1);
      identifiers += hits.identifiers;
      right += hits.right;
      if (row.session === "on") model.setFile(file.path, file.bytes);
    }
    return {
      measured_bytes: bytes,
      bpb: bits / bytes,
      bpb_network: network === "on" ? bitsNetwork / bytes : null,
      bpb_memory: memory === "on" ? bitsMemory / bytes : null,
      bpb_identifier: classes.result().identifier?.bpb ?? null,
      identifier_top1: identifiers === 0 ? null : right / identifiers,
    };
  } finally {
    await model.dispose();
  }
}

const titleOf = (o: Ablation): string =>
  `${o.table.name}: ${o.preset}, ${size(o.bytes)} of training, medians over seeds, ${o.on.device.name}`;

async function report(o: Ablation, runs: readonly AblationRun[]): Promise<AblationMedians[]> {
  const medians = mediansOf(o.table.rows, runs);
  const { name } = o.table;
  await o.journal.write(`${name}.md`, ablationMarkdown(titleOf(o), medians));
  const about = { table: name, preset: o.preset, bytes: o.bytes, device: o.on.device.name };
  await o.journal.write(
    `${name}.json`,
    `${JSON.stringify({ ...about, medians, runs }, null, 1)}\n`,
  );
  o.progress.close();
  const last = runs.at(-1);
  if (last !== undefined)
    o.terminal.err(
      `${last.repository}, ${last.row}, seed ${last.seed}: ${last.bpb.toFixed(4)} bpb; ${plural(runs.length, "run")} done\n`,
    );
  return medians;
}
