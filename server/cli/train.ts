/**
 * `narrowgauge train`: the files of a folder, what language servers know about them, a model. The model keeps
 * its own held-out files and reports on them; an interrupted training keeps its last checkpoint.
 */
import { readdir, stat } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { AUTO_SECONDS, CheckpointError, CorpusError, train } from "../../model/index.ts";
import type { CorpusFile, TrainOptions, TrainResult } from "../../model/index.ts";
import { DEFAULT_MAX_FILE_KIB, walkCorpus } from "../corpus/walk.ts";
import { splitHeldout } from "../corpus/split.ts";
import { collectFacts } from "../facts/collect.ts";
import { DEVICE_FLAG, JSON_FLAG, UsageError } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { corpusReport, leftOutSummary } from "./corpusReport.ts";
import { factsReport } from "./factsReport.ts";
import { bpb, clock, plural, ProgressLine, rate, size, terminalLogger } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const PRESETS = ["auto", "nano", "small", "base"] as const;
/** Language servers may take this share of the time that --minutes gives, within bounds. */
const FACTS_SHARE = 0.25;
/** Facts may have taken all of a very short run. */
const MIN_MINUTES = 0.02;
/** A language server needs this long to start at all. */
const FACTS_MIN_MS = 12_000;
const FACTS_MAX_MS = 60_000;

export const TRAIN: CommandSpec = {
  name: "train",
  summary: "train a model on the files of a folder",
  flags: {
    workspace: { value: "DIR", required: true, help: "folder to learn from" },
    out: { value: "MODEL", required: true, help: "folder for the model" },
    preset: {
      value: PRESETS.join("|"),
      choices: PRESETS,
      fallback: "auto",
      help: "size of the model; auto: by the workspace and this machine's measured speed, about three minutes in all",
    },
    bytes: { value: "N", help: "how many bytes to train on, such as 39e6" },
    minutes: {
      value: "M",
      help: "how long to train, instead of --bytes; with preset auto, the whole run",
    },
    seed: { value: "S", fallback: "1", help: "seed of every random choice" },
    device: DEVICE_FLAG,
    facts: {
      value: "auto|off",
      choices: ["auto", "off"],
      fallback: "auto",
      help: "ask language servers what they know",
    },
    resume: { help: "go on from the checkpoint in --out" },
    "max-file-kib": {
      value: "N",
      fallback: String(DEFAULT_MAX_FILE_KIB),
      help: "leave out larger files",
    },
    dependencies: {
      value: "DIR,…",
      help: "learn first from these folders of other people's code, such as node_modules",
    },
    set: {
      value: "NAME=VALUE,…",
      help: "change parts of the preset, such as attention=dot,residual=plain",
    },
    json: JSON_FLAG,
  },
};

export async function runTrain(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const started = performance.now();
  const bytes = flags.number("bytes", { min: 1 });
  const minutes = flags.number("minutes", { min: 0.01, max: 10_000 });
  if (bytes !== undefined && minutes !== undefined)
    throw new UsageError("--bytes and --minutes exclude each other", "give one of them");
  const seed = flags.number("seed", { min: 0, max: 2 ** 32 - 1, integer: true })!;
  const maxFileKiB = flags.number("max-file-kib", { min: 1, max: 65_536 })!;
  const overrides = parseOverrides(flags.text("set"));
  const root = resolve(flags.need("workspace"));
  const out = resolve(flags.need("out"));

  // A model inside the workspace must not learn from itself.
  const inside = relative(root, out).split(sep).join("/");
  const exclude = inside === "" || inside.startsWith("../") ? [] : [`/${inside}/`];
  const walk = await walkCorpus({ root, maxFileKiB, exclude, signal: terminal.signal });
  terminal.err(corpusReport(walk));
  if (walk.files.length === 0) {
    const left = leftOutSummary(walk);
    throw new CorpusError(
      "NG_CORPUS_EMPTY",
      `there is nothing to learn from in ${root}${left === "" ? ": the folder is empty" : `: ${left}`}`,
      left === ""
        ? "name a folder that holds source files"
        : "name another folder, or take files back in with !path in .narrowgaugeignore",
    );
  }
  const dependencies = await dependencyFiles(flags.text("dependencies"), maxFileKiB, terminal);
  await checkOut(out, flags.has("resume") ? "resume" : "fresh");
  const split = splitHeldout(walk.files);
  if (split.heldout.length === 0)
    terminal.err(
      "one file only: nothing can be held out, so the quality stays unmeasured; memory of the file does most of the work\n",
    );

  const progress = new ProgressLine(terminal);
  const logger = terminalLogger(terminal, progress);
  const gathering = new AbortController();
  // The memory is built and the driver compiles meanwhile.
  const facts = collectFacts({
    files: split.train,
    root,
    budgetMs:
      minutes === undefined && flags.need("preset") !== "auto"
        ? FACTS_MAX_MS
        : Math.min(
            FACTS_MAX_MS,
            Math.max(FACTS_MIN_MS, (minutes ?? AUTO_SECONDS / 60) * 60_000 * FACTS_SHARE),
          ),
    sources: flags.need("facts") as "auto" | "off",
    onProgress: (p) => progress.show("facts", p.done / Math.max(1, p.total), [p.languageId]),
    signal: AbortSignal.any([terminal.signal, gathering.signal]),
    logger,
  }).then((gathered) => {
    progress.close();
    terminal.err(factsReport(gathered.report));
    return gathered;
  });
  const lexicon = facts.then((gathered) => gathered.lexicon);
  const symbols = facts.then((gathered) => gathered.symbols);
  // A failure is told by whoever waits for it; a training that failed before waits for nobody.
  for (const awaited of [lexicon, symbols]) awaited.catch(() => undefined);
  const auto = flags.need("preset") === "auto";
  const spentMinutes = (performance.now() - started) / 60_000;
  const options: TrainOptions = {
    files: split.train,
    heldout: split.heldout,
    out,
    preset: flags.need("preset") as TrainOptions["preset"],
    seed,
    device: flags.need("device") as TrainOptions["device"],
    resume: flags.has("resume"),
    onProgress: (p) => progress.update(p),
    signal: terminal.signal,
    logger,
    ...(bytes === undefined ? {} : { bytes }),
    // A preset that is chosen by itself counts what was spent before.
    ...(auto
      ? { minutes: Math.max(MIN_MINUTES, (minutes ?? AUTO_SECONDS / 60) - spentMinutes) }
      : minutes === undefined
        ? {}
        : { minutes }),
    onChoice: (choice) => {
      progress.close();
      terminal.err(`auto: ${choice.why.join("\nauto: ")}\n`);
    },
    ...(overrides === undefined ? {} : { overrides }),
    ...(dependencies.length === 0 ? {} : { dependencies }),
    lexicon,
    symbols,
  };
  let result: TrainResult;
  try {
    result = await train(options);
  } finally {
    gathering.abort();
    await facts.catch(() => undefined);
    progress.close();
  }
  if (flags.has("json")) terminal.out(JSON.stringify(result));
  else terminal.out(trainSummary(result, out));
}

/** The readable files of the folders named, each under its path in its folder. */
async function dependencyFiles(
  list: string | undefined,
  maxFileKiB: number,
  terminal: Terminal,
): Promise<CorpusFile[]> {
  const files: CorpusFile[] = [];
  for (const folder of list?.split(",") ?? []) {
    const root = resolve(folder.trim());
    const select = "dependencies" as const;
    const walk = await walkCorpus({ root, maxFileKiB, select, signal: terminal.signal });
    terminal.err(`dependencies in ${root}: ${corpusReport(walk)}`);
    files.push(...walk.files);
  }
  return files;
}

/** "attention=dot,streams=2" → { attention: "dot", streams: 2 }; the model checks names and values. */
function parseOverrides(text: string | undefined): TrainOptions["overrides"] {
  if (text === undefined) return undefined;
  const entries = text.split(",").map((part) => {
    const [, name, value] = /^\s*([A-Za-z]\w*)=(.+?)\s*$/.exec(part) ?? [];
    if (name === undefined || value === undefined)
      throw new UsageError(`--set cannot read "${part}"`, "write name=value, separated by commas");
    const number = Number(value);
    return [name, Number.isFinite(number) ? number : value] as const;
  });
  return Object.fromEntries(entries);
}

/** What an interrupted training may leave before its first checkpoint. */
const OURS =
  /^(metrics\.jsonl|speed\.json(\.new)?|manifest\.json\.new|(weights|optimizer|memory|engram|lexicon|symbols|bpe)-[0-9a-f]+\..+)$/;

/** Refuses to mix a model with other files, and says early when the place cannot be used. */
async function checkOut(out: string, kind: "fresh" | "resume"): Promise<void> {
  const entries = await readdir(out).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === "ENOTDIR" || (await stat(out).catch(() => undefined))?.isFile() === true)
      throw new CheckpointError(
        "NG_CHECKPOINT_PLACE",
        `${out} is a file, a model is a folder`,
        "name another folder with --out",
      );
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  const holdsModel =
    entries !== undefined &&
    (await stat(join(out, "manifest.json")).catch(() => undefined)) !== undefined;
  if (kind === "resume" && !holdsModel)
    throw new CheckpointError(
      "NG_CHECKPOINT_MISSING",
      `there is no model in ${out} to resume`,
      "leave --resume out to start a new one",
    );
  if (kind === "fresh" && entries?.every((name) => OURS.test(name)) === false && !holdsModel)
    throw new CheckpointError(
      "NG_CHECKPOINT_PLACE",
      `${out} holds other files and no model`,
      "name an empty or new folder with --out",
    );
}

function trainSummary(result: TrainResult, out: string): string {
  return [
    result.stopped === "aborted"
      ? `stopped early, the model so far is in ${out}`
      : `model in ${out}`,
    `${(result.params / 1e6).toFixed(2)} M parameters, ${size(result.bytes)} trained in ${clock(result.seconds)} (${rate(result.bytes_per_s)}) on ${result.device}: ${result.deviceReason}`,
    result.heldout_bpb === null
      ? `held out: nothing, the workspace has ${plural(1, "file")}`
      : `held out: ${bpb(result.heldout_bpb)} (network alone ${bpb(result.heldout_bpb_network)}, memory alone ${bpb(result.heldout_bpb_memory)})`,
    ...result.notes,
  ].join("\n");
}
