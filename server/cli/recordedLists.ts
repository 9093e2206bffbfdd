/** Completion lists written down where a language server is, and taken from there where none is. */
import { createReadStream } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { createInterface } from "node:readline";
import { z } from "zod";
import { CorpusError } from "../../model/index.ts";
import type { Offered, OfferedLists } from "./offeredLists.ts";

const LINE = z.object({
  path: z.string(),
  at: z.number().int().nonnegative(),
  ms: z.number().optional(),
  said: z.string().optional(),
  names: z.array(z.string()).optional(),
  ranks: z.array(z.number().int().nonnegative()).optional(),
  complete: z.union([z.literal(0), z.literal(1)]).optional(),
});

const WORD = /[\p{L}\p{N}\p{M}_$]*$/u;
/** Bytes before the cursor that hold what is typed of a name. */
const WORD_BYTES = 256;

const decoder = new TextDecoder();

/** Writes down all that is offered: a line of JSON for every cursor that anything was asked at. */
export class RecordingLists implements OfferedLists {
  readonly name: string;
  readonly #lists: OfferedLists;
  readonly #file: FileHandle;

  private constructor(lists: OfferedLists, file: FileHandle) {
    this.name = lists.name;
    this.#lists = lists;
    this.#file = file;
  }

  static async create(lists: OfferedLists, path: string): Promise<RecordingLists> {
    const file = await open(path, "w");
    await file.write(`${JSON.stringify({ server: lists.name })}\n`);
    return new RecordingLists(lists, file);
  }

  async at(path: string, before: Uint8Array): Promise<Offered> {
    const offered = await this.#lists.at(path, before);
    const { list, ms, said } = offered;
    if (list === undefined && ms === undefined) return offered;
    const typed = WORD.exec(decoder.decode(before.subarray(-WORD_BYTES)))![0];
    // The others cannot be written here, and are most of a list.
    const isMeant = (name: string): boolean => name.startsWith(typed);
    const names = list?.names.filter(isMeant);
    const ranks = list?.ranks?.filter((_, i) => isMeant(list.names[i]!));
    const line = { path, at: before.length, ms, said, names, ranks, complete: list?.complete };
    await this.#file.write(`${JSON.stringify(line)}\n`);
    return offered;
  }

  async dispose(): Promise<void> {
    await this.#file.close();
    await this.#lists.dispose();
  }
}

/** What was offered when it was written down. */
export class RecordedLists implements OfferedLists {
  readonly name: string;
  readonly #at: ReadonlyMap<string, Offered>;

  private constructor(name: string, at: ReadonlyMap<string, Offered>) {
    this.name = name;
    this.#at = at;
  }

  /** Throws CorpusError where the file is no record. */
  static async read(path: string): Promise<RecordedLists> {
    const at = new Map<string, Offered>();
    let name: string | undefined;
    let row = 0;
    try {
      for await (const line of createInterface({ input: createReadStream(path) })) {
        row++;
        const value: unknown = JSON.parse(line);
        if (name === undefined) {
          name = z.object({ server: z.string() }).parse(value).server;
          continue;
        }
        const { names, ranks, complete, ms, said, ...place } = LINE.parse(value);
        const order = ranks === undefined || ranks.length !== names?.length ? {} : { ranks };
        const list = names === undefined ? undefined : { names, ...order, complete: complete ?? 0 };
        at.set(keyOf(place.path, place.at), { list, ms, said });
      }
    } catch (error) {
      throw new CorpusError(
        "NG_LISTS",
        `${path} is no record of completion lists${row === 0 ? "" : ` (line ${row})`}`,
        "write one with eval --language-server COMMAND --names-to FILE",
        { cause: error },
      );
    }
    return new RecordedLists(name ?? "", at);
  }

  async at(path: string, before: Uint8Array): Promise<Offered> {
    return this.#at.get(keyOf(path, before.length)) ?? {};
  }

  async dispose(): Promise<void> {
    // Nothing is open.
  }
}

const keyOf = (path: string, at: number): string => `${at} ${path}`;
