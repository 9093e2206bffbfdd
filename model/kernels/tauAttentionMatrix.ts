/**
 * Tau attention's forward pass on subgroup matrices, its source written per shape. One kernel: a first walk over the
 * keys finds each row's largest score, a second one computes P = 2^(score − largest) in f32, rounds it to halves and
 * multiplies it with V; rows are divided by their sums last. Scores are in units of ln 2, their distance term is
 * relative to the key tile: a row's bits do not depend on which rows share its tile. Walks leave their loops before
 * the last barrier, see tauAttentionMatrixBackward.ts.
 */
import type { GpuKernel, Params, Stored } from "../graph.ts";
import {
  eightLoader,
  eightStorer,
  keySlot,
  keyStaging,
  MATRIX_EXTENSIONS,
  MATRIX_TILE,
  tilePrelude,
  times,
  valueStride,
  wideType,
} from "./tauAttentionTiles.ts";

const P_STRIDE = MATRIX_TILE / 8 + 1;
/** Key scalars lie [band, salience last][key / 4]; the padding spreads a key's bands over the banks. */
const KEY_STRIDE = MATRIX_TILE / 4 + 2;
const WARPS = 8;

export function matrixForward(p: Params, stored: readonly Stored[], warps = WARPS): GpuKernel {
  const m = p["bands"]!;
  const D = p["headDim"]!;
  const threads = warps * 32;
  const S = valueStride(D);
  const O = D / 4 + 1;
  const P_SIZE = MATRIX_TILE * P_STRIDE;
  const tileSize = Math.max(P_SIZE + MATRIX_TILE * S, MATRIX_TILE * O);
  const keySize = (m + 1) * KEY_STRIDE;
  const groups = MATRIX_TILE / warps / 4;
  const queryTiles = Math.ceil(p["rows"]! / MATRIX_TILE);
  const chunks = (MATRIX_TILE * D) / 8;
  const loads = Math.ceil(chunks / threads);
  const inside = (i: number): string =>
    (i + 1) * threads <= chunks ? "" : `if (t + ${i * threads}u < ${chunks}u) `;
  const staging = keyStaging(p, threads);
  // Each warp owns 16 rows of P·V and all columns, or one half of them where two warps share the rows.
  const halves = warps / 4;
  const tilesD = D / 16;
  const perHalf = Math.ceil(tilesD / halves);
  const columns = (half: number): number[] =>
    Array.from(
      { length: Math.max(0, Math.min(perHalf, tilesD - half * perHalf)) },
      (_, i) => half * perHalf + i,
    );
  const perWarp = (body: (half: number) => string): string =>
    halves === 1 ? body(0) : `if (warp < 4u) {\n${body(0)}\n} else {\n${body(1)}\n}`;
  // 4 keys against the two queries of a thread.
  const scores = (g: number): string => `
    let at = buffer + warp * ${groups}u + ${g}u;
    var s0 = keys[at + ${m * KEY_STRIDE}u];
    var s1 = s0;
    ${times(m, (k) => `{ let k = keys[at + ${k * KEY_STRIDE}u]; s0 -= abs(x${k} - k); s1 -= abs(y${k} - k); }`)}`;
  const mask = (g: number, none: string): string => `
    if (edge) {
      let j = vec4u(tile + (warp * ${groups}u + ${g}u) * 4u) + vec4u(0u, 1u, 2u, 3u);
      s0 = select(vec4f(${none}), s0, (vec4u(position0) - j) < vec4u(reach0));
      s1 = select(vec4f(${none}), s1, (vec4u(position1) - j) < vec4u(reach1));
    }`;
  const code = `${MATRIX_EXTENSIONS}${tilePrelude(p)}
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> slope: array<f32>;
@group(0) @binding(4) var<storage, read> span: array<u32>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
@group(0) @binding(6) var<storage, read> v: array<${wideType(stored[6]!)}>;
@group(0) @binding(7) var<storage, read_write> out: array<${wideType(stored[7]!)}>;
${eightLoader("eightV", "v", stored[6]!)}${eightStorer("storeOut", "out", stored[7]!)}${keySlot(KEY_STRIDE)}
fn keyScalar(u: u32, tile: u32, last: u32, keyBase: u32, h: u32, gamma: f32) -> f32 {
  if (u >= TILE * bands) {
    let key = u - TILE * bands;
    return c[(keyBase + min(tile + key, last)) * nHeads + h] * LOG2E + gamma * f32(key);
  }
  return b[((keyBase + min(tile + u / bands, last)) * nHeads + h) * bands + u % bands] * LOG2E;
}

// Two buffers of key scalars; P [query][key] and V [key][dimension] in halves, in the end out [query][dimension] in f32.
var<workgroup> keys: array<vec4f, ${2 * keySize}>;
var<workgroup> tiles: array<vec4u, ${tileSize}>;
var<workgroup> rowParts: array<f32, ${warps * MATRIX_TILE}>;

fn max4(x: vec4f) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }

fn rowTotal(row: u32) -> f32 {
  var total = rowParts[row];
  ${times(warps - 1, (w) => `total += rowParts[${(w + 1) * MATRIX_TILE}u + row];`)}
  return total;
}

@compute @workgroup_size(${threads})
fn forwardMatrix(@builtin(workgroup_id) place: vec3u, @builtin(local_invocation_index) t: u32) {
  let group = vec3u(${queryTiles - 1}u - place.z, place.xy);
  let h = group.y;
  let warp = t / 32u;
  let lane = t % 32u;
  let firstRow = group.x * TILE;
  let firstPosition = span[0] + firstRow;
  let keyBase = group.z * capacity;
  let gamma = slope[h] * LOG2E;
  let end = min(capacity, span[0] + min(firstRow + TILE, rows));
  let last = end - 1u;
  var start = 0u;
  if (window != 0u && firstPosition + 1u > window) { start = (firstPosition + 1u - window) / TILE * TILE; }

  // A thread scores queries lane and lane + 32 against the warp's share of each key tile.
  let position0 = firstPosition + lane;
  let position1 = position0 + 32u;
  let reach0 = select(0u, REACH, firstRow + lane < rows);
  let reach1 = select(0u, REACH, firstRow + lane + 32u < rows);
  let row0 = ((group.z * rows + min(firstRow + lane, rows - 1u)) * nHeads + h) * bands;
  let row1 = ((group.z * rows + min(firstRow + lane + 32u, rows - 1u)) * nHeads + h) * bands;
  ${times(m, (k) => `let x${k} = vec4f(a[row0 + ${k}u] * LOG2E); let y${k} = vec4f(a[row1 + ${k}u] * LOG2E);`)}
  ${staging.declare}
  var buffer = 0u;
  var top0 = LOWEST;
  var top1 = LOWEST;
  ${staging.fetchRows("start")}
  ${staging.put("0u")}
  workgroupBarrier();
  var tile = start;
  loop {
    ${staging.fetchRows("min(tile + TILE, last / TILE * TILE)")}
    let edge = tile + (TILE - 1u) > firstPosition || firstRow + TILE > rows
      || (window != 0u && firstPosition + (TILE - 1u) - tile >= window);
    var best0 = LOWEST;
    var best1 = LOWEST;
    ${times(
      groups,
      (g) => `{ ${scores(g)}${mask(g, "LOWEST")}
    best0 = max(best0, max4(s0));
    best1 = max(best1, max4(s1)); }`,
    )}
    top0 = max(top0, best0 - gamma * (f32(position0) - f32(tile)));
    top1 = max(top1, best1 - gamma * (f32(position1) - f32(tile)));
    tile += TILE;
    if (tile >= end) { break; }
    buffer = ${keySize}u - buffer;
    ${staging.put("buffer")}
    workgroupBarrier();
  }
  rowParts[warp * TILE + lane] = top0;
  rowParts[warp * TILE + lane + 32u] = top1;
  ${staging.fetchRows("start")}
  buffer = ${keySize}u - buffer;
  ${staging.put("buffer")}
  workgroupBarrier();
  ${times(warps, (w) => `top0 = max(top0, rowParts[${w * MATRIX_TILE}u + lane]); top1 = max(top1, rowParts[${w * MATRIX_TILE}u + lane + 32u]);`)}

  var sum0 = 0.0;
  var sum1 = 0.0;
  ${times(perHalf, (d) => `var acc${d} = subgroup_matrix_result<f32, 16, 16>();`)}
  let rowBlock = (warp % 4u) * 16u;
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
    ${staging.fetchRows("min(tile + TILE, last / TILE * TILE)")}
    let edge = tile + (TILE - 1u) > firstPosition || firstRow + TILE > rows
      || (window != 0u && firstPosition + (TILE - 1u) - tile >= window);
    let base0 = top0 + gamma * (f32(position0) - f32(tile));
    let base1 = top1 + gamma * (f32(position1) - f32(tile));
    ${times(
      groups / 2,
      (c) => `{
    var p0: vec4f;
    var p1: vec4f;
    ${times(
      2,
      (i) => `{ ${scores(2 * c + i)}
    s0 = exp2(s0 - base0);
    s1 = exp2(s1 - base1);${mask(2 * c + i, "0.0")}
    sum0 += sum4(s0);
    sum1 += sum4(s1);
    ${
      i === 0
        ? "p0 = s0; p1 = s1;"
        : `tiles[lane * ${P_STRIDE}u + warp * ${groups / 2}u + ${c}u] = packed(p0, s0);
    tiles[(lane + 32u) * ${P_STRIDE}u + warp * ${groups / 2}u + ${c}u] = packed(p1, s1);`
    } }`,
    )} }`,
    )}
    ${times(
      loads,
      (i) =>
        `${inside(i)}{ tiles[${P_SIZE}u + (t + ${i * threads}u) / ${D / 8}u * ${S}u + (t + ${i * threads}u) % ${D / 8}u] = value${i}; }`,
    )}
    buffer = ${keySize}u - buffer;
    ${staging.put("buffer")}
    workgroupBarrier();
    ${perWarp((half) =>
      times(
        4,
        (
          k,
        ) => `{ let x = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tiles, rowBlock * ${P_STRIDE}u + ${2 * k}u, ${P_STRIDE}u);
    ${columns(half)
      .map(
        (
          d,
          i,
        ) => `{ let y = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&tiles, ${P_SIZE + k * 16 * S + 2 * d}u, ${S}u);
    acc${i} = subgroupMatrixMultiplyAccumulate(x, y, acc${i}); }`,
      )
      .join("\n")} }`,
      ),
    )}
    tile += TILE;
    if (tile >= end) { break; }
    workgroupBarrier();
  }
  workgroupBarrier();

  rowParts[warp * TILE + lane] = sum0;
  rowParts[warp * TILE + lane + 32u] = sum1;
  ${perWarp((half) =>
    columns(half)
      .map(
        (d, i) =>
          `subgroupMatrixStore<row_major>(&tiles, rowBlock * ${O}u + ${4 * d}u, acc${i}, ${O}u);`,
      )
      .join("\n"),
  )}
  workgroupBarrier();
  if (warp == 0u) {
    let at = (group.z * rows + firstRow + lane) * nHeads + h;
    if (reach0 != 0u) { lse[at] = (top0 + log2(rowTotal(lane))) * LN2; }
    if (reach1 != 0u) { lse[at + 32u * nHeads] = (top1 + log2(rowTotal(lane + 32u))) * LN2; }
  }
  ${times(
    loads,
    (i) => `${inside(i)}{
    let row = (t + ${i * threads}u) / ${D / 8}u;
    let column = (t + ${i * threads}u) % ${D / 8}u;
    let scale = 1.0 / rowTotal(row);
    if (firstRow + row < rows) {
      let at = row * ${O}u + 2u * column;
      storeOut(((group.z * rows + firstRow + row) * nHeads + h) * ${D / 8}u + column, bitcast<vec4f>(tiles[at]) * scale, bitcast<vec4f>(tiles[at + 1u]) * scale);
    }
  }`,
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
