/**
 * A loaded model's memory brought up to the files on disk: they may have changed while nobody told the host, by
 * another branch for instance. What the editor said since counts for more than the disk.
 */
import { readFile } from "node:fs/promises";
import type { Model } from "./model.ts";
import type { FilesManifest } from "./protocol.ts";

export interface Refreshed {
  readonly changed: number;
  readonly removed: number;
}

export async function refreshMemory(o: {
  /** Path of the list of files as they are now. */
  readonly list: string;
  readonly model: Pick<Model, "memory" | "setFile" | "removeFile">;
  /** The editor spoke of this file, or of a folder above it. */
  readonly isTold: (path: string) => boolean;
  /** False once another model answers; that one is brought up to date by itself. */
  readonly isInUse: () => boolean;
}): Promise<Refreshed> {
  const { model } = o;
  const { files } = JSON.parse(await readFile(o.list, "utf8")) as FilesManifest;
  const listed = new Set(files.map((file) => file.path));
  let removed = 0;
  for (const path of o.isInUse() ? model.memory.files() : []) {
    if (listed.has(path) || o.isTold(path)) continue;
    model.removeFile(path);
    removed++;
  }
  let changed = 0;
  for (const { path, absolute } of files) {
    if (o.isTold(path)) continue;
    // A completion has its turn between two files.
    const bytes = await readFile(absolute).catch(() => undefined);
    if (!o.isInUse()) break;
    // Asked again: the editor may have spoken meanwhile.
    if (bytes === undefined || o.isTold(path)) continue;
    const known = model.memory.bytesOf(path);
    if (known !== undefined && Buffer.compare(known, bytes) === 0) continue;
    model.setFile(path, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    changed++;
  }
  return { changed, removed };
}

/** What the editor told of a path, or of a folder above it. */
export function isTold(edits: ReadonlyMap<string, unknown>, path: string): boolean {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1))
    if (edits.has(path.slice(0, end))) return true;
  return false;
}
