/**
 * Partial sums that the keys' kernel on subgroup matrices (tauAttentionMatrixBackward.ts) leaves for the queries' op:
 * their layout, and the kernel that adds them up in a fixed order.
 */
import { gridFor, type GpuKernel, type Params, type Stored } from "../graph.ts";
import { MATRIX_TILE, slotsOf, tilePrelude, times, wideType } from "./tauAttentionTiles.ts";

export const tilesOf = (p: Params): number => Math.ceil(p["rows"]! / MATRIX_TILE);

/** Where the distance sums begin. */
export const distancesAt = (p: Params): number =>
  slotsOf(p) * p["batch"]! * p["nHeads"]! * p["bands"]! * tilesOf(p) * MATRIX_TILE;

/** [slot = query tile − key tile][batch][head][band][row], then one distance sum per key tile and head. */
export const partsSize = (p: Params): number =>
  distancesAt(p) + p["batch"]! * tilesOf(p) * p["nHeads"]!;

/** What both backward kernels bind first. */
export const backwardBindings = (stored: readonly Stored[]): string => `
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
// (lse, dOut·out, c, slope) per row and head.
@group(0) @binding(2) var<storage, read> stats: array<vec4f>;
@group(0) @binding(3) var<storage, read> v: array<${wideType(stored[3]!)}>;
@group(0) @binding(4) var<storage, read> dOut: array<${wideType(stored[4]!)}>;
`;

/** What the keys' kernel left in `parts`: one thread per row and head adds up dA, and before them one workgroup per head
 *  the distance sums, so that no op has to follow for these. */
export function matrixQueriesBackward(p: Params, stored: readonly Stored[]): GpuKernel {
  const n = p["batch"]! * p["rows"]! * p["nHeads"]!;
  const m = p["bands"]!;
  const code = `${tilePrelude(p)}
const TILES = ${tilesOf(p)}u;
const PARTS = ${distancesAt(p)}u;
const BAND = TILES * TILE;
const SLOT = ${p["batch"]! * p["nHeads"]! * m}u * BAND;
${backwardBindings(stored)}
@group(0) @binding(5) var<storage, read> parts: array<f32>;
@group(0) @binding(6) var<storage, read_write> dA: array<f32>;
@group(0) @binding(7) var<storage, read_write> slopePartial: array<f32>;
@group(0) @binding(8) var<storage, read_write> dSlope: array<f32>;

var<workgroup> distances: array<f32, 256>;

// Of one head's key tiles.
fn addSlopes(h: u32, lane: u32) {
  var sum = 0.0;
  for (var k = lane; k < ${p["batch"]!}u * TILES; k += 256u) { sum += parts[PARTS + k * nHeads + h]; }
  distances[lane] = sum;
  for (var step = 128u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (lane < step) { distances[lane] += distances[lane + step]; }
  }
  if (lane == 0u) { dSlope[h] = -distances[0]; }
}

@compute @workgroup_size(256)
fn queriesBackwardMatrix(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  // The plain kernel reads these; here they are only bound.
  _ = &a;
  _ = &b;
  _ = &stats;
  _ = &v;
  _ = &dOut;
  _ = &slopePartial;
  let index = group.y * groups.x + group.x;
  if (index < nHeads) {
    addSlopes(index, lane);
    return;
  }
  let i = (index - nHeads) * 256u + lane;
  if (i >= ${n}u) { return; }
  let h = i % nHeads;
  let row = i / nHeads % rows;
  let batch = i / nHeads / rows;
  let slots = min(${slotsOf(p)}u, row / TILE + 1u);
  // All bands of a slot are asked for at once.
  let first = (batch * nHeads + h) * bands * BAND + row;
  ${times(m, (k) => `var sum${k} = 0.0;`)}
  for (var slot = 0u; slot < slots; slot++) {
    let at = first + slot * SLOT;
    ${times(m, (k) => `sum${k} += parts[at + ${k}u * BAND];`)}
  }
  ${times(m, (k) => `dA[i * bands + ${k}u] = -sum${k};`)}
}
`;
  return {
    code,
    entryPoint: "queriesBackwardMatrix",
    constants: {},
    workgroups: gridFor(p["nHeads"]! + Math.ceil(n / 256), 1),
  };
}
