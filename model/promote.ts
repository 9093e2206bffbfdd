/**
 * A new model is trained beside the one in use, in `candidate/`, and takes its place only if it predicts the
 * held-out files better. Moving is renames, the manifest last: there is a whole model at every moment.
 */
import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readManifest, type Manifest } from "./checkpoint.ts";

const CANDIDATE = "candidate";

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
