/** `narrowgauge bench`: how fast each operation, a training step and a completion are on this machine's device. */
import { resolve } from "node:path";
import { bench, CorpusError, PRESETS } from "../../model/index.ts";
import type { CorpusFile, Preset } from "../../model/index.ts";
import { walkCorpus } from "../corpus/walk.ts";
import { DEVICE_FLAG, JSON_FLAG } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { terminalLogger } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const PRESET_NAMES = Object.keys(PRESETS);

export const BENCH: CommandSpec = {
  name: "bench",
  summary: "measure the operations on this machine",
  flags: {
    device: DEVICE_FLAG,
    preset: {
      value: PRESET_NAMES.join("|"),
      choices: PRESET_NAMES,
      help: "size of the model whose steps are measured",
    },
    workspace: {
      value: "DIR",
      help: "measure steps on this folder's files instead of a made-up text",
    },
    tune: {
      help: "first measure which kernels make this machine's matrix products fastest, and keep the choice for trainings",
    },
    json: JSON_FLAG,
  },
};

export async function runBench(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const preset = flags.text("preset") as Preset | undefined;
  const file = await workspaceText(flags.text("workspace"), terminal);
  const result = await bench({
    device: flags.need("device") as "auto" | "gpu" | "cpu",
    logger: terminalLogger(terminal),
    signal: terminal.signal,
    ...(preset === undefined ? {} : { preset }),
    ...(file === undefined ? {} : { file }),
    tune: flags.has("tune") ? 1 : 0,
  });
  if (flags.has("json")) {
    terminal.out(JSON.stringify(result));
    return;
  }
  terminal.out(`${result.device}: ${result.reason}`);
  const { products } = result;
  if (products !== undefined)
    terminal.out(
      products.measured === 0
        ? "matrix products: kernels by a model of their time; --tune measures them on this machine"
        : `matrix products: ${products.changed} of ${products.measured} measured ones take tuned kernels (${products.file})`,
    );
  for (const { op, ...figures } of result.ops) {
    const shown = Object.entries(figures).map(
      ([name, value]) =>
        `${name} ${typeof value === "number" ? Number(value.toPrecision(4)) : value}`,
    );
    terminal.out(`${op.padEnd(24)} ${shown.join("  ")}`);
  }
}

/** All files as one: how many patches a window has depends on the text, and so do the sizes of products. */
async function workspaceText(
  folder: string | undefined,
  terminal: Terminal,
): Promise<CorpusFile | undefined> {
  if (folder === undefined) return undefined;
  const walk = await walkCorpus({ root: resolve(folder), signal: terminal.signal });
  if (walk.files.length === 0)
    throw new CorpusError(
      "NG_CORPUS_EMPTY",
      `there is nothing to measure with in ${folder}`,
      "name a folder that holds source files",
    );
  return { path: "workspace", bytes: Buffer.concat(walk.files.map((f) => f.bytes)) };
}
