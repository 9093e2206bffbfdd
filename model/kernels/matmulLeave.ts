/**
 * WGSL text of how a matrix product leaves: sums pass through workgroup memory, each subgroup's 16 rows at a time, so
 * that stores are wide and the epilogue sees rows and columns.
 */
import { leavesByEights, outputSource, readsBefore, type MatmulOutput } from "./matmulOutput.ts";

export interface LeaveForm extends MatmulOutput {
  /** What n is a whole multiple of: so many entries of a row leave together. */
  readonly together: 1 | 4 | 8;
  readonly wholeM: boolean;
  readonly wholeN: boolean;
  readonly warpM: number;
  readonly warpN: number;
  readonly subgroups: number;
  /** 16-byte units of workgroup memory that are there anyway, or that may be taken. */
  readonly units: number;
}

export interface Leave {
  readonly units: number;
  /** Of the stage, per subgroup. */
  readonly stageUnits: number;
  /** Declares out, and what is called below. */
  readonly declarations: string;
  /** Variables for what the epilogue reads, and their loads, to be made before the last multiplication. */
  readonly variables: string;
  readonly early: string;
  readonly text: string;
}

const SUBGROUP = 32;
/** Columns of the result that pass through workgroup memory at a time, the most that fit. */
const STAGE_COLUMNS = [64, 48, 32, 16];
/** So many stages ahead is asked for what the epilogue reads. */
const EARLY_STAGES = 2;

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

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

// Row stride of the stage in 16-byte units: rows of a matrix, 32 bytes at a time, then fall into different banks.
const strideOf = (columns: number): number => columns / 4 + 2;

/** The sums are c0_0, c0_1, …; a subgroup's first row and column are warpFirst and columnFirst, its stage begins at
 *  `stage`. */
export function leave(f: LeaveForm): Leave {
  const unitsOf = (columns: number): number => f.subgroups * 16 * strideOf(columns);
  const perStage = STAGE_COLUMNS.find((c) => f.warpN % c === 0 && unitsOf(c) <= f.units) ?? 16;
  const stageStride = strideOf(perStage);
  const lanes = f.together === 8 && !leavesByEights(f) ? 4 : f.together;
  const groups = perStage / Math.max(4, lanes);
  // What the epilogue reads is asked for stages ahead, and for the first ones during the last multiplication, when
  // nothing else is: a wait in every stage would cost more than the product.
  const early = readsBefore(f.epilogue);
  const writes = range((16 * groups) / SUBGROUP);
  const stages = range(f.warpM / 16).flatMap((i) =>
    range(f.warpN / perStage).map((part) => ({ i, part })),
  );
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
  const text = stages
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
  return {
    units: unitsOf(perStage),
    stageUnits: 16 * stageStride,
    declarations:
      outputSource(f, lanes) + (lanes === 1 ? leaveSingly(outside) : leaveTogether(lanes, outside)),
    variables: oldVariables,
    early: oldLoads,
    text,
  };
}
