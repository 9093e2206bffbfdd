/**
 * What tau attention's kernels for subgroup matrices (16 × 16 × 16, halves into f32, subgroups of 32) share: which
 * shapes and devices they take, and the WGSL that they are put together from.
 */
import type { GpuCaps, Params, Stored } from "../graph.ts";

/** Queries and keys of a tile. */
export const MATRIX_TILE = 64;
/** vec4u (8 halves) per row of a shared tile, padded by one against bank conflicts. */
export const valueStride = (headDim: number): number => headDim / 8 + 1;
/** Backward: query tiles per key tile that may leave partial sums; longer rows take the plain kernels. */
const MAX_SLOTS = 32;

/** Query tiles that see one key tile, the most there can be. */
export function slotsOf(p: Params): number {
  const tiles = Math.ceil(p["rows"]! / MATRIX_TILE);
  if (p["window"]! === 0) return tiles;
  return Math.min(tiles, Math.ceil((p["window"]! - 1) / MATRIX_TILE) + 1);
}

/** Shapes whose backward pass may run on matrices; the graph decides by it how much room partial sums need. */
export const fitsMatrices = (p: Params): boolean =>
  p["exact"] !== 1 && p["headDim"]! % 16 === 0 && slotsOf(p) <= MAX_SLOTS;

/** 48 KiB is what the backward kernel takes at most. */
const deviceHasMatrices = (caps: GpuCaps): boolean =>
  caps.subgroupMatrix &&
  caps.f16 &&
  caps.maxWorkgroupStorageSize >= 49152 &&
  caps.maxInvocations >= 256;

export const forwardOnMatrices = (p: Params, caps: GpuCaps): boolean =>
  deviceHasMatrices(caps) && p["exact"] !== 1 && p["headDim"]! % 16 === 0;

export const backwardOnMatrices = (p: Params, caps: GpuCaps): boolean =>
  deviceHasMatrices(caps) && fitsMatrices(p);

export const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join("\n");

/** First lines of a module that uses matrices. */
export const MATRIX_EXTENSIONS = `diagnostic(off, chromium.subgroup_matrix_uniformity);
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
`;

/** Shapes as constants, and what all kernels use. */
export function tilePrelude(p: Params): string {
  return `const rows = ${p["rows"]!}u;
const capacity = ${p["capacity"]!}u;
const nHeads = ${p["nHeads"]!}u;
const bands = ${p["bands"]!}u;
const headDim = ${p["headDim"]!}u;
const window = ${p["window"]!}u;
const TILE = ${MATRIX_TILE}u;
const LOG2E = 1.4426950408889634;
const LN2 = 0.6931471805599453;
const LOWEST = -3.0e38;
/** A key j is allowed where position − j, wrapping below zero, is less than this. */
const REACH = ${p["window"]! === 0 ? 0x80000000 : p["window"]!}u;
fn packed(x: vec4f, y: vec4f) -> vec4u {
  return vec4u(pack2x16float(x.xy), pack2x16float(x.zw), pack2x16float(y.xy), pack2x16float(y.zw));
}
fn sum4(x: vec4f) -> f32 { return (x.x + x.y) + (x.z + x.w); }
`;
}

/** `fn name(at)`: 8 values of a tensor as halves, `at` counting groups of 8. */
export const eightLoader = (name: string, tensor: string, stored: Stored): string =>
  stored === "f16"
    ? `fn ${name}(at: u32) -> vec4u { return ${tensor}[at]; }\n`
    : `fn ${name}(at: u32) -> vec4u { return packed(${tensor}[2u * at], ${tensor}[2u * at + 1u]); }\n`;

/** `fn name(at, x, y)` stores 8 values. */
export const eightStorer = (name: string, tensor: string, stored: Stored): string =>
  stored === "f16"
    ? `fn ${name}(at: u32, x: vec4f, y: vec4f) { ${tensor}[at] = packed(x, y); }\n`
    : `fn ${name}(at: u32, x: vec4f, y: vec4f) { ${tensor}[2u * at] = x; ${tensor}[2u * at + 1u] = y; }\n`;

export const wideType = (stored: Stored): string => (stored === "f16" ? "vec4u" : "vec4f");

/** Key scalars of a tile, read by all threads: `fetch` into registers, `put` into `keys`. Needs `fn keyScalar(u,
 *  tile)`, where u = key · bands + band, saliences after all of these. */
export function keyStaging(
  p: Params,
  threads: number,
  keys = MATRIX_TILE,
): { fetchRows: (tile: string) => string; put: (buffer: string) => string; declare: string } {
  const scalars = keys * (p["bands"]! + 1);
  const n = Math.ceil(scalars / threads);
  const inside = (i: number): string =>
    (i + 1) * threads <= scalars ? "" : `if (t + ${i * threads}u < ${scalars}u) `;
  return {
    declare: times(n, (i) => `var fresh${i} = 0.0;`),
    fetchRows: (tile) =>
      times(
        n,
        (i) =>
          `${inside(i)}{ fresh${i} = keyScalar(t + ${i * threads}u, ${tile}, last, keyBase, h, gamma); }`,
      ),
    put: (buffer) =>
      times(
        n,
        (i) =>
          `${inside(i)}{ let slot = keySlot(t + ${i * threads}u); keys[${buffer} + slot / 4u][slot % 4u] = fresh${i}; }`,
      ),
  };
}

/** Where scalar u lies in `keys`, in f32; `stride` in vec4f. */
export const keySlot = (stride: number, keys = MATRIX_TILE): string => `fn keySlot(u: u32) -> u32 {
  if (u >= ${keys}u * bands) { return bands * ${stride * 4}u + (u - ${keys}u * bands); }
  return (u % bands) * ${stride * 4}u + u / bands;
}
`;
