/** Reads what requests to the model host carry, or name. */
import { readFileSync } from "node:fs";
import type { CorpusFile } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { FilesManifest } from "./protocol.ts";

export type Fields = Readonly<Record<string, unknown>>;

export function field<T extends "string" | "number">(
  params: Fields,
  name: string,
  type: T,
): T extends "string" ? string : number {
  const value = params[name];
  if (typeof value !== type)
    throw new ProtocolError(
      "NG_PROTOCOL",
      `the request's ${name} is ${JSON.stringify(value)}, a ${type} was expected`,
    );
  return value as T extends "string" ? string : number;
}

/** The files of a list on disk: those to learn from, and those to hold out. */
export function readCorpus(
  list: string,
  logger: Logger,
): { readonly files: CorpusFile[]; readonly heldout: CorpusFile[] } {
  const manifest = JSON.parse(readFileSync(list, "utf8")) as FilesManifest;
  const files: CorpusFile[] = [];
  const heldout: CorpusFile[] = [];
  for (const f of manifest.files) {
    try {
      (f.heldout ? heldout : files).push({
        path: f.path,
        bytes: new Uint8Array(readFileSync(f.absolute)),
      });
    } catch {
      logger.warn(`${f.path} vanished before it could be read; it goes on without it`);
    }
  }
  return { files, heldout };
}
