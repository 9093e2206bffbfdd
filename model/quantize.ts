/**
 * Weights in 8 or 4 bits for storage: matrices in products lose bits, the embedding, the n-gram memory's rows and all
 * small tensors stay f32. int8: a scale per row (input), largest magnitude at 127. int4: a scale, held as f16, per 32
 * neighbours of the flat matrix, chosen among a few for the smallest squared error; the unembedding keeps 8 bits.
 */
import { CheckpointError } from "./errors.ts";
import { fromHalves, toHalves } from "./half.ts";
import type { ParamSpec } from "./params.ts";
import { rawTensor, type RawFile, type RawTensor, type StoredTensor } from "./safetensors.ts";

export type Quantization = "int8" | "int4";

/** Thinner matrices are few bytes. */
const THINNEST = 16;
const LARGEST8 = 127;
const LARGEST4 = 7;
const GROUP = 32;
/** Shares of a group's largest magnitude that 7 may stand for: cutting it off can cost less than coarser steps. */
const CUTS = [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7];
const SCALE = ".scale";

function bitsOf(spec: ParamSpec, kind: Quantization): 8 | 4 | 32 {
  const { name, shape, optimizer } = spec;
  if (shape.length !== 2 || Math.min(...shape) < THINNEST) return 32;
  if (name === "embed" || optimizer === "sparse" || optimizer === "fixed") return 32;
  return kind === "int8" || name === "unembed" ? 8 : 4;
}

/** Tensors of a model, fewer bits each; a scale stands under its matrix's name with ".scale" behind it. */
export function quantize(
  table: readonly ParamSpec[],
  weights: ReadonlyMap<string, StoredTensor>,
  kind: Quantization,
): Map<string, RawTensor> {
  const out = new Map<string, RawTensor>();
  for (const spec of table) {
    const { shape, data } = weights.get(spec.name)!;
    const bits = bitsOf(spec, kind);
    if (bits === 32) out.set(spec.name, rawTensor("F32", shape, data));
    else {
      const [values, scale] = bits === 8 ? toInt8(shape, data) : toInt4(data);
      out.set(spec.name, values);
      out.set(spec.name + SCALE, scale);
    }
  }
  return out;
}

function toInt8(shape: readonly number[], data: Float32Array): [RawTensor, RawTensor] {
  const [rows, columns] = shape as [number, number];
  const values = new Int8Array(data.length);
  const scales = new Float32Array(rows);
  for (let r = 0; r < rows; r++) {
    const row = data.subarray(r * columns, (r + 1) * columns);
    const scale = Math.fround(largest(row) / LARGEST8);
    scales[r] = scale;
    if (scale > 0) row.forEach((x, i) => (values[r * columns + i] = nearest(x / scale, LARGEST8)));
  }
  return [rawTensor("I8", shape, values), rawTensor("F32", [rows], scales)];
}

/** Two to a byte, the first in the low half, each with 8 added. */
function toInt4(data: Float32Array): [RawTensor, RawTensor] {
  const bytes = new Uint8Array(Math.ceil(data.length / 2)).fill(0x88);
  const groups = Math.ceil(data.length / GROUP);
  const scales = new Float32Array(groups);
  for (let g = 0; g < groups; g++) {
    const group = data.subarray(g * GROUP, (g + 1) * GROUP);
    const scale = (scales[g] = bestScale(group));
    if (scale === 0) continue;
    group.forEach((x, i) => {
      const at = g * GROUP + i;
      const shift = (at & 1) * 4;
      bytes[at >> 1] =
        (bytes[at >> 1]! & ~(15 << shift)) | ((nearest(x / scale, LARGEST4) + 8) << shift);
    });
  }
  const halves = toHalves(scales).subarray(0, groups);
  return [rawTensor("U8", [bytes.length], bytes), rawTensor("F16", [groups], halves)];
}

/** As f16 holds it; 0 where a group is nothing to f16. */
function bestScale(group: Float32Array): number {
  const top = largest(group);
  let best = 0;
  let least = Infinity;
  for (const cut of CUTS) {
    const scale = fromHalves(toHalves([(cut * top) / LARGEST4]))[0]!;
    if (scale === 0) continue;
    let error = 0;
    for (const x of group) error += (x - scale * nearest(x / scale, LARGEST4)) ** 2;
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

const largest = (values: Float32Array): number =>
  values.reduce((top, x) => Math.max(top, Math.abs(x)), 0);
const nearest = (x: number, bound: number): number =>
  Math.max(-bound, Math.min(bound, Math.round(x)));

/** f32 tensors of a file that `quantize` or f32 weights gave. Throws CheckpointError, naming `path`, on other types. */
export function dequantize(
  table: readonly ParamSpec[],
  { tensors }: RawFile,
  path: string,
): Map<string, StoredTensor> {
  const shapes = new Map(table.map((s) => [s.name, s.shape]));
  const refuse = (name: string, what: string): CheckpointError =>
    new CheckpointError(
      "NG_TENSORS",
      `${path}: ${name} ${what}`,
      "train again, or restore the model folder from a copy",
    );
  const out = new Map<string, StoredTensor>();
  for (const [name, t] of tensors) {
    if (name.endsWith(SCALE) && tensors.has(name.slice(0, -SCALE.length))) continue;
    if (t.dtype === "F32") {
      out.set(name, { shape: t.shape, data: new Float32Array(t.bytes.buffer) });
      continue;
    }
    const shape = shapes.get(name);
    const scale = tensors.get(name + SCALE);
    if (shape === undefined || scale === undefined)
      throw refuse(
        name,
        `has type ${t.dtype} and ${scale === undefined ? "no scale" : "no place"}`,
      );
    const size = shape.reduce((a, b) => a * b, 1);
    const whole =
      t.dtype === "I8"
        ? scale.dtype === "F32" && t.bytes.length === size && scale.shape[0] === shape[0]
        : t.dtype === "U8" &&
          scale.dtype === "F16" &&
          t.bytes.length === Math.ceil(size / 2) &&
          scale.shape[0] === Math.ceil(size / GROUP);
    if (!whole)
      throw refuse(name, `has ${t.bytes.length} bytes of type ${t.dtype} for ${size} values`);
    out.set(name, {
      shape,
      data: t.dtype === "I8" ? fromInt8(t, scale) : fromInt4(t, scale, size),
    });
  }
  return out;
}

function fromInt8(t: RawTensor, scale: RawTensor): Float32Array {
  const values = new Int8Array(t.bytes.buffer);
  const scales = new Float32Array(scale.bytes.buffer);
  const columns = values.length / scales.length;
  const out = new Float32Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = values[i]! * scales[Math.floor(i / columns)]!;
  return out;
}

function fromInt4(t: RawTensor, scale: RawTensor, size: number): Float32Array {
  const scales = fromHalves(new Uint16Array(scale.bytes.buffer));
  const out = new Float32Array(size);
  for (let i = 0; i < size; i++)
    out[i] = (((t.bytes[i >> 1]! >> ((i & 1) * 4)) & 15) - 8) * scales[Math.floor(i / GROUP)]!;
  return out;
}
