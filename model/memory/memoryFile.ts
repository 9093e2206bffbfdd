/** The bytes of memory.bin: magic, SHA-256 of all that follows, header length, header (JSON), weights, and the contents
 *  of all files, deflated as one stream. The index is not stored: rebuilding it is faster than reading it. */

import { createHash } from "node:crypto";
import { deflateSync, inflateSync } from "node:zlib";
import { z } from "zod";
import { CheckpointError } from "../errors.ts";

const MAGIC = "NGMEM004";
const OLDER: readonly string[] = ["NGMEM001", "NGMEM002", "NGMEM003"];
const HASH_BYTES = 32;
const HEADER_AT = MAGIC.length + HASH_BYTES + 4;

const headerSchema = z.object({
  files: z.array(z.tuple([z.string(), z.number().int().nonnegative()])),
  weightBytes: z.number().int().nonnegative(),
});

export interface MemoryContents {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly weights: Uint8Array;
}

export function encodeMemory(o: MemoryContents): Uint8Array {
  const paths = [...o.files.keys()].sort();
  const header = Buffer.from(
    JSON.stringify({
      files: paths.map((path) => [path, o.files.get(path)!.length]),
      weightBytes: o.weights.length,
    }),
  );
  const contents = deflateSync(Buffer.concat(paths.map((path) => o.files.get(path)!)));
  const headerLength = Buffer.alloc(4);
  headerLength.writeUInt32LE(header.length);
  const hash = createHash("sha256");
  for (const part of [headerLength, header, o.weights, contents]) hash.update(part);
  return Buffer.concat([
    Buffer.from(MAGIC),
    hash.digest(),
    headerLength,
    header,
    o.weights,
    contents,
  ]);
}

export function decodeMemory(data: Uint8Array): MemoryContents {
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (buffer.length < HEADER_AT) throw damaged(`it has ${buffer.length} bytes`);
  const magic = buffer.toString("latin1", 0, MAGIC.length);
  if (OLDER.includes(magic)) {
    throw new CheckpointError(
      "NG_MEMORY_OLD",
      "the memory of this model was written by an earlier version, whose weights mean something else",
      "train again",
    );
  }
  if (magic !== MAGIC) throw damaged("it is no memory file of this version");
  const stored = buffer.subarray(MAGIC.length, MAGIC.length + HASH_BYTES);
  const actual = createHash("sha256")
    .update(buffer.subarray(MAGIC.length + HASH_BYTES))
    .digest();
  if (!stored.equals(actual)) throw damaged("its checksum does not match");
  try {
    const headerEnd = HEADER_AT + buffer.readUInt32LE(MAGIC.length + HASH_BYTES);
    const header = headerSchema.parse(JSON.parse(buffer.toString("utf8", HEADER_AT, headerEnd)));
    const weights = new Uint8Array(buffer.subarray(headerEnd, headerEnd + header.weightBytes));
    const contents = inflateSync(buffer.subarray(headerEnd + header.weightBytes));
    const files = new Map<string, Uint8Array>();
    let at = 0;
    for (const [path, length] of header.files) {
      files.set(path, new Uint8Array(contents.subarray(at, at + length)));
      at += length;
    }
    if (at !== contents.length) throw damaged(`it lists ${at} bytes and holds ${contents.length}`);
    return { files, weights };
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw damaged("its parts cannot be read", cause);
  }
}

function damaged(why: string, cause?: unknown): CheckpointError {
  return new CheckpointError(
    "NG_MEMORY_DAMAGED",
    `the memory of this model is damaged: ${why}`,
    "train again, or restore the model folder from a copy",
    cause === undefined ? undefined : { cause },
  );
}
