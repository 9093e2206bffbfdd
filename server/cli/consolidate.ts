/**
 * `narrowgauge consolidate`: a model learns what changed since it was trained, in a few steps, and keeps the result only
 * if held-out files that did not change are predicted no worse. The version before is kept and can be restored.
 */
import { resolve } from "node:path";
import { CheckpointError, consolidate, restoreVersion } from "../../model/index.ts";
import type { DeviceChoice } from "../../model/index.ts";
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
    changed: { value: "FILE,…", help: "paths in that folder that changed" },
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
  if (workspace === undefined || changed === undefined)
    throw new UsageError(
      `consolidate needs --${workspace === undefined ? "workspace DIR" : "changed FILE,…"}`,
      "or --restore",
    );
  const { files } = await walkCorpus({
    root: resolve(workspace),
    maxFileKiB: DEFAULT_MAX_FILE_KIB,
    signal: terminal.signal,
  });
  const known = new Set(files.map((f) => f.path));
  for (const path of changed)
    if (!known.has(path)) terminal.err(`${path} is gone or left out, and is not learned from\n`);
  const result = await consolidate({
    dir,
    files,
    changed: new Set(changed),
    device: flags.need("device") as DeviceChoice,
    seed: flags.number("seed", { min: 0, max: 2 ** 32 - 1, integer: true })!,
    signal: terminal.signal,
    logger: terminalLogger(terminal),
  });
  if (flags.has("json")) {
    terminal.out(JSON.stringify(result));
    return;
  }
  const scores = `held out: ${bpb(result.before)} before, ${bpb(result.after)} after`;
  const words = {
    accepted: `learned ${plural(result.replayed.length, "file")} in ${result.steps} steps; the version before is kept`,
    refused: "the model as it was predicts held-out files better, and stays",
    nothing: "nothing that changed surprises the model",
    aborted: "stopped; the model stays as it was",
  } as const;
  terminal.out(`${words[result.outcome]}\n${scores}`);
  for (const { path, bpb: before } of result.replayed)
    terminal.out(`${path}: ${bpb(before)} before`);
}
