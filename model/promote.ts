/**
 * A new model is trained beside the one in use, in `candidate/`, and takes its place only if it predicts the
 * held-out files better. Moving is renames, the manifest last: there is a whole model at every moment.
 */
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { readManifest, type Manifest } from "./checkpoint.ts";

const CANDIDATE = "candidate";
const VERSIONS = "previous";
const KEPT_VERSIONS = 3;

export function candidateDirectory(dir: string): string {
  return join(dir, CANDIDATE);
}

/** True where an interrupted training can go on. */
export function hasUnfinishedCandidate(dir: string): boolean {
  try {
    return !readManifest(candidateDirectory(dir)).finished;
  } catch {
    return false;
  }
}

/** The manifest of the model in use, if there is a readable one. */
export function currentManifest(dir: string): Manifest | undefined {
  try {
    return readManifest(dir);
  } catch {
    return undefined;
  }
}

/** Puts the candidate in the place of the model in use. */
export function promoteCandidate(dir: string): void {
  const from = candidateDirectory(dir);
  const manifest = readManifest(from);
  const before = currentManifest(dir);
  for (const file of Object.values(manifest.files))
    renameSync(join(from, file.name), join(dir, file.name));
  const metrics = join(from, "metrics.jsonl");
  if (existsSync(metrics)) renameSync(metrics, join(dir, "metrics.jsonl"));
  renameSync(join(from, "manifest.json"), join(dir, "manifest.json"));
  const named = new Set(Object.values(manifest.files).map((f) => f.name));
  for (const file of Object.values(before?.files ?? {}))
    if (!named.has(file.name)) rmSync(join(dir, file.name), { force: true });
  rmSync(from, { recursive: true, force: true });
}

export function discardCandidate(dir: string): void {
  rmSync(candidateDirectory(dir), { recursive: true, force: true });
}

/** A file in a second place without a second copy, where the file system can. */
function link(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

/** Earlier versions of the model in use, oldest first. */
export function versions(dir: string): string[] {
  const folder = join(dir, VERSIONS);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => currentManifest(join(folder, name)) !== undefined)
    .sort();
}

/** Keeps the model in use as a version that can be restored; the oldest go. */
export function keepVersion(dir: string): void {
  const manifest = readManifest(dir);
  const before = versions(dir);
  const number = Number(before.at(-1) ?? 0) + 1;
  const to = join(dir, VERSIONS, String(number).padStart(6, "0"));
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  for (const file of Object.values(manifest.files)) link(join(dir, file.name), join(to, file.name));
  // Saving replaces the manifest by a rename, so the copy is not changed with it.
  copyFileSync(join(dir, "manifest.json"), join(to, "manifest.json"));
  for (const old of before.slice(0, Math.max(0, before.length + 1 - KEPT_VERSIONS)))
    rmSync(join(dir, VERSIONS, old), { recursive: true, force: true });
}

/** Puts the newest kept version in the place of the model in use. False where none is kept. */
export function restoreVersion(dir: string): boolean {
  const newest = versions(dir).at(-1);
  if (newest === undefined) return false;
  const from = join(dir, VERSIONS, newest);
  const manifest = readManifest(from);
  const before = currentManifest(dir);
  for (const file of Object.values(manifest.files))
    if (!existsSync(join(dir, file.name))) link(join(from, file.name), join(dir, file.name));
  copyFileSync(join(from, "manifest.json"), join(dir, "manifest.json.new"));
  renameSync(join(dir, "manifest.json.new"), join(dir, "manifest.json"));
  const named = new Set(Object.values(manifest.files).map((f) => f.name));
  for (const file of Object.values(before?.files ?? {}))
    if (!named.has(file.name)) rmSync(join(dir, file.name), { force: true });
  rmSync(from, { recursive: true, force: true });
  return true;
}
