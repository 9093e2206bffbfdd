/**
 * The model directory. Every save writes new files under new names, syncs them, and then replaces manifest.json
 * by a rename: whoever dies at whatever moment leaves the previous model whole. Files the manifest no longer names
 * are removed afterwards.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
} from "node:fs";
import { renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { LATER_FIELDS, type ModelConfig } from "./config.ts";
import { CheckpointError } from "./errors.ts";

export const FORMAT_VERSION = 1;
const MANIFEST = "manifest.json";

const fileSchema = z.object({ name: z.string(), bytes: z.number().int(), sha256: z.string() });
const manifestSchema = z.object({
  format: z.literal("narrowgauge"),
  version: z.number().int(),
  createdAt: z.string(),
  config: z.record(z.string(), z.unknown()),
  params: z.number().int(),
  seed: z.number().int(),
  step: z.number().int(),
  steps: z.number().int(),
  /** What the run is to train on, where bytes bound it. */
  targetBytes: z.number().optional(),
  /** Training seconds after which the run ends all the same. */
  targetSeconds: z.number().optional(),
  bytesSeen: z.number(),
  seconds: z.number(),
  /** False while training goes on. */
  finished: z.boolean(),
  device: z.string(),
  saw: z.object({
    files: z.number().int(),
    bytes: z.number().int(),
    heldout: z.array(z.string()),
    corpusHash: z.string(),
  }),
  heldout: z.object({
    bpb: z.number().nullable(),
    network: z.number().nullable(),
    memory: z.number().nullable(),
  }),
  mixer: z.unknown(),
  /** What names in scope are worth; absent in models without a held-out file. */
  candidates: z.unknown().optional(),
  files: z.record(z.string(), fileSchema),
});

export type Manifest = Omit<z.infer<typeof manifestSchema>, "config"> & { config: ModelConfig };
export type ManifestFields = Omit<Manifest, "format" | "version" | "createdAt" | "files">;

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

function writeWhole(path: string, bytes: Uint8Array): void {
  const fd = openSync(path, "w");
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function saveFailed(dir: string, cause: unknown): CheckpointError {
  const code = (cause as NodeJS.ErrnoException).code;
  const what =
    code === "ENOSPC"
      ? "the disk is full"
      : code === "EACCES" || code === "EROFS" || code === "EPERM"
        ? "the folder cannot be written"
        : cause instanceof Error
          ? cause.message
          : String(cause);
  return new CheckpointError(
    "NG_SAVE",
    `the model could not be saved to ${dir}: ${what}`,
    "the previous model there is untouched; free some space or choose another folder",
    { cause },
  );
}

/** The name of a vocabulary's file, where patches end with its tokens. */
export const BPE_FILE = "bpe.json";

/** The manifest names the vocabulary's file; it does not repeat it. */
function withoutTokens(config: ModelConfig): ModelConfig {
  const { bpeTokens: _file, ...rest } = config;
  return rest;
}

/** What a model in a folder is made of, its vocabulary included. */
export function readConfig(dir: string, manifest: Manifest): ModelConfig {
  if (manifest.config.patching !== "bpe") return manifest.config;
  const bytes = readModelFile(dir, manifest, BPE_FILE);
  if (bytes === undefined)
    throw new CheckpointError(
      "NG_MANIFEST",
      `the manifest in ${dir} names no vocabulary`,
      "train again, or restore the model folder from a copy",
    );
  const tokens = z.array(z.string()).parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  return { ...manifest.config, bpeTokens: tokens };
}

/** Writes the given files (absent ones are carried over from the manifest before, less those to `drop`) and then
 *  the manifest. */
export function saveModel(
  dir: string,
  fields: ManifestFields,
  files: Readonly<Record<string, Uint8Array>>,
  drop: readonly string[] = [],
): Manifest {
  const written: string[] = [];
  try {
    mkdirSync(dir, { recursive: true });
    const before = existsSync(join(dir, MANIFEST)) ? tryReadManifest(dir)?.files : undefined;
    const entries: Record<string, z.infer<typeof fileSchema>> = { ...before };
    for (const name of drop) delete entries[name];
    for (const [name, bytes] of Object.entries(files)) {
      const hash = sha256(bytes);
      if (entries[name]?.sha256 === hash && existsSync(join(dir, entries[name].name))) continue;
      const stored = name.replace(/(\.[a-z.]+)$/, `-${hash.slice(0, 12)}$1`);
      written.push(join(dir, stored));
      writeWhole(join(dir, stored), bytes);
      entries[name] = { name: stored, bytes: bytes.length, sha256: hash };
    }
    const manifest: Manifest = {
      format: "narrowgauge",
      version: FORMAT_VERSION,
      createdAt: new Date().toISOString(),
      ...fields,
      config: withoutTokens(fields.config),
      files: entries,
    };
    const temporary = join(dir, `${MANIFEST}.new`);
    written.push(temporary);
    writeWhole(temporary, Buffer.from(JSON.stringify(manifest, null, 1)));
    renameSync(temporary, join(dir, MANIFEST));
    removeStale(dir, manifest);
    return manifest;
  } catch (cause) {
    for (const path of written) rmSync(path, { force: true });
    if (cause instanceof CheckpointError) throw cause;
    throw saveFailed(dir, cause);
  }
}

const OURS = /^(weights|optimizer|memory|engram|lexicon|symbols|bpe)-[0-9a-f]{12}\./;

function removeStale(dir: string, manifest: Manifest): void {
  const named = new Set(Object.values(manifest.files).map((f) => f.name));
  for (const name of readdirSync(dir))
    if (OURS.test(name) && !named.has(name)) rmSync(join(dir, name), { force: true });
}

function tryReadManifest(dir: string): Manifest | undefined {
  try {
    return readManifest(dir);
  } catch {
    return undefined;
  }
}

/** Throws CheckpointError where there is no model, or one this version cannot read. */
export function readManifest(dir: string): Manifest {
  const path = join(dir, MANIFEST);
  if (!existsSync(path))
    throw new CheckpointError(
      "NG_NO_MODEL",
      `there is no model in ${dir}`,
      "train one first: narrowgauge train --workspace DIR --out MODEL",
    );
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new CheckpointError(
      "NG_MANIFEST",
      `${path} is damaged: it is not JSON`,
      "train again, or restore the model folder from a copy",
      { cause },
    );
  }
  const version = (value as { version?: unknown }).version;
  if (typeof version === "number" && version !== FORMAT_VERSION)
    throw new CheckpointError(
      "NG_MODEL_VERSION",
      `the model in ${dir} has format version ${version}; this program reads version ${FORMAT_VERSION}`,
      "train again with this version",
    );
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new CheckpointError(
      "NG_MANIFEST",
      `${path} is damaged at ${issue?.path.join(".") ?? "the top"}: ${issue?.message ?? "unreadable"}`,
      "train again, or restore the model folder from a copy",
    );
  }
  const config = { ...LATER_FIELDS, ...parsed.data.config };
  return { ...parsed.data, config } as unknown as Manifest;
}

/** A file of the model, its length and hash checked; undefined where the manifest names none. */
export function readModelFile(
  dir: string,
  manifest: Manifest,
  name: string,
): Uint8Array | undefined {
  const entry = manifest.files[name];
  if (entry === undefined) return undefined;
  const path = join(dir, entry.name);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new CheckpointError(
      "NG_MODEL_FILE",
      `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      "train again, or restore the model folder from a copy",
      { cause },
    );
  }
  if (bytes.length !== entry.bytes || sha256(bytes) !== entry.sha256)
    throw new CheckpointError(
      "NG_MODEL_FILE",
      `${path} is damaged: its ${bytes.length} bytes do not have the hash that the manifest names`,
      "train again, or restore the model folder from a copy",
    );
  return bytes;
}
