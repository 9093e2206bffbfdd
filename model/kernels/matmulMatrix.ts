/**
 * WGSL text of the matrix product on subgroup matrices (tensor cores): f16 operands, f32 accumulation. f32 operands
 * are rounded to f16 as they are loaded. Every entry adds its products 16 at a time over ascending k, whatever the
 * tile, so a row of a product does not depend on how many rows there are.
 * A workgroup computes tileM × tileN; each of its subgroups warpM × warpN as 16 × 16 matrices in registers. The next
 * slice of k is loaded to registers while the present one is multiplied out of workgroup memory (matmulSide.ts). The
 * result leaves through workgroup memory (matmulLeave.ts). A multiprocessor gives all its workgroups 48 KiB of
 * workgroup memory together: a tile of more than half of that runs alone.
 */
import type { Stored } from "../graph.ts";
import { leave } from "./matmulLeave.ts";
import type { MatmulOutput } from "./matmulOutput.ts";
import { side } from "./matmulSide.ts";

export interface MatrixTile {
  readonly tileM: number;
  readonly tileN: number;
  readonly tileK: number;
  /** What one subgroup computes; multiples of 16. */
  readonly warpM: number;
  readonly warpN: number;
  /** Workgroups that one multiprocessor is to hold: 48 KiB of workgroup memory, or registers, allow no more. */
  readonly resident: number;
  /** 2: a slice of k is stored while the one before is multiplied, with one barrier for each. */
  readonly buffers?: 1 | 2;
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
  /** So many products of one form lie in the same tensors and are made by one dispatch (matmulGroups.ts): the uniforms
   *  are then, for each, m, k, n, batch, its first workgroup, and where its a, b and out start. */
  readonly groups?: number;
}

export const SUBGROUP = 32;
/** Bytes of workgroup memory that a multiprocessor gives to all its workgroups. */
const SHARED = 49152;
/** Neighbouring tiles along m that run together, so that they share b in the cache. */
const GROUP = 8;

export const matrixThreads = (t: MatrixTile): number =>
  (t.tileM / t.warpM) * (t.tileN / t.warpN) * SUBGROUP;

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** The whole module; entry point `main`. Uniforms: m, k, n, batch, splits, chunk, so that products of one form
 *  share a pipeline: these kernels take a GPU's driver a tenth of a second each. */
export function matrixSource(t: MatrixTile, f: MatrixForm): string {
  const threads = matrixThreads(t);
  const warpsM = t.tileM / t.warpM;
  const blocksM = range(t.warpM / 16);
  const blocksN = range(t.warpN / 16);
  const { tileK } = t;
  const common = { tileK, threads, wholeK: f.wholeK };
  const A = side({
    ...{ ...common, name: "a", stored: f.a, alongK: f.transposeA === 0, across: t.tileM },
    ...{ wholeAcross: f.wholeM, singles: f.singlesA, firstUnit: 0 },
  });
  const B = side({
    ...{ ...common, name: "b", stored: f.b, alongK: f.transposeB === 1, across: t.tileN },
    ...{ wholeAcross: f.wholeN, singles: f.singlesB, firstUnit: A.units },
  });
  const slice = A.units + B.units;
  const buffers = t.buffers ?? 1;
  const leaving = leave({
    ...f,
    warpM: t.warpM,
    warpN: t.warpN,
    subgroups: threads / SUBGROUP,
    units: Math.max(buffers * slice, SHARED / t.resident / 16),
  });
  const units = Math.max(buffers * slice, leaving.units);
  const load = (at: string): string => `${A.load(at)}\n${B.load(at)}`;
  const store = (shift: string): string => `${A.store(shift)}\n${B.store(shift)}`;
  const multiply = (shift: string): string =>
    range(t.tileK / 16)
      .map((part) => {
        const lefts = blocksM.map(
          (i) =>
            `      let l${i} = subgroupMatrixLoad<Left, ${A.layout}>(&tile, ${A.matrix("warpRow", i, part * 16, shift)});`,
        );
        const rights = blocksN.flatMap((j) => [
          `      let r${j} = subgroupMatrixLoad<Right, ${B.layout}>(&tile, ${B.matrix("warpColumn", j, part * 16, shift)});`,
          ...blocksM.map(
            (i) => `      c${i}_${j} = subgroupMatrixMultiplyAccumulate(l${i}, r${j}, c${i}_${j});`,
          ),
        ]);
        return `    {\n${[...lefts, ...rights].join("\n")}\n    }`;
      })
      .join("\n");
  const accumulators = blocksM
    .flatMap((i) => blocksN.map((j) => `  var c${i}_${j} = Result();`))
    .join("\n");
  const early = leaving.early === "" ? "" : ` else {\n${leaving.early}\n    }`;
  // With two buffers a slice is stored while the one before is multiplied.
  const walk =
    buffers === 1
      ? `  {
${load("kFirst")}
  }
  for (var kAt = kFirst; kAt < kEnd; kAt += ${tileK}u) {
    workgroupBarrier();
${store("0u")}
    workgroupBarrier();
    let next = kAt + ${tileK}u;
    if (next < kEnd) {
${load("next")}
    }${early}
${multiply("0u")}
  }`
      : `  {
${load("kFirst")}
${store("0u")}
  }
  if (kFirst + ${tileK}u < kEnd) {
    let next = kFirst + ${tileK}u;
${load("next")}
  }
  workgroupBarrier();
  var buffer = 0u;
  for (var kAt = kFirst; kAt < kEnd; kAt += ${tileK}u) {
    let next = kAt + ${tileK}u;
    if (next < kEnd) {
${store(`(${slice}u - buffer)`)}
      let second = next + ${tileK}u;
      if (second < kEnd) {
${load("second")}
      }
    }${early}
${multiply("buffer")}
    workgroupBarrier();
    buffer = ${slice}u - buffer;
  }`;

  const sizes = sizesSource(f.groups);
  return `diagnostic(off, chromium.subgroup_matrix_uniformity);
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;
@group(0) @binding(${f.epilogue === "reluSquaredBackward" || f.epilogue === "blend" ? 4 : 3}) ${sizes.declaration}
var<workgroup> tile: array<vec4u, ${units}>;
${A.declarations}
${B.declarations}
${leaving.declarations}
@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
${sizes.text}
  let tilesM = (m + ${t.tileM - 1}u) / ${t.tileM}u;
  let tilesN = (n + ${t.tileN - 1}u) / ${t.tileN}u;
  let index = dispatched - begins.x;
  if (index >= tilesM * tilesN * batch * splits) { return; }
  let z = index / (tilesN * tilesM);
  let inLayer = index % (tilesN * tilesM);
  let firstM = inLayer / (${GROUP}u * tilesN) * ${GROUP}u;
  let inGroup = inLayer % (${GROUP}u * tilesN);
  let groupRows = min(tilesM - firstM, ${GROUP}u);
  let mFirst = (firstM + inGroup % groupRows) * ${t.tileM}u;
  let nFirst = inGroup / groupRows * ${t.tileN}u;
  let aBase = begins.y + (z % batch) * m * k;
  let bBase = begins.z + (z % batch) * k * n;
  let outBase = begins.w + z * m * n;
  let kFirst = (z / batch) * chunk;
  let kEnd = min(k, kFirst + chunk);
  let warp = lane / ${SUBGROUP}u;
  let thread = lane % ${SUBGROUP}u;
  let warpRow = warp % ${warpsM}u * ${t.warpM}u;
  let warpColumn = warp / ${warpsM}u * ${t.warpN}u;
  let stage = warp * ${leaving.stageUnits}u;
  let warpFirst = mFirst + warpRow;
  let columnFirst = nFirst + warpColumn;
${A.positions}
${B.positions}
${leaving.variables}
${accumulators}
${walk}
${leaving.text}
}
`;
}

/** Which product a workgroup works at: m, k, n, batch, splits, chunk, and `begins`: its first workgroup, and where its
 *  operands and its result start. `size` is what the way out asks for m and n. */
function sizesSource(groups: number | undefined): { declaration: string; text: string } {
  const dispatched = "  let dispatched = group.y * groups.x + group.x;\n";
  if (groups === undefined)
    return {
      declaration: "var<uniform> size: array<vec4u, 2>;",
      text: `${dispatched}  let m = size[0].x;
  let k = size[0].y;
  let n = size[0].z;
  let batch = size[0].w;
  let splits = size[1].x;
  let chunk = size[1].y;
  let begins = vec4u();`,
    };
  return {
    declaration: `var<uniform> sizes: array<vec4u, ${2 * groups}>;
var<private> size: array<vec4u, 2>;`,
    text: `${dispatched}  var which = 0u;
  for (var i = 1u; i < ${groups}u; i++) {
    if (dispatched >= sizes[2u * i + 1u].x) { which = i; }
  }
  let shape = sizes[2u * which];
  size[0] = shape;
  let m = shape.x;
  let k = shape.y;
  let n = shape.z;
  let batch = shape.w;
  let splits = 1u;
  let chunk = k;
  let begins = sizes[2u * which + 1u];`,
  };
}

/** Whether an operand can be read 16 bytes at a time along its contiguous dimension. */
export const readable = (stored: Stored, contiguous: number): boolean =>
  contiguous % (stored === "f16" ? 8 : 4) === 0;
