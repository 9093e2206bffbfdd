/**
 * The safetensors format: 8 bytes little-endian header length, a JSON header, the tensors' bytes. Only F32 is
 * written; F32 is read. Source: the format's specification (huggingface/safetensors, README "Format").
 */
import { CheckpointError } from "./errors.ts";

export interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

const ALIGN = 8;
/** A header larger than this is damage, not a model. */
const MAX_HEADER = 1 << 26;

export function encodeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let at = 0;
  for (const [name, t] of tensors) {
    header[name] = { dtype: "F32", shape: t.shape, data_offsets: [at, at + t.data.byteLength] };
    at += t.data.byteLength;
  }
  let json = JSON.stringify(header);
  while ((8 + Buffer.byteLength(json)) % ALIGN !== 0) json += " ";
  const head = Buffer.from(json);
  const out = new Uint8Array(8 + head.length + at);
  new DataView(out.buffer).setBigUint64(0, BigInt(head.length), true);
  out.set(head, 8);
  let offset = 8 + head.length;
  for (const t of tensors.values()) {
    out.set(new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength), offset);
    offset += t.data.byteLength;
  }
  return out;
}

function damaged(what: string, path: string): CheckpointError {
  return new CheckpointError(
    "NG_SAFETENSORS",
    `${path} is damaged: ${what}`,
    "train again, or restore the model folder from a copy",
  );
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
  if (bytes.length < 8) throw damaged(`it holds ${bytes.length} bytes`, path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  if (headerLength > MAX_HEADER || 8 + headerLength > bytes.length)
    throw damaged(`its header claims ${headerLength} bytes of ${bytes.length}`, path);
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength))) as Record<
      string,
      unknown
    >;
  } catch {
    throw damaged("its header is not JSON", path);
  }
  const tensors = new Map<string, StoredTensor>();
  const body = 8 + headerLength;
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (!isEntry(entry)) throw damaged(`the entry of ${name} is unreadable`, path);
    if (entry.dtype !== "F32")
      throw damaged(`${name} has type ${entry.dtype}, F32 was expected`, path);
    const [from, to] = entry.data_offsets;
    const size = entry.shape.reduce((a, b) => a * b, 1);
    if (to - from !== size * 4 || body + to > bytes.length)
      throw damaged(
        `${name} claims bytes ${from}..${to} for shape [${entry.shape.join(", ")}]`,
        path,
      );
    // A copy of its own: Node's Buffer shares memory on slice, and the data may not be aligned.
    const data = new Float32Array(size);
    new Uint8Array(data.buffer).set(bytes.subarray(body + from, body + to));
    tensors.set(name, { shape: entry.shape, data });
  }
  return tensors;
}
