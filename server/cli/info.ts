/** `narrowgauge info`: what a model folder holds, what the model saw, and how large each part is. */
import { readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { readManifest } from "../../model/index.ts";
import { JSON_FLAG, MODEL_FLAG } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { size } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

export const INFO: CommandSpec = {
  name: "info",
  summary: "show what a model is and what it saw",
  flags: { model: MODEL_FLAG, json: JSON_FLAG },
};

export async function runInfo(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const folder = resolve(flags.need("model"));
  const manifest = readManifest(folder);
  const files: { name: string; bytes: number }[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const stats = await stat(join(folder, name));
    if (stats.isFile()) files.push({ name, bytes: stats.size });
  }
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (flags.has("json")) {
    terminal.out(JSON.stringify({ manifest, files, bytes }));
    return;
  }
  // The configuration is long and cut short; what the model's lookups compute must not fall to that.
  const { attention } = manifest.config;
  for (const [key, value] of Object.entries({ ...manifest, attention })) {
    const shown =
      typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
    terminal.out(`${key.padEnd(18)} ${shown.length > 160 ? `${shown.slice(0, 157)}…` : shown}`);
  }
  for (const file of files) terminal.out(`${file.name.padEnd(24)} ${size(file.bytes)}`);
  terminal.out(`${"in all".padEnd(24)} ${size(bytes)}`);
}
