/** `narrowgauge export`: a model for other programs, in a folder that appears complete or not at all. */
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CheckpointError, exportPytorch, exportQuantized } from "../../model/index.ts";
import { DEVICE_FLAG, JSON_FLAG, MODEL_FLAG } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { size } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const FORMATS = ["pytorch", "int8", "int4"] as const;

export const EXPORT: CommandSpec = {
  name: "export",
  summary: "write a model for PyTorch, or a smaller copy of it",
  flags: {
    model: MODEL_FLAG,
    out: { value: "DIR", required: true, help: "new folder for the result" },
    format: {
      value: FORMATS.join("|"),
      choices: FORMATS,
      required: true,
      help: "pytorch: weights, the network as a module, a script that trains it; int8, int4: a model with fewer bits",
    },
    device: DEVICE_FLAG,
    json: JSON_FLAG,
  },
};

export async function runExport(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const model = resolve(flags.need("model"));
  const out = resolve(flags.need("out"));
  if (existsSync(out) && (await readdir(out)).length > 0)
    throw new CheckpointError(
      "NG_EXPORT_PLACE",
      `${out} is not empty`,
      "name an empty or new folder with --out",
    );
  const format = flags.need("format") as (typeof FORMATS)[number];
  if (format !== "pytorch") {
    const { before, after } = exportQuantized({ model, out, kind: format });
    if (flags.has("json")) terminal.out(JSON.stringify({ out, before, after }));
    else
      terminal.out(
        `model in ${out}: weights of ${size(after)} instead of ${size(before)}; eval says what it costs`,
      );
    return;
  }
  const device = flags.need("device") as "auto" | "gpu" | "cpu";
  const files = await exportPytorch({ model, device });
  await writeFolder(out, files);
  const bytes = [...files.values()].reduce((sum, f) => sum + f.length, 0);
  if (flags.has("json")) terminal.out(JSON.stringify({ out, files: [...files.keys()], bytes }));
  else
    terminal.out(
      [
        `${size(bytes)} in ${out}`,
        "check it:     python model.py",
        "train it:     torchrun --standalone --nproc-per-node=8 train.py --workspace FOLDER --bytes 39e6 --out trained.safetensors",
        "bring it back: narrowgauge import --model MODEL --weights trained.safetensors",
      ].join("\n"),
    );
}

async function writeFolder(out: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const draft = `${out}.partial`;
  await rm(draft, { recursive: true, force: true });
  try {
    await mkdir(draft, { recursive: true });
    for (const [name, bytes] of files) await writeFile(join(draft, name), bytes);
    // An empty folder may be in the way: rename replaces it.
    await rename(draft, out);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}
