/** `narrowgauge complete`: what the model would write at one place of one file. */
import { readFile, realpath } from "node:fs/promises";
import { relative, resolve, sep } from "node:path";
import { CorpusError, Model } from "../../model/index.ts";
import { DEVICE_FLAG, JSON_FLAG, MODEL_FLAG, UsageError } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { terminalLogger } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const DEFAULT_MAX_BYTES = 160;

export const COMPLETE: CommandSpec = {
  name: "complete",
  summary: "complete a file at a byte offset",
  flags: {
    model: MODEL_FLAG,
    file: { value: "PATH", required: true, help: "the file to complete in" },
    offset: { value: "BYTE", required: true, help: "where the cursor is, in bytes" },
    workspace: { value: "DIR", help: "folder the file's path is told from (the current folder)" },
    "max-bytes": {
      value: "N",
      fallback: String(DEFAULT_MAX_BYTES),
      help: "longest completion",
    },
    multiline: { help: "let the completion run over line ends" },
    device: DEVICE_FLAG,
    json: JSON_FLAG,
  },
};

export async function runComplete(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const offset = flags.number("offset", { min: 0, integer: true })!;
  const maxBytes = flags.number("max-bytes", { min: 1, max: 4096, integer: true })!;
  const file = resolve(flags.need("file"));
  const bytes = await readBytes(file);
  if (offset > bytes.length)
    throw new UsageError(
      `--offset ${offset} is behind the end of the file, which has ${bytes.length} bytes`,
      `give an offset from 0 to ${bytes.length}`,
    );
  const path = await toldPath(file, flags.text("workspace") ?? ".");
  const model = await Model.load(flags.need("model"), {
    device: flags.need("device") as "auto" | "gpu" | "cpu",
    logger: terminalLogger(terminal),
  });
  try {
    const result = await model.complete({
      path,
      before: bytes.subarray(0, offset),
      after: bytes.subarray(offset),
      maxBytes,
      singleLine: flags.has("multiline") ? 0 : 1,
      signal: terminal.signal,
    });
    const { confidence, ms } = result;
    // A single line ends before its line end, of whichever kind.
    const text = flags.has("multiline") ? result.text : result.text.replace(/\r$/, "");
    if (flags.has("json")) terminal.out(JSON.stringify({ text, confidence, ms }));
    else {
      terminal.out(text);
      terminal.err(
        `confidence ${confidence.toFixed(2)}, ${ms.toFixed(0)} ms on ${model.device.name}\n`,
      );
    }
  } finally {
    await model.dispose();
  }
}

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    const buffer = await readFile(file);
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "EISDIR" && code !== "ENOTDIR") throw error;
    throw new CorpusError(
      "NG_CORPUS_NO_FILE",
      code === "EISDIR" ? `${file} is a folder, not a file` : `there is no file ${file}`,
      "check the path; it is taken relative to the current folder",
      { cause: error },
    );
  }
}

/** The path as the model knew it in training: relative to the workspace, or bare when it lies outside. */
async function toldPath(file: string, workspace: string): Promise<string> {
  const root = await realpath(workspace).catch(() => resolve(workspace));
  const inside = relative(root, await realpath(file))
    .split(sep)
    .join("/");
  return inside.startsWith("../") ? inside.slice(inside.lastIndexOf("/") + 1) : inside;
}
