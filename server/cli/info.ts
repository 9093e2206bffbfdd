/** `narrowgauge info`: what a model folder holds, what the model saw, and how large each part is. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CheckpointError } from "../../model/index.ts";
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
  const manifest = await readManifest(folder);
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
  for (const [key, value] of Object.entries(manifest)) {
    const shown =
      typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
    terminal.out(`${key.padEnd(18)} ${shown.length > 160 ? `${shown.slice(0, 157)}…` : shown}`);
  }
  for (const file of files) terminal.out(`${file.name.padEnd(24)} ${size(file.bytes)}`);
  terminal.out(`${"in all".padEnd(24)} ${size(bytes)}`);
}

async function readManifest(folder: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(join(folder, "manifest.json"), "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
    throw new CheckpointError(
      "NG_CHECKPOINT_MISSING",
      `there is no model in ${folder}`,
      "name the folder that train wrote with --out",
      { cause: error },
    );
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Reported below, with the name of the file.
  }
  throw new CheckpointError(
    "NG_CHECKPOINT_DAMAGED",
    `manifest.json in ${folder} is damaged`,
    "train the model again",
  );
}
