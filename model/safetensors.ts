/**
 * The safetensors format: 8 bytes little-endian header length, a JSON header, the tensors' bytes. Weights are F32;
 * other types pass through as bytes. Source: the format's specification (huggingface/safetensors, README "Format").
 */
import { CheckpointError } from "./errors.ts";

export interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Bytes per element of the types that this program writes or reads. */
const TYPE_BYTES = { F32: 4, F16: 2, I32: 4, I8: 1, U8: 1 } as const;
export type StoredType = keyof typeof TYPE_BYTES;

export interface RawTensor {
  readonly dtype: StoredType;
  readonly shape: readonly number[];
  /** Little-endian. */
  readonly bytes: Uint8Array;
}

export interface RawFile {
  readonly tensors: Map<string, RawTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const ALIGN = 8;
/** A header larger than this is damage, not a model. */
const MAX_HEADER = 1 << 26;

const rawBytes = (data: ArrayBufferView): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** A tensor of another type, from typed values. */
export const rawTensor = (
  dtype: StoredType,
  shape: readonly number[],
  data: ArrayBufferView,
): RawTensor => ({ dtype, shape, bytes: rawBytes(data) });

export function encodeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const raw = [...tensors].map(
    ([name, { shape, data }]) => [name, rawTensor("F32", shape, data)] as const,
  );
  return encodeRaw(new Map(raw), metadata);
}

export function encodeRaw(
  tensors: ReadonlyMap<string, RawTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let at = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  let json = JSON.stringify(header);
  while ((8 + Buffer.byteLength(json)) % ALIGN !== 0) json += " ";
  const head = Buffer.from(json);
  const out = new Uint8Array(8 + head.length + at);
  new DataView(out.buffer).setBigUint64(0, BigInt(head.length), true);
  out.set(head, 8);
  let offset = 8 + head.length;
  for (const { bytes } of tensors.values()) {
    out.set(bytes, offset);
    offset += bytes.length;
  }
  return out;
}

const RESTORE = "train again, or restore the model folder from a copy";

function damaged(what: string, path: string, hint = RESTORE): CheckpointError {
  return new CheckpointError("NG_SAFETENSORS", `${path} is damaged: ${what}`, hint);
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== "object" || value === null) return false;
  const e = value as Partial<Entry>;
  return (
    typeof e.dtype === "string" &&
    Array.isArray(e.shape) &&
    e.shape.every((n) => Number.isInteger(n) && n >= 0) &&
    Array.isArray(e.data_offsets) &&
    e.data_offsets.length === 2 &&
    e.data_offsets.every((n) => Number.isInteger(n) && n >= 0)
  );
}

/** Throws CheckpointError, naming `path`, where the bytes are not a whole F32 safetensors file. */
export function decodeSafetensors(bytes: Uint8Array, path: string): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, t] of decodeRaw(bytes, path).tensors) {
    if (t.dtype !== "F32") throw damaged(`${name} has type ${t.dtype}, F32 was expected`, path);
    tensors.set(name, { shape: t.shape, data: new Float32Array(t.bytes.buffer) });
  }
  return tensors;
}

/** Throws CheckpointError, naming `path`, where the bytes are not a whole safetensors file of types known here. Each
 *  tensor's bytes are a copy in a buffer of their own. */
export function decodeRaw(bytes: Uint8Array, path: string, hint?: string): RawFile {
  if (bytes.length < 8) throw damaged(`it holds ${bytes.length} bytes`, path, hint);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  if (headerLength > MAX_HEADER || 8 + headerLength > bytes.length)
    throw damaged(`its header claims ${headerLength} bytes of ${bytes.length}`, path, hint);
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength))) as Record<
      string,
      unknown
    >;
  } catch {
    throw damaged("its header is not JSON", path, hint);
  }
  if (typeof header !== "object" || header === null)
    throw damaged("its header is not an object", path, hint);
  const tensors = new Map<string, RawTensor>();
  const metadata: Record<string, string> = {};
  const body = 8 + headerLength;
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") {
      for (const [key, value] of Object.entries(entry ?? {})) metadata[key] = String(value);
      continue;
    }
    if (!isEntry(entry)) throw damaged(`the entry of ${name} is unreadable`, path, hint);
    if (!Object.hasOwn(TYPE_BYTES, entry.dtype))
      throw damaged(`${name} has type ${entry.dtype}, F32 was expected`, path, hint);
    const dtype = entry.dtype as StoredType;
    const [from, to] = entry.data_offsets;
    const size = entry.shape.reduce((a, b) => a * b, 1);
    if (to - from !== size * TYPE_BYTES[dtype] || body + to > bytes.length)
      throw damaged(
        `${name} claims bytes ${from}..${to} for shape [${entry.shape.join(", ")}]`,
        path,
        hint,
      );
    // A copy of its own: Node's Buffer shares memory on slice, and the data may not be aligned.
    const data = new Uint8Array(to - from);
    data.set(bytes.subarray(body + from, body + to));
    tensors.set(name, { dtype, shape: entry.shape, bytes: data });
  }
  return { tensors, metadata };
}
