/**
 * `narrowgauge eval`: bits per byte of files the model has not seen. Each file is presented alone, from its
 * first byte, knowing only its path, left to right; with --session, memory absorbs each file after it is
 * scored. Nothing is written back to the model.
 */
import { resolve } from "node:path";
import { CorpusError, Model } from "../../model/index.ts";
import type { CorpusFile } from "../../model/index.ts";
import { walkCorpus } from "../corpus/walk.ts";
import { DEVICE_FLAG, JSON_FLAG, MODEL_FLAG, UsageError } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { Baselines } from "./baselines.ts";
import { ClassFigures } from "./classFigures.ts";
import { leftOutSummary } from "./corpusReport.ts";
import { evalSummary } from "./evalReport.ts";
import type { EvalResult } from "./evalReport.ts";
import { IdentifierFigures, identifierSpots } from "./identifierFigures.ts";
import { LineFigures } from "./lineFigures.ts";
import { LIST_FLAGS, listsOf, openLists } from "./listFlags.ts";
import type { OfferedLists } from "./offeredLists.ts";
import { PerByteFile } from "./perByteFile.ts";
import { byFile, cutLines, identifierHits, sample, sum } from "./scoring.ts";
import type { CutLine } from "./scoring.ts";
import { clock, ProgressLine, rate, terminalLogger } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";
import { TypingFigures } from "./typing.ts";

const DEFAULT_LINES = 100;
const DEFAULT_IDENTIFIERS = 50;
const DEFAULT_TYPED_LINES = 5;
const MAX_LINE_BYTES = 200;
/** Larger files are data; they are named and skipped. */
const MAX_FILE_KIB = 4_096;

const ON_OFF = { value: "on|off", choices: ["on", "off"], fallback: "on" } as const;

export const EVAL: CommandSpec = {
  name: "eval",
  summary: "measure a model on files it has not seen",
  flags: {
    model: MODEL_FLAG,
    files: { value: "DIR", required: true, help: "folder of the files to score" },
    memory: { ...ON_OFF, help: "use the exact memory of the workspace" },
    network: { ...ON_OFF, help: "use the network" },
    session: { help: "let memory absorb each file after it is scored" },
    "per-byte": { value: "FILE", help: "write float32 -log2 p of every byte, and FILE.json" },
    lines: {
      value: "N",
      fallback: String(DEFAULT_LINES),
      help: "how many lines to complete for line_exact_match",
    },
    identifiers: {
      value: "N",
      fallback: String(DEFAULT_IDENTIFIERS),
      help: "how many identifiers to guess with 0, 1 and 2 bytes typed",
    },
    "typed-lines": {
      value: "N",
      fallback: String(DEFAULT_TYPED_LINES),
      help: "how many lines to type key by key",
    },
    candidates: { ...ON_OFF, help: "let names in scope change the mixture" },
    ...LIST_FLAGS,
    baselines: { help: "measure copying, counting and compressors on the same lines and files" },
    bytegpt: { value: "FILE", help: "with --baselines: what test/bench/bytegpt.py printed" },
    seed: { value: "S", fallback: "1", help: "seed of the choice of lines" },
    device: DEVICE_FLAG,
    json: JSON_FLAG,
  },
};

type Switch = "on" | "off";

export async function runEval(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const memory = flags.need("memory") as Switch;
  const network = flags.need("network") as Switch;
  if (memory === "off" && network === "off")
    throw new UsageError("memory and network are both off", "leave at least one of them on");
  const count = (name: string): number => flags.number(name, { min: 0, max: 1e6, integer: true })!;
  const bytegpt = flags.text("bytegpt");
  if (bytegpt !== undefined && !flags.has("baselines"))
    throw new UsageError("--bytegpt is a baseline", "give --baselines with it");
  const seed = flags.number("seed", { min: 0, max: 2 ** 32 - 1, integer: true })!;
  const source = listsOf(flags);
  const dir = resolve(flags.need("files"));
  const walk = await walkCorpus({
    root: dir,
    select: "everything",
    maxFileKiB: MAX_FILE_KIB,
    signal: terminal.signal,
  });
  if (walk.files.length === 0) {
    const left = leftOutSummary(walk);
    throw new CorpusError(
      "NG_CORPUS_EMPTY",
      `there is nothing to score in ${dir}${left === "" ? ": the folder is empty" : `: ${left}`}`,
      "name a folder that holds text files",
    );
  }
  for (const one of walk.excluded) terminal.err(`skipped: ${one.path} (${one.detail})\n`);

  const progress = new ProgressLine(terminal);
  const logger = terminalLogger(terminal, progress);
  const model = await Model.load(flags.need("model"), {
    device: flags.need("device") as "auto" | "gpu" | "cpu",
    logger,
  });
  const lists = await openLists(source, {
    paths: walk.files.map(({ path }) => path),
    say: (message) => terminal.err(message),
  });
  const perByte =
    flags.text("per-byte") === undefined
      ? undefined
      : await PerByteFile.create(flags.need("per-byte"));
  try {
    const result = await evaluate({
      model,
      files: walk.files,
      memory,
      network,
      session: flags.has("session") ? "on" : "off",
      nLines: count("lines"),
      nIdentifiers: count("identifiers"),
      nTyped: count("typed-lines"),
      candidates: flags.need("candidates") as Switch,
      baselines: flags.has("baselines") ? { bytegpt } : undefined,
      seed,
      perByte,
      lists,
      terminal,
      progress,
      skipped: walk.excluded.map(({ path, reason }) => ({ path, reason })),
    });
    progress.close();
    await perByte?.finish();
    terminal.out(flags.has("json") ? JSON.stringify(result) : evalSummary(result));
  } finally {
    progress.close();
    await perByte?.close();
    await lists?.dispose();
    await model.dispose();
  }
}

interface Evaluation {
  readonly model: Model;
  readonly files: readonly CorpusFile[];
  readonly memory: Switch;
  readonly network: Switch;
  readonly session: Switch;
  readonly candidates: Switch;
  readonly nLines: number;
  readonly nIdentifiers: number;
  readonly nTyped: number;
  readonly baselines: { readonly bytegpt: string | undefined } | undefined;
  readonly seed: number;
  readonly perByte: PerByteFile | undefined;
  readonly lists: OfferedLists | undefined;
  readonly terminal: Terminal;
  readonly progress: ProgressLine;
  readonly skipped: EvalResult["skipped"];
}

/** No answer may depend on how long the line is, except that it need not go far beyond it. */
const wanted = (line: CutLine): number => Math.min(MAX_LINE_BYTES, line.rest.length + 16);

async function evaluate(o: Evaluation): Promise<EvalResult> {
  const { model, terminal, progress } = o;
  const { signal } = terminal;
  const total = o.files.reduce((n, file) => n + file.bytes.length, 0);
  // Completions always use both parts: with one switched off they would measure something else.
  const whole = o.memory === "on" && o.network === "on";
  const candidates = whole && o.candidates === "on" && model.hasCandidates ? "on" : "off";
  const cuts = o.files.flatMap((file, i) => cutLines(file.bytes, i));
  const linesOf = byFile(sample(cuts, whole ? o.nLines : 0, o.seed));
  const typedOf = byFile(sample(cuts, whole ? o.nTyped : 0, o.seed + 1));
  const spots =
    whole && o.nIdentifiers > 0 ? o.files.flatMap((file, i) => identifierSpots(file, i)) : [];
  const spotsOf = byFile(sample(spots, o.nIdentifiers, o.seed));
  const workspace = model.memory.files().map((path) => model.memory.bytesOf(path)!);

  const started = performance.now();
  let scoringMs = 0;
  let done = 0;
  let bits = 0;
  let bitsNetwork = 0;
  let bitsMemory = 0;
  let identifiers = 0;
  let identifiersRight = 0;
  const classes = new ClassFigures(o);
  const lines = new LineFigures();
  const listedLines = new LineFigures();
  const lists = candidates === "on" ? o.lists : undefined;
  const guessed = new IdentifierFigures(model, { candidates, lists, signal });
  const typing = new TypingFigures((ask) => model.complete({ ...ask, candidates, signal }), signal);
  const baselines = o.baselines === undefined ? undefined : new Baselines(model);
  for (const [fileIdx, file] of o.files.entries()) {
    const { path, bytes } = file;
    signal.throwIfAborted();
    const t0 = performance.now();
    const scored = await model.score({
      ...file,
      memory: o.memory,
      network: o.network,
      candidates,
      ...(o.session === "on" ? { session: 1 } : {}),
    });
    scoringMs += performance.now() - t0;
    await o.perByte?.append(path, scored.bits);
    bits += sum(scored.bits);
    bitsNetwork += sum(scored.bitsNetwork);
    bitsMemory += sum(scored.bitsMemory);
    classes.add(file, scored);
    const found = identifierHits(bytes, scored.top1);
    identifiers += found.identifiers;
    identifiersRight += found.right;
    // Before the file is absorbed: its lines must not be completed from itself.
    const ofFile = linesOf.get(fileIdx) ?? [];
    for (const line of ofFile) {
      signal.throwIfAborted();
      const ask = {
        path,
        before: bytes.subarray(0, line.offset),
        after: new Uint8Array(0),
        maxBytes: wanted(line),
        singleLine: 1,
        candidates,
        signal,
      } as const;
      const completed = await model.complete(ask);
      lines.add(completed.bytes, line.rest, completed.ms);
      if (lists === undefined) continue;
      const { list } = await lists.at(path, ask.before);
      const listed = list === undefined ? completed : await model.complete({ ...ask, list });
      listedLines.add(listed.bytes, line.rest, listed.ms);
    }
    await guessed.guessIn(file, spotsOf.get(fileIdx) ?? []);
    for (const line of typedOf.get(fileIdx) ?? [])
      await typing.typeLine(file, line.start, line.offset + line.rest.length);
    if (ofFile.length > 0) baselines?.lines(file, ofFile, wanted);
    if (o.session === "on") model.setFile(path, bytes);
    done += bytes.length;
    const seconds = (performance.now() - started) / 1000;
    progress.show("scoring", done / total, [
      rate(done / Math.max(seconds, 1e-3)),
      `${(bits / done).toFixed(3)} bpb`,
      `${clock(((total - done) / done) * seconds)} left`,
    ]);
  }
  const share = (n: number, of: number): number | null => (of === 0 ? null : n / of);
  const line_completion = lines.result();
  return {
    files: o.files.length,
    bytes: total,
    bpb: share(bits, total),
    bpb_network: o.network === "on" ? share(bitsNetwork, total) : null,
    bpb_memory: o.memory === "on" ? share(bitsMemory, total) : null,
    line_exact_match: line_completion.exact,
    lines: line_completion.lines,
    identifier_top1: share(identifiersRight, identifiers),
    identifiers,
    seconds: (performance.now() - started) / 1000,
    bytes_per_s: total / Math.max(scoringMs / 1000, 1e-9),
    device: model.device.kind,
    session: o.session === "on",
    skipped: o.skipped,
    bpb_by_class: classes.result(),
    line_completion: whole ? line_completion : null,
    line_completion_with_list: lists === undefined ? null : listedLines.result(),
    identifier_completion: whole ? guessed.result() : null,
    typing: whole ? typing.result() : null,
    candidates: {
      used: candidates === "on",
      lexicon_names: model.lexicon.nameCount,
      names_before_cursor: true,
      completion_list: lists !== undefined,
    },
    baselines:
      baselines === undefined
        ? null
        : await baselines.result({
            workspace,
            heldout: o.files.map((file) => file.bytes),
            bytegpt: o.baselines!.bytegpt,
            signal,
            onCompressor: (name) => {
              progress.close();
              terminal.err(`compressing the workspace with ${name}, twice\n`);
            },
          }),
  };
}
