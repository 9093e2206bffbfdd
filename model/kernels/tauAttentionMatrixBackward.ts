/**
 * Tau attention's backward pass on subgroup matrices. One kernel per 64 keys walks over the query tiles that see
 * them: dOut·Vᵀ and Pᵀ·dOut on matrix units, P and dS = P (dOut·v − dOut·out) in f32 from lse. Sums over queries
 * (dV, dB, dC) stay in the workgroup; sums over keys leave one partial per pair of tiles in `parts`, which the
 * queries' op adds up in a fixed order: every score is computed once, and nothing needs float atomics.
 * Σ dS sign(a − b) = 2 Σ dS s − Σ dS with s = saturate((a − b)·huge + ½): two steps per band, 0 at a = b.
 * The walk leaves its loop before the loop's last barrier: drivers unroll a loop that ends in its condition (NVIDIA's
 * eightfold: 220 KB of code with eight bands, which no instruction cache holds, and registers spilled).
 */
import type { GpuKernel, Params, Stored } from "../graph.ts";
import { backwardBindings, distancesAt, tilesOf } from "./tauAttentionParts.ts";
import { sumsOverQueries } from "./tauAttentionMatrixSums.ts";
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

const WARPS = 8;
const THREADS = WARPS * 32;
const KEY_STRIDE = MATRIX_TILE / 4;
/** Query scalars lie [band, normalizer, dOut·out][query]; padded against bank conflicts. */
const QUERY_STRIDE = MATRIX_TILE + 4;
/** vec4u per query of the tile that holds dOut·v in f32, then P in halves with the row sums behind it. */
const PAIR_STRIDE = MATRIX_TILE / 4 + 1;

export function matrixKeysBackward(p: Params, stored: readonly Stored[]): GpuKernel {
  const m = p["bands"]!;
  const D = p["headDim"]!;
  const S = valueStride(D);
  const O = D / 4 + 1;
  const eights = D / 8;
  const chunks = MATRIX_TILE * eights;
  const loads = Math.ceil(chunks / THREADS);
  const inside = (i: number, n: number): string =>
    (i + 1) * THREADS <= n ? "" : `if (t + ${i * THREADS}u < ${n}u) `;
  const u = (i: number): string => `(t + ${i * THREADS}u)`;
  const staging = keyStaging(p, THREADS);
  const scalars = MATRIX_TILE * m;
  const scalarLoads = Math.ceil(scalars / THREADS);
  const wide = Math.ceil(m / 4);
  const tilesD = D / 16;
  const perHalf = Math.ceil(tilesD / 2);
  const columns = [0, 1].map((half) =>
    Array.from(
      { length: Math.max(0, Math.min(perHalf, tilesD - half * perHalf)) },
      (_, i) => half * perHalf + i,
    ),
  );
  const byHalf = (body: (columns: readonly number[]) => string): string =>
    `if (warp < 4u) {\n${body(columns[0]!)}\n} else {\n${body(columns[1]!)}\n}`;
  const fetchQueries = (tile: string): string => `
    ${times(
      loads,
      (i) => `gradient${i} = vec4u(0u);
    ${inside(i, chunks)}{
      let row = ${tile} + ${u(i)} / ${eights}u;
      if (row < rows) { gradient${i} = eightGradient(((batchRow + row) * nHeads + h) * ${eights}u + ${u(i)} % ${eights}u); }
    }`,
    )}
    ${times(
      scalarLoads,
      (i) =>
        `${inside(i, scalars)}{ scalar${i} = a[((batchRow + min(${tile} + ${u(i)} / bands, rows - 1u)) * nHeads + h) * bands + ${u(i)} % bands] * LOG2E; }`,
    )}
    if (t < TILE) {
      let s = stats[(batchRow + min(${tile} + t, rows - 1u)) * nHeads + h];
      normalizer = s.x * LOG2E + gamma * (f32(${tile} + t) - f32(firstKey));
      delta = s.y;
    }`;
  // A thread's 8 keys are quads warp and warp + 8; its queries are lane and lane + 32.
  const lanes = ["x", "y", "z", "w"];
  const pair = (q: number, g: number): string => `{
        var s = salience - base${q};
        ${times(m, (k) => `let d${k} = x${q}_${k} - k${k}; s -= abs(d${k});`)}
        s = exp2(s);
        if (edge) { s = select(vec4f(0.0), s, (vec4u(tile + lane + ${32 * q}u) - j) < vec4u(reach${q})); }
        p${q}_${g} = s;
        s *= bitcast<vec4f>(pairs[(lane + ${32 * q}u) * ${PAIR_STRIDE}u + at]) - delta${q};
        sum${q} += sum4(s);
        salience${g} += s;
        ${times(
          m,
          (k) => `{ let w = saturate(fma(d${k}, vec4f(HUGE), vec4f(0.5)));
        ${lanes.map((i) => `row${q}_${k} = fma(s.${i}, w.${i}, row${q}_${k});`).join(" ")}
        band${g}_${k} = fma(s, w, band${g}_${k}); }`,
        )}
      }`;
  const pairsOf = (g: number): string => `{
      let at = warp + ${8 * g}u;
      let salience = keys[at + ${m * KEY_STRIDE}u];
      ${times(m, (k) => `let k${k} = keys[at + ${k * KEY_STRIDE}u];`)}
      let j = vec4u(firstKey + 4u * at) + vec4u(0u, 1u, 2u, 3u);
      ${times(2, (q) => pair(q, g))}
    }`;
  const stageQueries = `
    ${times(
      loads,
      (i) =>
        `${inside(i, chunks)}{ gradients[${u(i)} / ${eights}u * ${S}u + ${u(i)} % ${eights}u] = gradient${i}; }`,
    )}
    ${times(
      scalarLoads,
      (i) =>
        `${inside(i, scalars)}{ queries[${u(i)} % bands * ${QUERY_STRIDE}u + ${u(i)} / bands] = scalar${i}; }`,
    )}
    if (t < TILE) {
      queries[${m * QUERY_STRIDE}u + t] = normalizer;
      queries[${(m + 1) * QUERY_STRIDE}u + t] = delta;
    }`;
  const code = `${MATRIX_EXTENSIONS}${tilePrelude(p)}
const HUGE = 1.0e30;
const TILES = ${tilesOf(p)}u;
const PARTS = ${distancesAt(p)}u;
${backwardBindings(stored)}
@group(0) @binding(5) var<storage, read_write> dV: array<${wideType(stored[5]!)}>;
@group(0) @binding(6) var<storage, read_write> dB: array<f32>;
@group(0) @binding(7) var<storage, read_write> dC: array<f32>;
@group(0) @binding(8) var<storage, read_write> parts: array<f32>;
${eightLoader("eightV", "v", stored[3]!)}${eightLoader("eightGradient", "dOut", stored[4]!)}${eightStorer("storeDV", "dV", stored[5]!)}${keySlot(KEY_STRIDE)}
fn keyScalar(u: u32, tile: u32, last: u32, keyBase: u32, h: u32, gamma: f32) -> f32 {
  if (u >= TILE * bands) {
    let key = u - TILE * bands;
    return stats[(keyBase + min(tile + key, last)) * nHeads + h].z * LOG2E + gamma * f32(key);
  }
  return b[((keyBase + min(tile + u / bands, last)) * nHeads + h) * bands + u % bands] * LOG2E;
}

var<workgroup> keys: array<vec4f, ${(m + 1) * KEY_STRIDE}>;
var<workgroup> queries: array<f32, ${(m + 2) * QUERY_STRIDE}>;
var<workgroup> values: array<vec4u, ${MATRIX_TILE * S}>;
// dOut; in the end sums of four lanes.
var<workgroup> gradients: array<vec4u, ${Math.max(MATRIX_TILE * S, THREADS)}>;
// dOut·v [query][key] in f32; a thread puts its 8 weights where it read the first 4 of these, and its sums over
// keys where it read the others. So column 8w + i of P is key 4w + i, from i = 4 on key 32 + 4w + i − 4.
var<workgroup> pairs: array<vec4u, ${MATRIX_TILE * PAIR_STRIDE}>;
${wide > 1 ? `var<workgroup> moreSums: array<vec4f, ${MATRIX_TILE * WARPS}>;` : ""}

@compute @workgroup_size(${THREADS})
fn keysBackwardMatrix(@builtin(workgroup_id) place: vec3u, @builtin(local_invocation_index) t: u32) {
  let group = place.zxy;
  let h = group.y;
  let warp = t / 32u;
  let lane = t % 32u;
  let firstKey = group.x * TILE;
  let keyBase = group.z * rows;
  let batchRow = keyBase;
  let last = rows - 1u;
  let gamma = stats[keyBase * nHeads + h].w * LOG2E;
  var end = rows;
  if (window != 0u) { end = min(rows, firstKey + TILE - 1u + window); }

  ${staging.declare}
  ${staging.fetchRows("firstKey")}
  ${staging.put("0u")}
  ${times(
    loads,
    (i) => `${inside(i, chunks)}{
    var value = vec4u(0u);
    let key = firstKey + ${u(i)} / ${eights}u;
    if (key < rows) { value = eightV(((keyBase + key) * nHeads + h) * ${eights}u + ${u(i)} % ${eights}u); }
    values[${u(i)} / ${eights}u * ${S}u + ${u(i)} % ${eights}u] = value;
  }`,
  )}
  ${times(loads, (i) => `var gradient${i}: vec4u;`)}
  ${times(scalarLoads, (i) => `var scalar${i} = 0.0;`)}
  var normalizer = 0.0;
  var delta = 0.0;
  ${fetchQueries("firstKey")}

  ${times(2, (g) => `var salience${g} = vec4f(0.0);\n${times(m, (k) => `var band${g}_${k} = vec4f(0.0);`)}`)}
  var distance = 0.0;
  ${times(perHalf, (d) => `var acc${d} = subgroup_matrix_result<f32, 16, 16>();`)}
  let block = (warp % 4u) * 16u;
  var tile = firstKey;
  ${stageQueries}
  loop {
    workgroupBarrier();
    {
      let next = min(tile + TILE, last / TILE * TILE);
      ${fetchQueries("next")}
    }
    // dOut·v: 16 queries × 32 keys per warp.
    {
      let keyBlock = warp / 4u * 32u;
      var dot0 = subgroup_matrix_result<f32, 16, 16>();
      var dot1 = subgroup_matrix_result<f32, 16, 16>();
      ${times(
        tilesD,
        (
          k,
        ) => `{ let x = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&gradients, block * ${S}u + ${2 * k}u, ${S}u);
      let y = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&values, keyBlock * ${S}u + ${2 * k}u, ${S}u);
      dot0 = subgroupMatrixMultiplyAccumulate(x, y, dot0);
      let z = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&values, keyBlock * ${S}u + ${16 * S + 2 * k}u, ${S}u);
      dot1 = subgroupMatrixMultiplyAccumulate(x, z, dot1); }`,
      )}
      subgroupMatrixStore<row_major>(&pairs, block * ${PAIR_STRIDE}u + keyBlock / 4u, dot0, ${PAIR_STRIDE}u);
      subgroupMatrixStore<row_major>(&pairs, block * ${PAIR_STRIDE}u + keyBlock / 4u + 4u, dot1, ${PAIR_STRIDE}u);
    }
    workgroupBarrier();
    let edge = tile == firstKey || tile + TILE > rows || (window != 0u && tile + (TILE - 1u) - firstKey >= window);
    ${times(
      2,
      (q) => `let reach${q} = select(0u, REACH, tile + lane + ${32 * q}u < rows);
    let base${q} = vec4f(queries[${m * QUERY_STRIDE + 32 * q}u + lane]);
    let delta${q} = vec4f(queries[${(m + 1) * QUERY_STRIDE + 32 * q}u + lane]);
    var sum${q} = 0.0;
    var p${q}_0: vec4f;
    var p${q}_1: vec4f;
    ${times(m, (k) => `let x${q}_${k} = vec4f(queries[${k * QUERY_STRIDE + 32 * q}u + lane]); var row${q}_${k} = 0.0;`)}`,
    )}
    ${times(2, pairsOf)}
    ${times(
      2,
      (q) => `{
      distance += sum${q} * f32(tile + lane + ${32 * q}u - firstKey);
      pairs[(lane + ${32 * q}u) * ${PAIR_STRIDE}u + warp] = packed(p${q}_0, p${q}_1);
      ${times(wide, (w) => {
        const four = Array.from({ length: 4 }, (_, i) =>
          4 * w + i < m ? `2.0 * row${q}_${4 * w + i} - sum${q}` : "0.0",
        );
        return w === 0
          ? `pairs[(lane + ${32 * q}u) * ${PAIR_STRIDE}u + warp + 8u] = bitcast<vec4u>(vec4f(${four.join(", ")}));`
          : `moreSums[warp * TILE + lane + ${32 * q}u] = vec4f(${four.join(", ")});`;
      })}
    }`,
    )}
    workgroupBarrier();
    // Sums over this tile's keys, one partial per query and band.
    if (t < ${MATRIX_TILE * wide}u) {
      let slot = (tile - firstKey) / TILE;
      let q = t % TILE;
      var total = vec4f(0.0);
      ${
        wide === 1
          ? `for (var w = 8u; w < 16u; w++) { total += bitcast<vec4f>(pairs[q * ${PAIR_STRIDE}u + w]); }`
          : `if (t < TILE) {
        for (var w = 8u; w < 16u; w++) { total += bitcast<vec4f>(pairs[q * ${PAIR_STRIDE}u + w]); }
      } else {
        for (var w = 0u; w < 8u; w++) { total += moreSums[w * TILE + q]; }
      }`
      }
      let first = t / TILE * 4u;
      let at = (((slot * ${p["batch"]!}u + group.z) * nHeads + h) * bands + first) * (TILES * TILE) + tile + q;
      ${times(4, (k) => `${m % 4 === 0 ? "" : `if (first + ${k}u < bands) `}{ parts[at + ${k}u * (TILES * TILE)] = total[${k}]; }`)}
    }
    // dV += Pᵀ dOut: 16 keys and half of the columns per warp.
    ${byHalf((own) =>
      own.length === 0
        ? ""
        : times(
            4,
            (
              k,
            ) => `{ let x = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, col_major>(&pairs, ${k * 16 * PAIR_STRIDE}u + block / 8u, ${PAIR_STRIDE}u);
    ${own
      .map(
        (
          d,
          i,
        ) => `{ let y = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&gradients, ${k * 16 * S + 2 * d}u, ${S}u);
    acc${i} = subgroupMatrixMultiplyAccumulate(x, y, acc${i}); }`,
      )
      .join("\n")} }`,
          ),
    )}
    tile += TILE;
    if (tile >= end) { break; }
    workgroupBarrier();
    ${stageQueries}
  }
  workgroupBarrier();

  ${byHalf((own) =>
    own
      .map(
        (d, i) =>
          `subgroupMatrixStore<row_major>(&pairs, block * ${O}u + ${4 * d}u, acc${i}, ${O}u);`,
      )
      .join("\n"),
  )}
  workgroupBarrier();
  ${times(
    loads,
    (i) => `${inside(i, chunks)}{
    let row = ${u(i)} / ${eights}u;
    let key = firstKey + row / 8u * 4u + row % 4u + row % 8u / 4u * 32u;
    let column = ${u(i)} % ${eights}u;
    if (key < rows) {
      let at = row * ${O}u + 2u * column;
      storeDV(((keyBase + key) * nHeads + h) * ${eights}u + column, bitcast<vec4f>(pairs[at]), bitcast<vec4f>(pairs[at + 1u]));
    }
  }`,
  )}
  ${sumsOverQueries(m)}
}
`;
  return {
    code,
    entryPoint: "keysBackwardMatrix",
    constants: {},
    // Early keys are seen by most queries: the longest walks first.
    workgroups: [p["nHeads"]!, p["batch"]!, tilesOf(p)],
  };
}
