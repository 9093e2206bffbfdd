/**
 * `narrowgauge consolidate`: a model learns what changed since it was trained, in a few steps, and keeps the result only
 * if held-out files that did not change are predicted no worse and the changed ones better. The version before is kept
 * and can be restored. `--control` shows what of that is due to the changed files, and changes nothing.
 */
import { resolve } from "node:path";
import { CheckpointError, compareReplays, consolidate, restoreVersion } from "../../model/index.ts";
import type { Consolidation, ConsolidationControl, DeviceChoice } from "../../model/index.ts";
import { DEFAULT_MAX_FILE_KIB, walkCorpus } from "../corpus/walk.ts";
import { DEVICE_FLAG, JSON_FLAG, MODEL_FLAG, UsageError } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { bpb, plural, terminalLogger } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

export const CONSOLIDATE: CommandSpec = {
  name: "consolidate",
  summary: "let a model learn what changed since it was trained",
  flags: {
    model: MODEL_FLAG,
    workspace: { value: "DIR", help: "the folder that the model learned from, as it is now" },
    changed: {
      value: "FILE,…",
      help: "paths in that folder that changed; left out: all that are not as the model's memory has them",
    },
    control: {
      help: "compare with as many steps on older files alone; the model stays as it is",
    },
    restore: { help: "put the version before the last consolidation back instead" },
    seed: { value: "S", fallback: "1", help: "seed of every random choice" },
    device: DEVICE_FLAG,
    json: JSON_FLAG,
  },
};

export async function runConsolidate(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const dir = resolve(flags.need("model"));
  if (flags.has("restore")) {
    if (!restoreVersion(dir))
      throw new CheckpointError(
        "NG_NO_VERSION",
        `no earlier version is kept in ${dir}`,
        "only an accepted consolidation keeps one",
      );
    terminal.out(
      flags.has("json") ? JSON.stringify({ outcome: "restored" }) : `restored in ${dir}`,
    );
    return;
  }
  const workspace = flags.text("workspace");
  const changed = flags
    .text("changed")
    ?.split(",")
    .map((path) => path.trim());
  if (workspace === undefined)
    throw new UsageError("consolidate needs --workspace DIR", "or --restore");
  const { files } = await walkCorpus({
    root: resolve(workspace),
    maxFileKiB: DEFAULT_MAX_FILE_KIB,
    signal: terminal.signal,
  });
  const known = new Set(files.map((f) => f.path));
  for (const path of changed ?? [])
    if (!known.has(path)) terminal.err(`${path} is gone or left out, and is not learned from\n`);
  const options = {
    dir,
    files,
    ...(changed === undefined ? {} : { changed: new Set(changed) }),
    device: flags.need("device") as DeviceChoice,
    seed: flags.number("seed", { min: 0, max: 2 ** 32 - 1, integer: true })!,
    signal: terminal.signal,
    logger: terminalLogger(terminal),
  };
  const result = flags.has("control") ? await compareReplays(options) : await consolidate(options);
  if (flags.has("json")) {
    terminal.out(JSON.stringify(typeof result === "string" ? { outcome: result } : result));
    return;
  }
  if (typeof result === "string") terminal.out(OUTCOMES[result]);
  else
    for (const line of "outcome" in result ? outcome(result) : control(result)) terminal.out(line);
}

const OUTCOMES = {
  refused: "the model stays as it was: the replay did not make it better",
  nothing: "nothing that changed surprises the model",
  aborted: "stopped; the model stays as it was",
} as const;

function outcome(result: Consolidation): string[] {
  const what =
    result.outcome === "accepted"
      ? `learned ${plural(result.replayed.length, "file")} in ${result.steps} steps; the version before is kept`
      : OUTCOMES[result.outcome];
  // Where nothing was learned there is nothing to compare.
  if (result.steps === 0) return [what];
  return [
    what,
    `held out: ${bpb(result.before)} before, ${bpb(result.after)} after`,
    `lines held back of the changed files: ${bpb(result.changedBefore)} before, ${bpb(result.changedAfter)} after, ${bpb(result.changedControl)} after as many steps without them`,
    ...result.replayed.map(({ path, bpb: before }) => `${path}: ${bpb(before)} before`),
  ];
}

const REPLAYS = {
  older: "older files alone",
  changed: "changed files and older ones",
} as const;

function control(result: ConsolidationControl): string[] {
  const figure = (d: { difference: number; error: number }): string =>
    `${d.difference > 0 ? "+" : ""}${d.difference.toFixed(4)} ± ${d.error.toFixed(4)}`;
  return [
    `${plural(result.replayed.length, "file")}, ${result.steps} steps; change in bits per byte ± standard error`,
    ...result.comparisons.map(
      (c) =>
        `${REPLAYS[c.replay]}: held out ${figure(c.heldout)}, lines held back of the changed files ${figure(c.changed)}`,
    ),
  ];
}
