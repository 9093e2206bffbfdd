/** IEEE half precision for uploads and read-backs: not every supported Node has Float16Array. */

const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

/** Nearest half, ties to even; beyond 65,504 it is infinite. */
export function toHalf(x: number): number {
  floats[0] = x;
  const b = bits[0]!;
  const sign = (b >>> 16) & 0x8000;
  const magnitude = b & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x33000001) return sign;
  const exponent = magnitude >>> 23;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  // Normal halves keep 11 bits of the mantissa; subnormal ones lose one more per binade.
  const shift = exponent >= 113 ? 13 : 126 - exponent;
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const middle = 1 << (shift - 1);
  const rounded = kept + (rest > middle || (rest === middle && (kept & 1) === 1) ? 1 : 0);
  return sign | (exponent >= 113 ? rounded + ((exponent - 113) << 10) : rounded);
}

export function fromHalf(h: number): number {
  const sign = (h & 0x8000) === 0 ? 1 : -1;
  const exponent = (h >>> 10) & 31;
  const mantissa = h & 0x3ff;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** An even number of halves, padded with zero: buffers are written in words. */
export function toHalves(data: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(2 * Math.ceil(data.length / 2));
  for (let i = 0; i < data.length; i++) out[i] = toHalf(data[i]!);
  return out;
}

export function fromHalves(halves: Uint16Array): Float32Array {
  const out = new Float32Array(halves.length);
  for (let i = 0; i < out.length; i++) out[i] = fromHalf(halves[i]!);
  return out;
}
