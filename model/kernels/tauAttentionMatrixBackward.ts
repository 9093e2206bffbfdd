/**
 * Tau attention's backward pass on subgroup matrices. One kernel per 64 keys walks over the query tiles that see
 * them: dOut·Vᵀ and Pᵀ·dOut on matrix units, P and dS = P (dOut·v − dOut·out) in f32 from lse. Sums over queries
 * (dV, dB, dC) stay in the workgroup; sums over keys leave one partial per pair of tiles in `parts`, which the
 * queries' op adds up in a fixed order: every score is computed once, and nothing needs float atomics.
 * Σ dS sign(a − b) = 2 Σ dS s − Σ dS with s = saturate((a − b)·huge + ½): two steps per band, 0 at a = b.
 * The walk leaves its loop before the loop's last barrier: drivers unroll a loop that ends in its condition (NVIDIA's
 * eightfold: 220 KB of code with eight bands, which no instruction cache holds, and registers spilled).
 * Tiles of 32 queries, four subgroups and V's matrices in registers let two workgroups live on a multiprocessor that
 * lends 48 KiB (an H200: 385 → 352 µs against 64 queries and eight subgroups).
 */
import type { GpuKernel, Params, Stored } from "../graph.ts";
import { backwardBindings, distancesAt, tilesOf } from "./tauAttentionParts.ts";
import { sumsOverQueries } from "./tauAttentionMatrixSums.ts";
import {
  eightLoader,
  eightStorer,
  keyStaging,
  MATRIX_EXTENSIONS,
  MATRIX_TILE,
  tilePrelude,
  times,
  valueStride,
  wideType,
} from "./tauAttentionTiles.ts";

const KEY_STRIDE = MATRIX_TILE / 4 + 1;
/** vec4u per query of the tile that holds dOut·v in f32, then P in halves with the row sums behind it. */
const PAIR_STRIDE = MATRIX_TILE / 4 + 1;

/** Queries of a tile; four threads for each, a thread has two queries and eight keys, two of them at a time. */
const QUERIES = 32;
const THREADS = 4 * QUERIES;
/** Query scalars lie [band, normalizer, dOut·out][query]; padded against bank conflicts. */
const Q = QUERIES + 4;

export function matrixKeysBackward(p: Params, stored: readonly Stored[]): GpuKernel {
  const m = p["bands"]!;
  const D = p["headDim"]!;
  const S = valueStride(D);
  const eights = D / 8;
  const inside = (i: number, n: number): string =>
    (i + 1) * THREADS <= n ? "" : `if (t + ${i * THREADS}u < ${n}u) `;
  const u = (i: number): string => `(t + ${i * THREADS}u)`;
  const valueChunks = MATRIX_TILE * eights;
  const valueLoads = Math.ceil(valueChunks / THREADS);
  const chunks = QUERIES * eights;
  const loads = Math.ceil(chunks / THREADS);
  const staging = keyStaging(p, THREADS);
  const scalars = QUERIES * m;
  const scalarLoads = Math.ceil(scalars / THREADS);
  const wide = Math.ceil(m / 4);
  const tilesD = D / 16;
  const rowBlocks = QUERIES / 16;
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
    if (t < QUERIES) {
      let s = stats[(batchRow + min(${tile} + t, rows - 1u)) * nHeads + h];
      normalizer = s.x * LOG2E + gamma * (f32(${tile} + t) - f32(firstKey));
      delta = s.y;
    }`;
  const lanes = ["x", "y"];
  const part = (c: number): string => (c === 0 ? ".xy" : ".zw");
  const pair = (q: number, g: number, c: number): string => `{
        var s = salience - base${q};
        ${times(m, (k) => `let d${k} = x${q}_${k} - k${k}; s -= abs(d${k});`)}
        s = exp2(s);
        if (edge) { s = select(vec2f(0.0), s, (vec2u(query${q}) - j) < vec2u(reach${q})); }
        p${q}_${g}_${c} = s;
        s *= bitcast<vec4f>(pairs[place${q} * ${PAIR_STRIDE}u + quad${g}])${part(c)} - delta${q};
        sum${q} += s.x + s.y;
        salience${g}_${c} += s;
        ${times(
          m,
          (k) => `{ let w = saturate(fma(d${k}, vec2f(HUGE), vec2f(0.5)));
        ${lanes.map((i) => `row${q}_${k} = fma(s.${i}, w.${i}, row${q}_${k});`).join(" ")}
        band${g}_${c}_${k} = fma(s, w, band${g}_${c}_${k}); }`,
        )}
      }`;
  const pairsOf = (g: number, c: number): string => `{
      let salience = keys[quadAt + ${m * KEY_STRIDE + 4 * g}u]${part(c)};
      ${times(m, (k) => `let k${k} = keys[quadAt + ${k * KEY_STRIDE + 4 * g}u]${part(c)};`)}
      let j = (vec4u(firstKey + 4u * quad${g}) + vec4u(0u, 1u, 2u, 3u))${part(c)};
      ${times(2, (q) => pair(q, g, c))}
    }`;
  const swapped = (x: string): string =>
    `bitcast<f32>(subgroupShuffleXor(bitcast<u32>(${x}), 16u))`;
  const packedP = (q: number, g: number): string =>
    `vec2u(pack2x16float(p${q}_${g}_0), pack2x16float(p${q}_${g}_1))`;
  const stageQueries = `
    ${times(
      loads,
      (i) =>
        `${inside(i, chunks)}{ gradients[${u(i)} / ${eights}u * ${S}u + ${u(i)} % ${eights}u] = gradient${i}; }`,
    )}
    ${times(
      scalarLoads,
      (i) =>
        `${inside(i, scalars)}{ queries[${u(i)} % bands * ${Q}u + ${u(i)} / bands] = scalar${i}; }`,
    )}
    if (t < QUERIES) {
      queries[${m * Q}u + t] = normalizer;
      queries[${(m + 1) * Q}u + t] = delta;
    }`;
  const holdV = (k: number): string =>
    `subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&pairs, ownKeys * ${eights}u + ${2 * k}u, ${eights}u)`;
  const code = `${MATRIX_EXTENSIONS}${tilePrelude(p)}
const QUERIES = ${QUERIES}u;
const HUGE = 1.0e30;
const TILES = ${tilesOf(p)}u;
const PARTS = ${distancesAt(p)}u;
${backwardBindings(stored)}
@group(0) @binding(5) var<storage, read_write> dV: array<${wideType(stored[5]!)}>;
@group(0) @binding(6) var<storage, read_write> dB: array<f32>;
@group(0) @binding(7) var<storage, read_write> dC: array<f32>;
@group(0) @binding(8) var<storage, read_write> parts: array<f32>;
${eightLoader("eightV", "v", stored[3]!)}${eightLoader("eightGradient", "dOut", stored[4]!)}${eightStorer("storeDV", "dV", stored[5]!)}
// The second half of the quads stands one further on: a warp reads one of each half at a time, of different banks.
fn keySlot(u: u32) -> u32 {
  let key = select(u / bands, u - TILE * bands, u >= TILE * bands);
  let band = select(u % bands, bands, u >= TILE * bands);
  return band * ${KEY_STRIDE * 4}u + key + key / 32u * 4u;
}
fn keyScalar(u: u32, tile: u32, last: u32, keyBase: u32, h: u32, gamma: f32) -> f32 {
  if (u >= TILE * bands) {
    let key = u - TILE * bands;
    return stats[(keyBase + min(tile + key, last)) * nHeads + h].z * LOG2E + gamma * f32(key);
  }
  return b[((keyBase + min(tile + u / bands, last)) * nHeads + h) * bands + u % bands] * LOG2E;
}

var<workgroup> keys: array<vec4f, ${(m + 1) * KEY_STRIDE}>;
var<workgroup> queries: array<f32, ${(m + 2) * Q}>;
// dOut; in the end sums of lanes.
var<workgroup> gradients: array<vec4u, ${Math.max(QUERIES * S, 256)}>;
// dOut·v [query][key] in f32. Of the 8 that two threads read of a row, one puts both threads' weights where it read, and
// their sums over keys where the other read: weights to the left in rows of even blocks of 16, in others to the right.
// So column 8w + i of P is key 4w + i, from i = 4 on key 32 + 4w + i − 4.
var<workgroup> pairs: array<vec4u, ${Math.max(QUERIES * PAIR_STRIDE, valueChunks)}>;

@compute @workgroup_size(${THREADS})
fn keysBackwardMatrix(@builtin(workgroup_id) place: vec3u, @builtin(local_invocation_index) t: u32) {
  let group = place.zxy;
  let h = group.y;
  let warp = t / 32u;
  let lane = t % 32u;
  let second = lane / 16u;
  let quad0 = warp + 8u * second;
  let quad1 = quad0 + 4u;
  let quadAt = warp + 9u * second;
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
    valueLoads,
    (i) => `${inside(i, valueChunks)}{
    var value = vec4u(0u);
    let key = firstKey + ${u(i)} / ${eights}u;
    if (key < rows) { value = eightV(((keyBase + key) * nHeads + h) * ${eights}u + ${u(i)} % ${eights}u); }
    pairs[${u(i)} / ${eights}u * ${eights}u + ${u(i)} % ${eights}u] = value;
  }`,
  )}
  ${times(loads, (i) => `var gradient${i}: vec4u;`)}
  ${times(scalarLoads, (i) => `var scalar${i} = 0.0;`)}
  var normalizer = 0.0;
  var delta = 0.0;
  ${fetchQueries("firstKey")}

  ${times(2, (g) => times(2, (c) => `var salience${g}_${c} = vec2f(0.0);\n${times(m, (k) => `var band${g}_${c}_${k} = vec2f(0.0);`)}`))}
  var distance = 0.0;
  ${times(tilesD, (d) => `var acc${d} = subgroup_matrix_result<f32, 16, 16>();`)}
  let ownKeys = warp * 16u;
  workgroupBarrier();
  ${times(tilesD, (k) => `let held${k} = ${holdV(k)};`)}
  // Of its two queries a thread keeps the first: its partner's second.
  let place0 = lane;
  let place1 = place0 ^ 16u;
  var tile = firstKey;
  ${stageQueries}
  loop {
    workgroupBarrier();
    {
      let next = min(tile + QUERIES, last / QUERIES * QUERIES);
      ${fetchQueries("next")}
    }
    // dOut·v: 32 queries × 16 keys per warp.
    {
      var dot0 = subgroup_matrix_result<f32, 16, 16>();
      var dot1 = subgroup_matrix_result<f32, 16, 16>();
      ${times(
        tilesD,
        (
          k,
        ) => `{ let x = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&gradients, ${2 * k}u, ${S}u);
      let z = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&gradients, ${16 * S + 2 * k}u, ${S}u);
      dot0 = subgroupMatrixMultiplyAccumulate(x, held${k}, dot0);
      dot1 = subgroupMatrixMultiplyAccumulate(z, held${k}, dot1); }`,
      )}
      subgroupMatrixStore<row_major>(&pairs, ownKeys / 4u, dot0, ${PAIR_STRIDE}u);
      subgroupMatrixStore<row_major>(&pairs, ownKeys / 4u + ${16 * PAIR_STRIDE}u, dot1, ${PAIR_STRIDE}u);
    }
    workgroupBarrier();
    let edge = tile < firstKey + (TILE - 1u) || tile + QUERIES > rows || (window != 0u && tile + (QUERIES - 1u) - firstKey >= window);
    ${times(
      2,
      (q) => `let query${q} = tile + place${q};
    let reach${q} = select(0u, REACH, query${q} < rows);
    let base${q} = vec2f(queries[${m * Q}u + place${q}]);
    let delta${q} = vec2f(queries[${(m + 1) * Q}u + place${q}]);
    var sum${q} = 0.0;
    ${times(2, (g) => times(2, (c) => `var p${q}_${g}_${c}: vec2f;`))}
    ${times(m, (k) => `let x${q}_${k} = vec2f(queries[${k * Q}u + place${q}]); var row${q}_${k} = 0.0;`)}`,
    )}
    ${times(2, (g) => times(2, (c) => pairsOf(g, c)))}
    distance += sum0 * f32(query0 - firstKey) + sum1 * f32(query1 - firstKey);
    {
      let at = place0 * ${PAIR_STRIDE}u;
      ${times(
        2,
        (g) => `{ let own = ${packedP(0, g)};
      let sent = ${packedP(1, g)};
      let other = vec2u(subgroupShuffleXor(sent.x, 16u), subgroupShuffleXor(sent.y, 16u));
      pairs[at + quad${g}] = select(vec4u(own, other), vec4u(other, own), second == 1u); }`,
      )}
      sum0 += ${swapped("sum1")};
      ${times(m, (k) => `row0_${k} = 2.0 * (row0_${k} + ${swapped(`row1_${k}`)}) - sum0;`)}
      ${times(wide, (w) => {
        const four = Array.from({ length: 4 }, (_, i) =>
          4 * w + i < m ? `row0_${4 * w + i}` : "0.0",
        );
        return `pairs[at + (quad${w} ^ 8u)] = bitcast<vec4u>(vec4f(${four.join(", ")}));`;
      })}
    }
    workgroupBarrier();
    // Sums over this tile's keys, one partial per query and band.
    if (t < ${QUERIES * wide}u) {
      let slot = (tile - firstKey) / TILE;
      let q = t % QUERIES;
      var total = vec4f(0.0);
      let at0 = q * ${PAIR_STRIDE}u + 8u * (1u - q / 16u % 2u) + t / QUERIES * 4u;
      for (var w = 0u; w < 4u; w++) { total += bitcast<vec4f>(pairs[at0 + w]); }
      let first = t / QUERIES * 4u;
      let at = (((slot * ${p["batch"]!}u + group.z) * nHeads + h) * bands + first) * (TILES * TILE) + tile + q;
      ${times(4, (k) => `${m % 4 === 0 ? "" : `if (first + ${k}u < bands) `}{ parts[at + ${k}u * (TILES * TILE)] = total[${k}]; }`)}
    }
    // dV += Pᵀ dOut: 16 keys per warp.
    ${times(
      rowBlocks,
      (
        k,
      ) => `{ let x = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, col_major>(&pairs, ${k * 16 * PAIR_STRIDE + (k % 2) * 8}u + ownKeys / 8u, ${PAIR_STRIDE}u);
    ${times(
      tilesD,
      (
        i,
      ) => `{ let y = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&gradients, ${k * 16 * S + 2 * i}u, ${S}u);
    acc${i} = subgroupMatrixMultiplyAccumulate(x, y, acc${i}); }`,
    )} }`,
    )}
    tile += QUERIES;
    if (tile >= end) { break; }
    workgroupBarrier();
    ${stageQueries}
  }

  // A warp's own part of dV, 16 columns at a time.
  {
    let row = ownKeys + lane / 2u;
    let key = firstKey + row / 8u * 4u + row % 4u + row % 8u / 4u * 32u;
    let at = warp * 64u + lane * 2u;
    ${times(
      tilesD,
      (i) => `workgroupBarrier();
    { subgroupMatrixStore<row_major>(&pairs, warp * 64u, acc${i}, 4u); }
    workgroupBarrier();
    { if (key < rows) {
      storeDV(((keyBase + key) * nHeads + h) * ${eights}u + ${2 * i}u + lane % 2u, bitcast<vec4f>(pairs[at]), bitcast<vec4f>(pairs[at + 1u]));
    } }`,
    )}
  }
  ${times(2, (g) => times(m, (k) => `let whole${g}_${k} = vec4f(band${g}_0_${k}, band${g}_1_${k});`))}
  ${times(2, (g) => `let wholeSalience${g} = vec4f(salience${g}_0, salience${g}_1);`)}
  ${sumsOverQueries(m, THREADS)}
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
