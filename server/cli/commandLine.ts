/**
 * One command line from words to exit status: picks the command, turns failures into one sentence and a hint, and owns the exit
 * status: 0 done, 1 the work failed, 2 the command line was wrong. The first Ctrl+C asks the work to stop and
 * keep what it has, the second one ends the process at once.
 */
import { helpText, nearest, parseFlags, UsageError } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { BENCH, runBench } from "./bench.ts";
import { CONSOLIDATE, runConsolidate } from "./consolidate.ts";
import { COMPLETE, runComplete } from "./complete.ts";
import { ABLATE, runAblate } from "./ablate.ts";
import { EVAL, runEval } from "./eval.ts";
import { explain } from "./explain.ts";
import { EXPORT, runExport } from "./export.ts";
import { IMPORT, runImport } from "./import.ts";
import { INFO, runInfo } from "./info.ts";
import { QUERY, runQuery } from "./query.ts";
import type { Terminal } from "./terminal.ts";
import { runTrain, TRAIN } from "./train.ts";

type Run = (flags: ParsedFlags, terminal: Terminal) => Promise<void>;

const COMMANDS: readonly { readonly spec: CommandSpec; readonly run: Run }[] = [
  { spec: TRAIN, run: runTrain },
  { spec: CONSOLIDATE, run: runConsolidate },
  { spec: EVAL, run: runEval },
  { spec: ABLATE, run: runAblate },
  { spec: COMPLETE, run: runComplete },
  { spec: QUERY, run: runQuery },
  { spec: INFO, run: runInfo },
  { spec: EXPORT, run: runExport },
  { spec: IMPORT, run: runImport },
  { spec: BENCH, run: runBench },
];

const OLDEST_NODE = { major: 20, minor: 11 };

/** Plain words instead of a syntax error deep in a library. */
function tooOld(): string | undefined {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > OLDEST_NODE.major || (major === OLDEST_NODE.major && minor >= OLDEST_NODE.minor))
    return undefined;
  return `narrowgauge needs Node ${OLDEST_NODE.major}.${OLDEST_NODE.minor} or newer, this is ${process.versions.node}`;
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ spec }) => spec.name.length));
  return [
    "Trains a small model of your own code on your own machine.",
    "",
    "usage: narrowgauge <command> [flags]",
    "",
    ...COMMANDS.map(({ spec }) => `  ${spec.name.padEnd(width)}  ${spec.summary}`),
    "",
    'run "narrowgauge <command> --help" for its flags',
    "",
  ].join("\n");
}

/** Runs one command line and gives the exit status. */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const old = tooOld();
    if (old !== undefined) throw new UsageError(old, "install a newer Node and run this again");
    const [name, ...rest] = argv;
    if (name === undefined || name === "--help" || name === "-h" || name === "help") {
      if (name === undefined) {
        terminal.err(overview());
        return 2;
      }
      terminal.out(overview().trimEnd());
      return 0;
    }
    const command = COMMANDS.find(({ spec }) => spec.name === name);
    if (command === undefined) {
      const near = nearest(
        name,
        COMMANDS.map(({ spec }) => spec.name),
      );
      throw new UsageError(
        name.startsWith("-")
          ? `the first word must be a command, not ${name}`
          : `there is no command ${name}`,
        near === undefined
          ? `choose one of ${COMMANDS.map(({ spec }) => spec.name).join(", ")}`
          : `did you mean ${near}?`,
      );
    }
    if (rest.includes("--help") || rest.includes("-h")) {
      terminal.out(helpText(command.spec).trimEnd());
      return 0;
    }
    await command.run(parseFlags(command.spec, rest), terminal);
    return 0;
  } catch (error) {
    const { message, hint, status } = explain(error);
    terminal.err(`narrowgauge: ${message}\n${hint === undefined ? "" : `hint: ${hint}\n`}`);
    if (terminal.debug && error instanceof Error) terminal.err(`${error.stack ?? ""}\n`);
    return status;
  }
}

/** The process's own streams and signals as a Terminal. */
export function processTerminal(): Terminal {
  const stop = new AbortController();
  let pressed = 0;
  const onSignal = (): void => {
    if (++pressed > 1) process.exit(130);
    process.stderr.write("\nstopping, and keeping what is done; press again to stop at once\n");
    stop.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  // A reader that goes away (`| head`) is not a failure of ours.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
  });
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (text) => void process.stderr.write(text),
    isTty: process.stderr.isTTY,
    columns: process.stderr.columns,
    signal: stop.signal,
    debug: (process.env["NARROWGAUGE_DEBUG"] ?? "") !== "",
  };
}
