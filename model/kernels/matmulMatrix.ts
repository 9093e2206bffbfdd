/**
 * WGSL text of the matrix product on subgroup matrices (tensor cores): f16 operands, f32 accumulation. f32 operands
 * are rounded to f16 as they are loaded. Every entry adds its products 16 at a time over ascending k, whatever the
 * tile, so a row of a product does not depend on how many rows there are.
 * A workgroup computes tileM × tileN; each of its subgroups warpM × warpN as 16 × 16 matrices in registers. The next
 * slice of k is loaded to registers while the present one is multiplied out of workgroup memory, 16 bytes at a time;
 * rows there are padded by 16 bytes, which keeps the hardware's matrix loads free of bank conflicts. The result
 * leaves through workgroup memory, so that stores are wide and the epilogue sees rows and columns.
 */
import type { Stored } from "../graph.ts";
import { operandSource, outputSource, readsBefore, type MatmulOutput } from "./matmulOutput.ts";

export interface MatrixTile {
  readonly tileM: number;
  readonly tileN: number;
  readonly tileK: number;
  /** What one subgroup computes; multiples of 16. */
  readonly warpM: number;
  readonly warpN: number;
}

export interface MatrixForm extends MatmulOutput {
  /** Operands whose rows do not start on 16 bytes are read one by one; so is an out of no whole quads written. */
  readonly singlesA: boolean;
  readonly singlesB: boolean;
  readonly singlesOut: boolean;
  readonly transposeA: number;
  readonly transposeB: number;
  readonly a: Stored;
  readonly b: Stored;
  /** Whether m, n and every range of k are multiples of the tile, so that nothing need be guarded. */
  readonly wholeM: boolean;
  readonly wholeN: boolean;
  readonly wholeK: boolean;
}

export const SUBGROUP = 32;
const PAD = 8;
/** Columns of the result that pass through workgroup memory at a time, at most. */
const STAGE_COLUMNS = 64;
/** Neighbouring tiles along m that run together, so that they share b in the cache. */
const GROUP = 8;

export const matrixThreads = (t: MatrixTile): number =>
  (t.tileM / t.warpM) * (t.tileN / t.warpN) * SUBGROUP;

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

interface Side {
  readonly name: "a" | "b";
  readonly stored: Stored;
  /** Halves per row of the tile as it lies in memory, and rows. */
  readonly rowLength: number;
  readonly rows: number;
  /** 16-byte units from row to row, padded, and in the whole tile. */
  readonly stride: number;
  readonly units: number;
  readonly guardRows: boolean;
  readonly guardColumns: boolean;
  readonly singles: boolean;
}

function side(
  name: "a" | "b",
  stored: Stored,
  contiguousK: boolean,
  t: MatrixTile,
  f: MatrixForm,
): Side {
  const across = name === "a" ? t.tileM : t.tileN;
  const wholeAcross = name === "a" ? f.wholeM : f.wholeN;
  const rowLength = contiguousK ? t.tileK : across;
  const rows = contiguousK ? across : t.tileK;
  const stride = (rowLength + PAD) / 8;
  return {
    name,
    stored,
    rowLength,
    rows,
    stride,
    units: rows * stride,
    guardRows: contiguousK ? !wholeAcross : !f.wholeK,
    guardColumns: contiguousK ? !f.wholeK : !wholeAcross,
    singles: name === "a" ? f.singlesA : f.singlesB,
  };
}

/** A function that reads 8 neighbours as halves; whatever lies outside reads as zero. */
function reader(s: Side, binding: number): string {
  const type = s.stored === "f16" ? "vec4u" : "vec4f";
  const declaration = `@group(0) @binding(${binding}) var<storage, read> ${s.name}: array<${type}>;`;
  const outside = [
    ...(s.guardRows ? ["row >= rowEnd"] : []),
    ...(s.guardColumns ? ["column >= columnEnd"] : []),
  ].join(" || ");
  const guard = outside === "" ? "" : `  if (${outside}) { return vec4u(); }\n`;
  if (s.singles) {
    const one = (i: number): string => `one_${s.name}(at + ${i}u, column + ${i}u, columnEnd)`;
    const pair = (i: number): string => `pack2x16float(vec2f(${one(i)}, ${one(i + 1)}))`;
    return `${operandSource(s.name, binding, s.stored, 1)}
fn one_${s.name}(at: u32, column: u32, columnEnd: u32) -> f32 {
  if (column >= columnEnd) { return 0.0; }
  return ${s.name}At(at);
}
fn read_${s.name}(at: u32, row: u32, rowEnd: u32, column: u32, columnEnd: u32) -> vec4u {
${guard}  return vec4u(${pair(0)}, ${pair(2)}, ${pair(4)}, ${pair(6)});
}`;
  }
  if (s.stored === "f16")
    return `${declaration}
fn read_${s.name}(at: u32, row: u32, rowEnd: u32, column: u32, columnEnd: u32) -> vec4u {
${guard}  return ${s.name}[at / 8u];
}`;
  const high = s.guardColumns
    ? `var y = vec4f();
  if (column + 4u < columnEnd) { y = ${s.name}[at / 4u + 1u]; }`
    : `let y = ${s.name}[at / 4u + 1u];`;
  return `${declaration}
fn read_${s.name}(at: u32, row: u32, rowEnd: u32, column: u32, columnEnd: u32) -> vec4u {
${guard}  let x = ${s.name}[at / 4u];
  ${high}
  return vec4u(pack2x16float(x.xy), pack2x16float(x.zw), pack2x16float(y.xy), pack2x16float(y.zw));
}`;
}

/** beforeIn and write: a quad of the result at (row, column), as the epilogue wants it. */
function leaveByQuads(outside: string): string {
  const guard = (value: string): string =>
    outside === "" ? "" : `  if (${outside}) { return ${value}; }\n`;
  return `fn beforeIn(outBase: u32, row: u32, column: u32) -> vec4f {
${guard("vec4f()")}  return beforeAt(outBase + row * size[0].z + column);
}
fn write(bits: vec4u, outBase: u32, row: u32, column: u32, before: vec4f) {
${guard("")}  finishFrom(outBase + row * size[0].z + column, bitcast<vec4f>(bits), before);
}`;
}

function leaveSingly(outside: string): string {
  const guard = outside === "" ? "false" : outside;
  return `fn oneBefore(outBase: u32, row: u32, column: u32) -> f32 {
  if (${guard}) { return 0.0; }
  return beforeAt(outBase + row * size[0].z + column);
}
fn beforeIn(outBase: u32, row: u32, column: u32) -> vec4f {
  return vec4f(oneBefore(outBase, row, column), oneBefore(outBase, row, column + 1u),
               oneBefore(outBase, row, column + 2u), oneBefore(outBase, row, column + 3u));
}
fn writeOne(x: f32, outBase: u32, row: u32, column: u32, before: f32) {
  if (${guard}) { return; }
  finishFrom(outBase + row * size[0].z + column, x, before);
}
fn write(bits: vec4u, outBase: u32, row: u32, column: u32, before: vec4f) {
  let x = bitcast<vec4f>(bits);
  writeOne(x.x, outBase, row, column, before.x);
  writeOne(x.y, outBase, row, column + 1u, before.y);
  writeOne(x.z, outBase, row, column + 2u, before.z);
  writeOne(x.w, outBase, row, column + 3u, before.w);
}`;
}

/** The whole module; entry point `main`. Uniforms: m, k, n, batch, splits, chunk, so that products of one form
 *  share a pipeline: these kernels take a GPU's driver a tenth of a second each. */
export function matrixSource(t: MatrixTile, f: MatrixForm): string {
  const threads = matrixThreads(t);
  const warpsM = t.tileM / t.warpM;
  const blocksM = range(t.warpM / 16);
  const blocksN = range(t.warpN / 16);
  const A = side("a", f.a, f.transposeA === 0, t, f);
  const B = side("b", f.b, f.transposeB === 1, t, f);
  const perStage = Math.min(STAGE_COLUMNS, t.warpN);
  // Row stride of the stage in 16-byte units.
  const stageStride = perStage / 4 + 1;
  const stageUnits = (threads / SUBGROUP) * 16 * stageStride;
  const units = Math.max(A.units + B.units, stageUnits);

  const pieces = [A, B].flatMap((s) => {
    const perRow = s.rowLength / 8;
    const count = (s.rows * perRow) / threads;
    return range(Math.ceil(count)).map((i) => {
      const id = `${s.name}${i}`;
      const partial = (i + 1) * threads > s.rows * perRow;
      const piece = `(lane + ${i * threads}u)`;
      return { s, id, piece, perRow, mine: partial ? `if (${piece} < ${s.rows * perRow}u) ` : "" };
    });
  });
  // Where piece p of a side lies: `row` and `column` in the matrix in memory.
  const positions = pieces
    .map(({ s, id, piece, perRow }) => {
      const along = s.name === "a" ? f.transposeA === 0 : f.transposeB === 1;
      const first = s.name === "a" ? "mFirst" : "nFirst";
      const row = `${piece} / ${perRow}u`;
      const column = `(${piece} % ${perRow}u) * 8u`;
      return `  let ${id}Row = ${row}${along ? ` + ${first}` : ""};
  let ${id}Column = ${column}${along ? "" : ` + ${first}`};
  let ${id}Slot = ${s.name === "a" ? 0 : A.units}u + (${row}) * ${s.stride}u + ${piece} % ${perRow}u;
  var ${id} = vec4u();`;
    })
    .join("\n");
  const load = (at: string): string =>
    pieces
      .map(({ s, id, mine }) => {
        const along = s.name === "a" ? f.transposeA === 0 : f.transposeB === 1;
        const row = along ? `${id}Row` : `${id}Row + ${at}`;
        const column = along ? `${id}Column + ${at}` : `${id}Column`;
        const across = s.name === "a" ? "m" : "n";
        const width = along ? "k" : across;
        const rowEnd = along ? across : "kEnd";
        const columnEnd = along ? "kEnd" : across;
        const base = `${s.name}Base`;
        return `    ${mine}{ ${id} = read_${s.name}(${base} + (${row}) * ${width} + ${column}, ${row}, ${rowEnd}, ${column}, ${columnEnd}); }`;
      })
      .join("\n");
  const store = pieces.map(({ id, mine }) => `    ${mine}{ tile[${id}Slot] = ${id}; }`).join("\n");
  const multiply = range(t.tileK / 16)
    .map((slice) => {
      const kk = slice * 16;
      const lefts = blocksM.map((i) => {
        const at =
          f.transposeA === 0
            ? `warpRow * ${A.stride}u + ${(i * 16 * A.stride * 8 + kk) / 8}u`
            : `warpRow / 8u + ${(kk * A.stride * 8 + i * 16) / 8}u`;
        return `      let l${i} = subgroupMatrixLoad<Left, ${f.transposeA === 0 ? "row_major" : "col_major"}>(&tile, ${at}, ${A.stride}u);`;
      });
      const rights = blocksN.map((j) => {
        const at =
          f.transposeB === 1
            ? `${A.units}u + warpColumn * ${B.stride}u + ${(j * 16 * B.stride * 8 + kk) / 8}u`
            : `${A.units}u + warpColumn / 8u + ${(kk * B.stride * 8 + j * 16) / 8}u`;
        return [
          `      let r${j} = subgroupMatrixLoad<Right, ${f.transposeB === 1 ? "col_major" : "row_major"}>(&tile, ${at}, ${B.stride}u);`,
          ...blocksM.map(
            (i) => `      c${i}_${j} = subgroupMatrixMultiplyAccumulate(l${i}, r${j}, c${i}_${j});`,
          ),
        ].join("\n");
      });
      return `    {\n${lefts.join("\n")}\n${rights.join("\n")}\n    }`;
    })
    .join("\n");
  const accumulators = blocksM
    .flatMap((i) => blocksN.map((j) => `  var c${i}_${j} = Result();`))
    .join("\n");

  const quads = perStage / 4;
  // What the epilogue reads is asked for one stage ahead: a wait in every stage would cost more than the product.
  const early = readsBefore(f.epilogue);
  const writes = range((16 * quads) / SUBGROUP);
  const stages = blocksM.flatMap((i) => range(t.warpN / perStage).map((part) => ({ i, part })));
  const place = (s: { i: number; part: number }, w: number): string => {
    const at = `(thread + ${w * SUBGROUP}u)`;
    return `warpFirst + ${s.i * 16}u + ${at} / ${quads}u, columnFirst + ${s.part * perStage}u + ${at} % ${quads}u * 4u`;
  };
  const ahead = (n: number): string =>
    early && n < stages.length
      ? writes
          .map((w) => `  let old${n}_${w} = beforeIn(outBase, ${place(stages[n]!, w)});`)
          .join("\n")
      : "";
  const leave = stages
    .map((s, n) => {
      const matrices = range(perStage / 16).map(
        (j) =>
          `  subgroupMatrixStore<row_major>(&tile, stage + ${j * 4}u, c${s.i}_${(s.part * perStage) / 16 + j}, ${stageStride}u);`,
      );
      const out = writes.map((w) => {
        const at = `(thread + ${w * SUBGROUP}u)`;
        const old = early ? `old${n}_${w}` : "vec4f()";
        return `  write(tile[stage + ${at} / ${quads}u * ${stageStride}u + ${at} % ${quads}u], outBase, ${place(s, w)}, ${old});`;
      });
      return [
        n === 0 ? ahead(0) : "",
        "  workgroupBarrier();",
        ...matrices,
        ahead(n + 1),
        "  workgroupBarrier();",
        ...out,
      ].join("\n");
    })
    .join("\n");
  const outside = [
    ...(f.wholeM ? [] : ["row >= size[0].x"]),
    ...(f.wholeN ? [] : ["column >= size[0].z"]),
  ].join(" || ");

  return `diagnostic(off, chromium.subgroup_matrix_uniformity);
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;
@group(0) @binding(${f.epilogue === "reluSquaredBackward" || f.epilogue === "blend" ? 4 : 3}) var<uniform> size: array<vec4u, 2>;
var<workgroup> tile: array<vec4u, ${units}>;
${reader(A, 0)}
${reader(B, 1)}
${outputSource(f, f.singlesOut ? 1 : 4)}${f.singlesOut ? leaveSingly(outside) : leaveByQuads(outside)}
@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let m = size[0].x;
  let k = size[0].y;
  let n = size[0].z;
  let batch = size[0].w;
  let splits = size[1].x;
  let chunk = size[1].y;
  let tilesM = (m + ${t.tileM - 1}u) / ${t.tileM}u;
  let tilesN = (n + ${t.tileN - 1}u) / ${t.tileN}u;
  let index = group.y * groups.x + group.x;
  if (index >= tilesM * tilesN * batch * splits) { return; }
  let z = index / (tilesN * tilesM);
  let inLayer = index % (tilesN * tilesM);
  let firstM = inLayer / (${GROUP}u * tilesN) * ${GROUP}u;
  let inGroup = inLayer % (${GROUP}u * tilesN);
  let groupRows = min(tilesM - firstM, ${GROUP}u);
  let mFirst = (firstM + inGroup % groupRows) * ${t.tileM}u;
  let nFirst = inGroup / groupRows * ${t.tileN}u;
  let aBase = (z % batch) * m * k;
  let bBase = (z % batch) * k * n;
  let outBase = z * m * n;
  let kFirst = (z / batch) * chunk;
  let kEnd = min(k, kFirst + chunk);
  let warp = lane / ${SUBGROUP}u;
  let thread = lane % ${SUBGROUP}u;
  let warpRow = warp % ${warpsM}u * ${t.warpM}u;
  let warpColumn = warp / ${warpsM}u * ${t.warpN}u;
${positions}
${accumulators}
  {
${load("kFirst")}
  }
  for (var kAt = kFirst; kAt < kEnd; kAt += ${t.tileK}u) {
    workgroupBarrier();
${store}
    workgroupBarrier();
    let next = kAt + ${t.tileK}u;
    if (next < kEnd) {
${load("next")}
    }
${multiply}
  }
  let stage = warp * ${16 * stageStride}u;
  let warpFirst = mFirst + warpRow;
  let columnFirst = nFirst + warpColumn;
${leave}
}
`;
}

/** Whether an operand can be read 16 bytes at a time along its contiguous dimension. */
export const readable = (stored: Stored, contiguous: number): boolean =>
  contiguous % (stored === "f16" ? 8 : 4) === 0;
