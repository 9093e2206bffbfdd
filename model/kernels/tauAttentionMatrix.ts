/**
 * Tau attention's forward pass on subgroup matrices, its source written per shape. One kernel: a first walk over the
 * keys just before a row takes their largest score for reference, a second one over all keys computes
 * P = 2^(score − reference) in f32, rounds it to halves and multiplies it with V; rows are divided by their sums last.
 * Should a row have scores so far above its reference that halves could overflow, both walks are done again for its
 * tile, the first one over all keys and for such rows only: the result is the same function for any input. Scores are
 * in units of ln 2, their distance term is relative to the key tile: a row's bits do not depend on which rows share
 * its tile. Walks leave their loops before the last barrier, see tauAttentionMatrixBackward.ts.
 *
 * Tiles are as large as lets several workgroups share a multiprocessor's 48 KiB: one multiplies while others score.
 */
import type { GpuKernel, Params, Stored } from "../graph.ts";
import {
  eightLoader,
  eightStorer,
  keySlot,
  keyStaging,
  MATRIX_EXTENSIONS,
  tilePrelude,
  times,
  valueStride,
  wideType,
} from "./tauAttentionTiles.ts";

/** How a workgroup goes over queries and keys. */
export interface ForwardTile {
  readonly queries: number;
  readonly keys: number;
  readonly warps: number;
  /** Queries per thread; an even number of quads of keys must be left for each. */
  readonly each: number;
  /** Groups of warps that share rows of P·V. */
  readonly rowGroups: number;
  /** Key tiles before a row's own that its reference is taken from. */
  readonly back: number;
}

/** 11 KiB of workgroup memory, and few warps to wait for each other: 156 µs where 64 keys with 8 warps took 185, with 16
 *  264 (H200, 32 windows of 1,024 rows, 4 heads of 64, 8 bands). */
const FORWARD_TILE: ForwardTile = {
  queries: 64,
  keys: 32,
  warps: 4,
  each: 2,
  rowGroups: 2,
  back: 3,
};
/** A row's sum of weights above this: a weight might not fit a half. */
const LIMIT = 32768;

export function matrixForward(
  p: Params,
  stored: readonly Stored[],
  tile: ForwardTile = FORWARD_TILE,
): GpuKernel {
  const m = p["bands"]!;
  const D = p["headDim"]!;
  const { queries, keys, warps, each, rowGroups, back } = tile;
  const threads = warps * 32;
  const queryLanes = queries / each;
  const keyLanes = threads / queryLanes;
  const groups = keys / 4 / keyLanes;
  const S = valueStride(D);
  const P = keys / 8 + 1;
  const P_SIZE = queries * P;
  const keyStride = keys / 4 + 1;
  const queryTiles = Math.ceil(p["rows"]! / queries);
  const chunks = (keys * D) / 8;
  const loads = Math.ceil(chunks / threads);
  const inside = (i: number): string =>
    (i + 1) * threads <= chunks ? "" : `if (t + ${i * threads}u < ${chunks}u) `;
  const staging = keyStaging(p, threads, keys);
  // A warp owns some blocks of 16 rows of P·V and some of 16 columns.
  const blocks = queries / 16 / rowGroups;
  const tilesD = D / 16;
  const columns = Math.ceil(tilesD / (warps / rowGroups));
  const ownColumn = (i: number): string =>
    tilesD % (warps / rowGroups) === 0 ? "" : `if (firstColumn + ${i}u < ${tilesD}u) `;
  const tileSize = Math.max(P_SIZE + keys * S, warps * 16 * 5, (keyLanes * queries) / 4);
  const perQuery = (line: (e: number) => string): string => times(each, line);
  const scores = (g: number): string => `
    let at = keyLane * ${groups}u + ${g}u;
    var s0 = keys[at + ${m * keyStride}u];
    ${times(each - 1, (e) => `var s${e + 1} = s0;`)}
    ${times(
      m,
      (k) =>
        `{ let k = keys[at + ${k * keyStride}u]; ${perQuery((e) => `s${e} -= abs(x${e}_${k} - k);`)} }`,
    )}`;
  const mask = (g: number, none: string): string => `
    if (edge) {
      let j = vec4u(tile + (keyLane * ${groups}u + ${g}u) * 4u) + vec4u(0u, 1u, 2u, 3u);
      ${perQuery((e) => `s${e} = select(vec4f(${none}), s${e}, (vec4u(position${e}) - j) < vec4u(reach${e}));`)}
    }`;
  const storeP = (e: number, g: number): string =>
    g % 2 === 0
      ? `p${e} = s${e};`
      : `tiles[(queryLane + ${e * queryLanes}u) * ${P}u + keyLane * ${groups / 2}u + ${(g - 1) / 2}u] = packed(p${e}, s${e});`;
  const edges = `let edge = tile + (KEYS - 1u) > firstPosition || firstRow + QUERIES > rows
      || (window != 0u && firstPosition + (QUERIES - 1u) - tile >= window);`;
  const rowPart = (part: string, row: string): string =>
    `tiles[(${part}) * ${queries / 4}u + (${row}) / 4u][(${row}) % 4u]`;
  const code = `${MATRIX_EXTENSIONS}${tilePrelude(p)}
const QUERIES = ${queries}u;
const KEYS = ${keys}u;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> slope: array<f32>;
@group(0) @binding(4) var<storage, read> span: array<u32>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<storage, read> v: array<${wideType(stored[6]!)}>;
@group(0) @binding(7) var<storage, read_write> out: array<${wideType(stored[7]!)}>;
${eightLoader("eightV", "v", stored[6]!)}${eightStorer("storeOut", "out", stored[7]!)}${keySlot(keyStride, keys)}
fn keyScalar(u: u32, tile: u32, last: u32, keyBase: u32, h: u32, gamma: f32) -> f32 {
  if (u >= KEYS * bands) {
    let key = u - KEYS * bands;
    return c[(keyBase + min(tile + key, last)) * nHeads + h] * LOG2E + gamma * f32(key);
  }
  return b[((keyBase + min(tile + u / bands, last)) * nHeads + h) * bands + u % bands] * LOG2E;
}

// Key scalars of a tile, [band, salience last][key / 4]; the padding spreads a key's bands over the banks. In the end
// of a walk the sums of rows.
var<workgroup> keys: array<vec4f, ${Math.max((m + 1) * keyStride, queries / 4)}>;
// P [query][key] and V [key][dimension] in halves; between walks parts of rows, in the end out, in f32.
var<workgroup> tiles: array<vec4u, ${tileSize}>;
var<workgroup> overflows: atomic<u32>;

fn max4(x: vec4f) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }

@compute @workgroup_size(${threads})
fn forwardMatrix(@builtin(workgroup_id) place: vec3u, @builtin(local_invocation_index) t: u32) {
  let group = vec3u(${queryTiles - 1}u - place.z, place.xy);
  let h = group.y;
  let warp = t / 32u;
  let lane = t % 32u;
  let queryLane = t % ${queryLanes}u;
  let keyLane = t / ${queryLanes}u;
  let firstRow = group.x * QUERIES;
  let firstPosition = span[0] + firstRow;
  let keyBase = group.z * capacity;
  let gamma = slope[h] * LOG2E;
  let end = min(capacity, span[0] + min(firstRow + QUERIES, rows));
  let last = end - 1u;
  var start = 0u;
  if (window != 0u && firstPosition + 1u > window) { start = (firstPosition + 1u - window) / KEYS * KEYS; }

  ${perQuery(
    (e) => `let place${e} = firstRow + queryLane + ${e * queryLanes}u;
  let position${e} = firstPosition + queryLane + ${e * queryLanes}u;
  let reach${e} = select(0u, REACH, place${e} < rows);
  let near${e} = max(position${e} / KEYS, ${back}u) * KEYS - ${back}u * KEYS;
  let row${e} = ((group.z * rows + min(place${e}, rows - 1u)) * nHeads + h) * bands;
  ${times(m, (k) => `let x${e}_${k} = vec4f(a[row${e} + ${k}u] * LOG2E);`)}
  var far${e} = true;
  var top${e} = LOWEST;
  var sum${e} = 0.0;`,
  )}
  ${staging.declare}
  let rowBlock = warp % ${rowGroups}u * ${blocks * 16}u;
  let firstColumn = warp / ${rowGroups}u * ${columns}u;
  ${times(blocks * columns, (i) => `var acc${i} = subgroup_matrix_result<f32, 16, 16>();`)}
  var tile = 0u;
  var whole = false;
  var first = max(start, max(firstPosition / KEYS, ${back}u) * KEYS - ${back}u * KEYS);

  loop {
    // Largest scores: of keys near a row, and if that would not do, of all keys.
    ${perQuery((e) => `var most${e} = LOWEST;`)}
    tile = first;
    ${staging.fetchRows("tile")}
    ${staging.put("0u")}
    workgroupBarrier();
    loop {
      ${staging.fetchRows("min(tile + KEYS, last / KEYS * KEYS)")}
      ${edges}
      ${perQuery((e) => `var best${e} = LOWEST;`)}
      ${times(
        groups,
        (g) =>
          `{ ${scores(g)}${mask(g, "LOWEST")}
      ${perQuery((e) => `best${e} = max(best${e}, max4(s${e}));`)} }`,
      )}
      ${perQuery((e) => `if (whole || tile >= near${e}) { most${e} = max(most${e}, best${e} - gamma * (f32(position${e}) - f32(tile))); }`)}
      tile += KEYS;
      if (tile >= end) { break; }
      workgroupBarrier();
      ${staging.put("0u")}
      workgroupBarrier();
    }
    ${perQuery((e) => `${rowPart("keyLane", `queryLane + ${e * queryLanes}u`)} = bitcast<u32>(most${e});`)}
    ${staging.fetchRows("start")}
    workgroupBarrier();
    ${perQuery((e) => `if (far${e}) { top${e} = most${e}; ${times(keyLanes, (w) => `top${e} = max(top${e}, bitcast<f32>(${rowPart(`${w}u`, `queryLane + ${e * queryLanes}u`)}));`)} }`)}
    ${staging.put("0u")}
    workgroupBarrier();

    ${perQuery((e) => `sum${e} = 0.0;`)}
    ${times(blocks * columns, (i) => `acc${i} = subgroup_matrix_result<f32, 16, 16>();`)}
    tile = start;
    loop {
      ${times(
        loads,
        (i) => `var value${i} = vec4u(0u);
      ${inside(i)}{
        let key = tile + (t + ${i * threads}u) / ${D / 8}u;
        if (key < end) { value${i} = eightV(((keyBase + key) * nHeads + h) * ${D / 8}u + (t + ${i * threads}u) % ${D / 8}u); }
      }`,
      )}
      ${staging.fetchRows("min(tile + KEYS, last / KEYS * KEYS)")}
      ${edges}
      ${perQuery((e) => `let base${e} = top${e} + gamma * (f32(position${e}) - f32(tile)); var p${e}: vec4f;`)}
      ${times(
        groups,
        (g) =>
          `{ ${scores(g)}
      ${perQuery((e) => `s${e} = exp2(s${e} - base${e});`)}${mask(g, "0.0")}
      ${perQuery((e) => `sum${e} += sum4(s${e});`)}
      ${perQuery((e) => storeP(e, g))} }`,
      )}
      ${times(
        loads,
        (i) =>
          `${inside(i)}{ tiles[${P_SIZE}u + (t + ${i * threads}u) / ${D / 8}u * ${S}u + (t + ${i * threads}u) % ${D / 8}u] = value${i}; }`,
      )}
      workgroupBarrier();
      ${staging.put("0u")}
      ${times(
        keys / 16,
        (k) => `{
      ${times(blocks, (r) => `let x${r} = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tiles, (rowBlock + ${16 * r}u) * ${P}u + ${2 * k}u, ${P}u);`)}
      ${times(
        columns,
        (
          i,
        ) => `${ownColumn(i)}{ let y = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&tiles, ${P_SIZE + k * 16 * S}u + 2u * (firstColumn + ${i}u), ${S}u);
      ${times(blocks, (r) => `acc${r * columns + i} = subgroupMatrixMultiplyAccumulate(x${r}, y, acc${r * columns + i});`)} }`,
      )} }`,
      )}
      tile += KEYS;
      if (tile >= end) { break; }
      workgroupBarrier();
    }
    workgroupBarrier();
    ${perQuery((e) => `${rowPart("keyLane", `queryLane + ${e * queryLanes}u`)} = bitcast<u32>(sum${e});`)}
    workgroupBarrier();
    if (t < QUERIES) {
      var total = 0.0;
      ${times(keyLanes, (w) => `total += bitcast<f32>(${rowPart(`${w}u`, "t")});`)}
      keys[t / 4u][t % 4u] = total;
      if (!(total < ${LIMIT}.0)) { atomicStore(&overflows, 1u); }
    }
    workgroupBarrier();
    if (workgroupUniformLoad(&overflows) == 0u || whole) { break; }
    ${perQuery((e) => `far${e} = !(keys[(queryLane + ${e * queryLanes}u) / 4u][(queryLane + ${e * queryLanes}u) % 4u] < ${LIMIT}.0);`)}
    whole = true;
    first = start;
    workgroupBarrier();
  }

  if (keyLane == 0u) {
    ${perQuery(
      (e) =>
        `if (reach${e} != 0u) { lse[(group.z * rows + place${e}) * nHeads + h] = (top${e} + log2(keys[(queryLane + ${e * queryLanes}u) / 4u][(queryLane + ${e * queryLanes}u) % 4u])) * LN2; }`,
    )}
  }
  ${times(
    blocks,
    (r) => `{
  let row = rowBlock + ${16 * r}u + lane / 2u;
  let scale = 1.0 / keys[row / 4u][row % 4u];
  let eight = ((group.z * rows + firstRow + row) * nHeads + h) * ${D / 8}u + 2u * firstColumn + lane % 2u;
  let at = warp * 80u + lane / 2u * 5u + lane % 2u * 2u;
  ${times(
    columns,
    (i) => `
  ${ownColumn(i)}{ subgroupMatrixStore<row_major>(&tiles, warp * 80u, acc${r * columns + i}, 5u); }
  workgroupBarrier();
  ${ownColumn(i)}{ if (firstRow + row < rows) { storeOut(eight + ${2 * i}u, bitcast<vec4f>(tiles[at]) * scale, bitcast<vec4f>(tiles[at + 1u]) * scale); } }
  ${r === blocks - 1 && i === columns - 1 ? "" : "workgroupBarrier();"}`,
  )} }`,
  )}
}
`;
  return {
    code,
    entryPoint: "forwardMatrix",
    constants: {},
    // Late queries see most keys: the longest walks first.
    workgroups: [p["nHeads"]!, p["batch"]!, queryTiles],
  };
}
