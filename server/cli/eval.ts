/**
 * `narrowgauge eval`: bits per byte of files the model has not seen. Each file is presented alone, from its
 * first byte, knowing only its path, left to right; with --session, memory absorbs each file after it is
 * scored. Nothing is written back to the model.
 */
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { resolve } from "node:path";
import { CorpusError, Model } from "../../model/index.ts";
import type { CorpusFile } from "../../model/index.ts";
import { walkCorpus } from "../corpus/walk.ts";
import { DEVICE_FLAG, JSON_FLAG, MODEL_FLAG, UsageError } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { leftOutSummary } from "./corpusReport.ts";
import { cutLines, identifierHits, isExact, sample, sum } from "./scoring.ts";
import type { CutLine } from "./scoring.ts";
import { clock, plural, ProgressLine, rate, size, terminalLogger } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const DEFAULT_LINES = 100;
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
    seed: { value: "S", fallback: "1", help: "seed of the choice of lines" },
    device: DEVICE_FLAG,
    json: JSON_FLAG,
  },
};

type Switch = "on" | "off";

export interface EvalResult {
  readonly files: number;
  readonly bytes: number;
  readonly bpb: number | null;
  readonly bpb_network: number | null;
  readonly bpb_memory: number | null;
  readonly line_exact_match: number | null;
  readonly lines: number;
  readonly identifier_top1: number | null;
  readonly identifiers: number;
  readonly seconds: number;
  readonly bytes_per_s: number;
  readonly device: string;
  readonly session: boolean;
  readonly skipped: readonly { path: string; reason: string }[];
}

export async function runEval(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const memory = flags.need("memory") as Switch;
  const network = flags.need("network") as Switch;
  if (memory === "off" && network === "off")
    throw new UsageError("memory and network are both off", "leave at least one of them on");
  const nLines = flags.number("lines", { min: 0, max: 1e6, integer: true })!;
  const seed = flags.number("seed", { min: 0, max: 2 ** 32 - 1, integer: true })!;
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
      nLines,
      seed,
      perByte,
      terminal,
      progress,
    });
    const full: EvalResult = {
      ...result,
      skipped: walk.excluded.map(({ path, reason }) => ({ path, reason })),
    };
    progress.close();
    await perByte?.finish();
    terminal.out(flags.has("json") ? JSON.stringify(full) : evalSummary(full));
  } finally {
    progress.close();
    await perByte?.close();
    await model.dispose();
  }
}

async function evaluate(o: {
  model: Model;
  files: readonly CorpusFile[];
  memory: Switch;
  network: Switch;
  session: Switch;
  nLines: number;
  seed: number;
  perByte: PerByteFile | undefined;
  terminal: Terminal;
  progress: ProgressLine;
}): Promise<Omit<EvalResult, "skipped">> {
  const { model, terminal, progress } = o;
  const total = o.files.reduce((n, file) => n + file.bytes.length, 0);
  // Completions always use both parts: with one switched off they would measure something else.
  const whole = o.memory === "on" && o.network === "on";
  const chosen = sample(
    o.files.flatMap((file, i) => cutLines(file.bytes, i)),
    whole ? o.nLines : 0,
    o.seed,
  );
  const linesOf = new Map<number, CutLine[]>();
  for (const line of chosen) {
    const ofFile = linesOf.get(line.fileIdx);
    if (ofFile === undefined) linesOf.set(line.fileIdx, [line]);
    else ofFile.push(line);
  }

  const started = performance.now();
  let scoringMs = 0;
  let done = 0;
  let bits = 0;
  let bitsNetwork = 0;
  let bitsMemory = 0;
  let identifiers = 0;
  let identifiersRight = 0;
  let lines = 0;
  let linesRight = 0;
  for (const [fileIdx, { path, bytes }] of o.files.entries()) {
    terminal.signal.throwIfAborted();
    const t0 = performance.now();
    const scored = await model.score({ path, bytes, memory: o.memory, network: o.network });
    scoringMs += performance.now() - t0;
    await o.perByte?.append(path, scored.bits);
    bits += sum(scored.bits);
    bitsNetwork += sum(scored.bitsNetwork);
    bitsMemory += sum(scored.bitsMemory);
    const found = identifierHits(bytes, scored.top1);
    identifiers += found.identifiers;
    identifiersRight += found.right;
    // Before the file is absorbed: its lines must not be completed from itself.
    for (const line of linesOf.get(fileIdx) ?? []) {
      terminal.signal.throwIfAborted();
      const completed = await model.complete({
        path,
        before: bytes.subarray(0, line.offset),
        after: new Uint8Array(0),
        maxBytes: Math.min(MAX_LINE_BYTES, line.rest.length + 16),
        singleLine: 1,
        signal: terminal.signal,
      });
      lines++;
      if (isExact(completed.bytes, line.rest)) linesRight++;
    }
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
  return {
    files: o.files.length,
    bytes: total,
    bpb: share(bits, total),
    bpb_network: o.network === "on" ? share(bitsNetwork, total) : null,
    bpb_memory: o.memory === "on" ? share(bitsMemory, total) : null,
    line_exact_match: share(linesRight, lines),
    lines,
    identifier_top1: share(identifiersRight, identifiers),
    identifiers,
    seconds: (performance.now() - started) / 1000,
    bytes_per_s: total / Math.max(scoringMs / 1000, 1e-9),
    device: model.device.kind,
    session: o.session === "on",
  };
}

/** float32 little-endian, files in path order, and an index beside it; appears complete or not at all. */
class PerByteFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #index: { path: string; offset: number; length: number }[] = [];
  #offset = 0;
  #open = true;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  static async create(path: string): Promise<PerByteFile> {
    return new PerByteFile(path, await open(`${path}.partial`, "w"));
  }

  async append(path: string, bits: Float32Array): Promise<void> {
    const view = new DataView(new ArrayBuffer(bits.length * 4));
    bits.forEach((value, i) => view.setFloat32(i * 4, value, true));
    if (bits.length > 0) await this.#handle.writeFile(new Uint8Array(view.buffer));
    this.#index.push({ path, offset: this.#offset, length: bits.length });
    this.#offset += bits.length;
  }

  async finish(): Promise<void> {
    const { rename, writeFile } = await import("node:fs/promises");
    await this.#handle.close();
    this.#open = false;
    await writeFile(`${this.#path}.json`, `${JSON.stringify({ files: this.#index })}\n`);
    await rename(`${this.#path}.partial`, this.#path);
  }

  /** After a failure: leaves nothing half-written. */
  async close(): Promise<void> {
    if (!this.#open) return;
    const { rm } = await import("node:fs/promises");
    await this.#handle.close();
    this.#open = false;
    await rm(`${this.#path}.partial`, { force: true });
  }
}

function evalSummary(r: EvalResult): string {
  const number = (value: number | null): string => (value === null ? "off" : value.toFixed(4));
  const percent = (value: number | null): string =>
    value === null ? "not measured" : `${(value * 100).toFixed(1)} %`;
  return [
    `${plural(r.files, "file")}, ${size(r.bytes)}, ${clock(r.seconds)} on ${r.device}`,
    `bits per byte      ${number(r.bpb)}`,
    `  network alone    ${number(r.bpb_network)}`,
    `  memory alone     ${number(r.bpb_memory)}`,
    `lines completed    ${percent(r.line_exact_match)} of ${r.lines} exactly`,
    `identifiers        ${percent(r.identifier_top1)} of ${r.identifiers} first choice throughout`,
  ].join("\n");
}
