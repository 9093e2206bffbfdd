/**
 * WGSL text of streamGradient on subgroup matrices. The product dU·phiᵀ stays exact to about f32: each operand is a
 * sum of two halves, x = hi + lo, and hi·hi + hi·lo + lo·hi are added up in f32. Rows of dU are scaled by powers of
 * two before they are split, phi by one power of two, so that lo keeps its bits.
 *
 * A workgroup takes `channels` channels of all streams and goes over blocks of 16 rows. Its part of phi stays in
 * registers; 16 rows of dU and their product, in f32, meet in workgroup memory, little enough of it that several
 * workgroups share a multiprocessor: one waits for memory while another multiplies.
 */
import { invariant } from "../errors.ts";
import type { Params } from "../graph.ts";
import gainsCode from "./streamGains.wgsl";

/** Rows and columns of a matrix. */
export const TILE = 16;
/** phi is multiplied by two to this before it is split, and a row of dU so that its largest entry is in two to the
 *  next and twice that. */
const PHI_BITS = 6;
const ROW_BITS = 10;

export interface MatrixLayout {
  readonly channels: number;
  /** Matrices that a block is high. */
  readonly tiles: number;
  /** Blocks of rows that a workgroup goes over. */
  readonly blocks: number;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const matrices = (M: number): number => Math.ceil(M / 16);

/** Whether the kernel is written for these sizes. */
export const fitsMatrices = (p: Params, l: MatrixLayout): boolean =>
  p["S"]! % (2 * l.tiles) === 0 &&
  p["C"]! % l.channels === 0 &&
  2 * matrices(p["M"]!) <= l.channels / 4;

/** Eight neighbouring values as halves and what they leave, 16 bytes each. The high part is cut off, not rounded: some
 *  compilers take a value for equal to its half, and would leave nothing. */
const SPLIT = `struct Halves {
  high: vec4u,
  low: vec4u,
}
fn highOf(v: vec4f) -> vec4f { return bitcast<vec4f>(bitcast<vec4u>(v) & vec4u(0xffffe000u)); }
fn halved(a: vec4f, b: vec4f) -> vec4u {
  return vec4u(bitcast<vec2u>(vec4h(a)), bitcast<vec2u>(vec4h(b)));
}
fn splitOf(a: vec4f, b: vec4f) -> Halves {
  let x = highOf(a);
  let y = highOf(b);
  return Halves(halved(x, y), halved(a - x, b - y));
}
`;

/** name(row, column): four values of a row of M, zeros behind its end. */
function quadOf(name: string, array: string, M: number): string {
  const head = `fn ${name}(row: u32, column: u32) -> vec4f {\n`;
  if (M % 4 === 0)
    return `${head}  if (column >= ${M}u) { return vec4f(); }\n  return ${array}[(row * ${M}u + column) / 4u];\n}\n`;
  const values = range(4).map(
    (i) =>
      `select(0.0, ${array}[row * ${M}u + min(column + ${i}u, ${M - 1}u)], column + ${i}u < ${M}u)`,
  );
  return `${head}  return vec4f(${values.join(", ")});\n}\n`;
}

/** The kernel for streams and branch in halves; names as in streamGradient.wgsl. */
export function streamGradientMatrix(p: Params, l: MatrixLayout, terms: number): string {
  invariant(
    fitsMatrices(p, l),
    `streamGradient: no matrices for ${JSON.stringify({ ...p, ...l })}`,
  );
  const [T, S, C, M] = [p["T"]!, p["S"]!, p["C"]!, p["M"]!];
  const { channels, tiles } = l;
  const quads = channels / 4;
  const rows = TILE * tiles;
  const threads = rows * quads;
  const slices = matrices(M);
  // Workgroup memory in 16 bytes: rows of dU, high parts before low ones, an odd number each; behind them phi's
  // columns, 16 high and 16 low halves each, and later the product.
  const leftStride = 4 * slices + 1;
  const leftUnits = rows * leftStride;
  const productStride = S * quads + 2;
  const units = leftUnits + Math.max(rows * productStride, 4 * S * channels);
  const own = S / 2 / tiles;
  const mine = range(own);
  const heights = range(tiles);
  const wide = M % 4 === 0 ? "vec4f" : "f32";
  const steps = Math.log2(quads);

  const hold = range(slices).map(
    (k) => `  workgroupBarrier();
  for (var i = thread; i < ${2 * S * channels}u; i += ${threads}u) {
    let column = i / 2u;
    let row = column / ${channels}u * ${C}u + slab * ${channels}u + column % ${channels}u;
    let at = ${16 * k}u + i % 2u * 8u;
    let parts = splitOf(${2 ** PHI_BITS}.0 * phiQuad(row, at), ${2 ** PHI_BITS}.0 * phiQuad(row, at + 4u));
    tile[${leftUnits}u + column * 4u + i % 2u] = parts.high;
    tile[${leftUnits}u + column * 4u + 2u + i % 2u] = parts.low;
  }
  workgroupBarrier();
${mine
  .map(
    (
      i,
    ) => `  let h${k}_${i} = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&tile, ${leftUnits}u + (warp * ${own}u + ${i}u) * 64u, 4u);
  let l${k}_${i} = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&tile, ${leftUnits}u + (warp * ${own}u + ${i}u) * 64u + 2u, 4u);`,
  )
  .join("\n")}`,
  );
  const multiply = range(slices).flatMap((k) =>
    heights.map(
      (
        r,
      ) => `    let high${k}_${r} = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile, ${r * TILE * leftStride + 2 * k}u, ${leftStride}u);
    let low${k}_${r} = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile, ${r * TILE * leftStride + 2 * (slices + k)}u, ${leftStride}u);
${mine
  .map(
    (i) => `    c${i}_${r} = subgroupMatrixMultiplyAccumulate(low${k}_${r}, h${k}_${i}, c${i}_${r});
    c${i}_${r} = subgroupMatrixMultiplyAccumulate(high${k}_${r}, l${k}_${i}, c${i}_${r});
    c${i}_${r} = subgroupMatrixMultiplyAccumulate(high${k}_${r}, h${k}_${i}, c${i}_${r});`,
  )
  .join("\n")}`,
    ),
  );
  const results = mine.flatMap((i) => heights.map((r) => ({ i, r })));
  const term = (i: number): string => `w${i >> 2}.${"xyzw"[i % 4]}`;
  const streams = range(S);
  const [scale, slope, along] = range(3).map((i) => term(S * S + S + i));
  const leave = streams.map((j) => {
    const mixed = streams.map((o) => `${term(o * S + j)} * vec4f(y${o})`).join(" + ");
    return `      dX[base + ${(j * C) / 4}u] = vec4h(rowScale * bitcast<vec4f>(tile[product + ${j * quads}u]) + ${term(S * S + j)} * dH + ${along} * vec4f(x${j}) + ${mixed});`;
  });

  return `diagnostic(off, chromium.subgroup_matrix_uniformity);
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
@group(0) @binding(0) var<storage, read> x: array<vec4h>;
@group(0) @binding(1) var<storage, read> dNormed: array<vec4h>;
@group(0) @binding(2) var<storage, read> terms: array<vec4f>;
@group(0) @binding(3) var<storage, read> dU: array<${wide}>;
@group(0) @binding(4) var<storage, read> phi: array<${wide}>;
@group(0) @binding(5) var<storage, read_write> dX: array<vec4h>;

var<workgroup> tile: array<vec4u, ${units}>;
const M: u32 = ${M};
const GROUPS: u32 = ${p["groups"]};
const THREADS: u32 = ${threads};
${gainsCode}
${SPLIT}${quadOf("dUQuad", "dU", M)}${quadOf("phiQuad", "phi", M)}
@compute @workgroup_size(${threads})
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let workgroup = group.y * groups.x + group.x;
  if (workgroup < GAIN_WORKGROUPS) {
    addGains(workgroup, thread);
    return;
  }
  let index = workgroup - GAIN_WORKGROUPS;
  let slab = index % ${C / channels}u;
  let warp = thread / 32u;
  let local = thread / ${quads}u;
  let quad = thread % ${quads}u;
  let c = slab * ${quads}u + quad;
  let product = ${leftUnits}u + local * ${productStride}u + quad;
${hold.join("\n")}
  var first = index / ${C / channels}u * ${rows * l.blocks}u;
  let end = min(${T}u, first + ${rows * l.blocks}u);
  loop {
    if (first >= end) { break; }
    let source = min(first + local, end - 1u);
    let d0 = dUQuad(source, quad * 8u);
    let d1 = dUQuad(source, quad * 8u + 4u);
    let base = source * ${(S * C) / 4}u + c;
${streams.map((j) => `    let x${j} = x[base + ${(j * C) / 4}u];\n    let y${j} = dX[base + ${(j * C) / 4}u];`).join("\n")}
    let branch = dNormed[source * ${C / 4}u + c];
    let most4 = max(abs(d0), abs(d1));
    var most = max(max(most4.x, most4.y), max(most4.z, most4.w));
${range(steps)
  .map((i) => `    most = max(most, subgroupShuffleXor(most, ${1 << i}u));`)
  .join("\n")}
    let exponent = clamp(bitcast<u32>(most) >> 23u, 32u, 250u);
    let split = bitcast<f32>((${254 + ROW_BITS}u - exponent) << 23u);
    let rowScale = bitcast<f32>((exponent - ${ROW_BITS + PHI_BITS}u) << 23u);
    if (quad < ${2 * slices}u) {
      let parts = splitOf(split * d0, split * d1);
      tile[local * ${leftStride}u + quad] = parts.high;
      tile[local * ${leftStride}u + ${2 * slices}u + quad] = parts.low;
    }
    workgroupBarrier();
${results.map(({ i, r }) => `    var c${i}_${r} = subgroup_matrix_result<f32, 16, 16>();`).join("\n")}
${multiply.join("\n")}
${results
  .map(
    ({ i, r }) =>
      `    subgroupMatrixStore<row_major>(&tile, ${leftUnits + r * TILE * productStride}u + (warp * ${own}u + ${i}u) * 4u, c${i}_${r}, ${productStride}u);`,
  )
  .join("\n")}
    workgroupBarrier();
    // Asked for only now: their registers are others' until here.
${range(terms / 4)
  .map((i) => `    let w${i} = terms[source * ${terms / 4}u + ${i}u];`)
  .join("\n")}
    if (first + local < end) {
      let h = ${streams.map((j) => `${term(S * S + j)} * vec4f(x${j})`).join(" + ")};
      let dH = ${scale} * vec4f(branch) + ${slope} * h;
${leave.join("\n")}
    }
    first += ${rows}u;
  }
}
`;
}
