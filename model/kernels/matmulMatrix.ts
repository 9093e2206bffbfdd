/**
 * WGSL text of the matrix product on subgroup matrices (tensor cores): f16 operands, f32 accumulation. f32 operands
 * are rounded to f16 as they are loaded. Every entry adds its products 16 at a time over ascending k, whatever the
 * tile, so a row of a product does not depend on how many rows there are.
 * A workgroup computes tileM × tileN; each of its subgroups warpM × warpN as 16 × 16 matrices in registers. The next
 * slice of k is loaded to registers while the present one is multiplied out of workgroup memory, 16 bytes at a time;
 * rows there are padded by 16 bytes, which keeps the hardware's matrix loads free of bank conflicts. The result
 * leaves through workgroup memory, so that stores are wide and the epilogue sees rows and columns. A multiprocessor
 * gives all its workgroups 48 KiB of workgroup memory together: a tile of more than half of that runs alone, at half the speed.
 */
import type { Stored } from "../graph.ts";
import {
  leavesByEights,
  operandSource,
  outputSource,
  readsBefore,
  type MatmulOutput,
} from "./matmulOutput.ts";

export interface MatrixTile {
  readonly tileM: number;
  readonly tileN: number;
  readonly tileK: number;
  /** What one subgroup computes; multiples of 16. */
  readonly warpM: number;
  readonly warpN: number;
}

export interface MatrixForm extends MatmulOutput {
  /** Operands whose rows do not start on 16 bytes are read one by one. */
  readonly singlesA: boolean;
  readonly singlesB: boolean;
  /** What n is a whole multiple of: so many entries of a row leave together. */
  readonly together: 1 | 4 | 8;
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
/** So many stages ahead is asked for what the epilogue reads. */
const EARLY_STAGES = 2;
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

/** beforeIn(…) and write(…) of `lanes` neighbours at (row, column), which lie in the stage from `slot` on. Of eight the
 *  second four are read first where `turn` says so: a quarter of a subgroup then meets every bank once. */
function leaveTogether(lanes: 4 | 8, outside: string): string {
  const guard = (value: string): string =>
    outside === "" ? "" : `  if (${outside}) { return ${value}; }\n`;
  return `fn beforeIn(outBase: u32, row: u32, column: u32) -> Before {
${guard("Before()")}  return beforeAt(outBase + row * size[0].z + column);
}
fn write(slot: u32, turn: bool, outBase: u32, row: u32, column: u32, before: Before) {
${guard("")}  let at = outBase + row * size[0].z + column;
${
  lanes === 4
    ? "  finishFrom(at, bitcast<vec4f>(tile[slot]), before);"
    : `  let x = bitcast<vec4f>(tile[slot + select(0u, 1u, turn)]);
  let y = bitcast<vec4f>(tile[slot + select(1u, 0u, turn)]);
  finishFrom(at, select(x, y, turn), select(y, x, turn), before);`
}
}`;
}

function leaveSingly(outside: string): string {
  const guard = outside === "" ? "false" : outside;
  const four = (f: (i: number) => string): string => [0, 1, 2, 3].map(f).join("\n");
  return `fn beforeIn(outBase: u32, row: u32, column: u32) -> vec4<Before> {
  var before: vec4<Before>;
${four((i) => `  before[${i}] = oneBefore(outBase, row, column + ${i}u);`)}
  return before;
}
fn oneBefore(outBase: u32, row: u32, column: u32) -> Before {
  if (${guard}) { return Before(); }
  return beforeAt(outBase + row * size[0].z + column);
}
fn writeOne(x: f32, outBase: u32, row: u32, column: u32, before: Before) {
  if (${guard}) { return; }
  finishFrom(outBase + row * size[0].z + column, x, before);
}
fn write(slot: u32, turn: bool, outBase: u32, row: u32, column: u32, before: vec4<Before>) {
  let x = bitcast<vec4f>(tile[slot]);
${four((i) => `  writeOne(x[${i}], outBase, row, column + ${i}u, before[${i}]);`)}
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
  const perStage = t.warpN % STAGE_COLUMNS === 0 ? STAGE_COLUMNS : t.warpN;
  // Row stride of the stage in 16-byte units: rows of a matrix, 32 bytes at a time, then fall into different banks.
  const stageStride = perStage / 4 + 2;
  const stageUnits = (threads / SUBGROUP) * 16 * stageStride;
  const units = Math.max(A.units + B.units, stageUnits);

  const pieces = [A, B].flatMap((s) => {
    const perRow = s.rowLength / 8;
    const count = (s.rows * perRow) / threads;
    return range(Math.ceil(count)).map((i) => {
      const id = `${s.name}${i}`;
      const partial = (i + 1) * threads > s.rows * perRow;
      const piece = `(lane + ${i * threads}u)`;
      return {
        s,
        id,
        row: `${piece} / ${perRow}u`,
        unit: `${piece} % ${perRow}u`,
        mine: partial ? `if (${piece} < ${s.rows * perRow}u) ` : "",
      };
    });
  });
  // Where piece p of a side lies: `Row` and `Column` in the matrix in memory at k = 0, and `At`, its element.
  const positions = pieces
    .map(({ s, id, row, unit }) => {
      const along = s.name === "a" ? f.transposeA === 0 : f.transposeB === 1;
      const first = s.name === "a" ? "mFirst" : "nFirst";
      const width = along ? "k" : s.name === "a" ? "m" : "n";
      const column = `(${unit}) * 8u`;
      return `  let ${id}Row = ${row}${along ? ` + ${first}` : ""};
  let ${id}Column = ${column}${along ? "" : ` + ${first}`};
  let ${id}At = ${s.name}Base + ${id}Row * ${width} + ${id}Column;
  let ${id}Slot = ${s.name === "a" ? 0 : A.units}u + (${row}) * ${s.stride}u + ${unit};
  var ${id} = vec4u();`;
    })
    .join("\n");
  const load = (at: string): string =>
    pieces
      .map(({ s, id, mine }) => {
        const along = s.name === "a" ? f.transposeA === 0 : f.transposeB === 1;
        const across = s.name === "a" ? "m" : "n";
        const place = along
          ? `${id}At + ${at}, ${id}Row, ${across}, ${id}Column + ${at}, kEnd`
          : `${id}At + ${at} * ${across}, ${id}Row + ${at}, kEnd, ${id}Column, ${across}`;
        return `    ${mine}{ ${id} = read_${s.name}(${place}); }`;
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

  const lanes = f.together === 8 && !leavesByEights(f) ? 4 : f.together;
  const groups = perStage / Math.max(4, lanes);
  // What the epilogue reads is asked for stages ahead, and for the first ones during the last multiplication, when
  // nothing else is: a wait in every stage would cost more than the product.
  const early = readsBefore(f.epilogue);
  const writes = range((16 * groups) / SUBGROUP);
  const stages = blocksM.flatMap((i) => range(t.warpN / perStage).map((part) => ({ i, part })));
  const unit = (w: number): { row: string; column: string } => ({
    row: `(thread + ${w * SUBGROUP}u) / ${groups}u`,
    column: `(thread + ${w * SUBGROUP}u) % ${groups}u`,
  });
  const place = (s: { i: number; part: number }, w: number): string =>
    `warpFirst + ${s.i * 16}u + ${unit(w).row}, columnFirst + ${s.part * perStage}u + ${unit(w).column} * ${Math.max(4, lanes)}u`;
  const olds = early
    ? stages.slice(0, EARLY_STAGES).flatMap((stage, n) => writes.map((w) => ({ stage, n, w })))
    : [];
  const oldVariables = olds
    .map(({ n, w }) => `  var old${n}_${w} = ${lanes === 1 ? "vec4<Before>" : "Before"}();`)
    .join("\n");
  const oldLoads = olds
    .map(({ stage, n, w }) => `      old${n}_${w} = beforeIn(outBase, ${place(stage, w)});`)
    .join("\n");
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
        const old = early ? `old${n}_${w}` : lanes === 1 ? "vec4<Before>()" : "Before()";
        const slot = `stage + ${unit(w).row} * ${stageStride}u + ${unit(w).column} * ${Math.max(4, lanes) / 4}u`;
        return `  write(${slot}, thread / 4u % 2u == 1u, outBase, ${place(s, w)}, ${old});`;
      });
      return [
        "  workgroupBarrier();",
        ...matrices,
        ahead(n + EARLY_STAGES),
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
${outputSource(f, lanes)}${lanes === 1 ? leaveSingly(outside) : leaveTogether(lanes, outside)}
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
  let stage = warp * ${16 * stageStride}u;
  let warpFirst = mFirst + warpRow;
  let columnFirst = nFirst + warpColumn;
${positions}
${oldVariables}
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
    }${olds.length === 0 ? "" : ` else {\n${oldLoads}\n    }`}
${multiply}
  }
${leave}
}
`;
}

/** Whether an operand can be read 16 bytes at a time along its contiguous dimension. */
export const readable = (stored: Stored, contiguous: number): boolean =>
  contiguous % (stored === "f16" ? 8 : 4) === 0;
