/** The dispatches behind attentionScalars: constants, aliases and grids of its kernels. */
import {
  gridFor,
  type GpuCaps,
  type GpuKernel,
  type OpSpec,
  type Params,
  type Stored,
} from "../graph.ts";
import * as twin from "../cpu/attentionScalars.ts";
import { flatAliases } from "./halves.ts";
import { unroll } from "./unroll.ts";
import forwardCode from "./attentionScalars.wgsl";
import backwardCode from "./attentionScalarsBackward.wgsl";

/** As in the kernels: threads per workgroup, passes over rows, places per gain, columns per workgroup of reduce. */
export const THREADS = 256;
export const PASSES = 2;
export const STRIDE = 4;
const REDUCED = 4;

const CONSTANTS = [
  ...["rows", "T", "H", "m", "E", "tau", "cap", "tiedScale"],
  ...["widthQ", "widthK"],
] as const;

/** laneOf(x, i): the value of a Wide that element i of its array is. */
const LANE_OF = {
  1: "fn laneOf(x: Wide, i: u32) -> f32 { return x; }\n",
  4: "fn laneOf(x: Wide, i: u32) -> f32 { return x[i % 4u]; }\n",
} as const;
/** givenTail(isKey, row, column, raw) and gainTail(column): a Wide of givenOf(…) or gainOf(…) and its neighbours.
 *  Software GPUs get a loop whose bound is not a constant, or they compile every copy. */
function tailsOf(lanes: 1 | 4, caps: GpuCaps): string {
  const given = "fn givenTail(isKey: bool, row: u32, column: u32, raw: Wide) -> Wide {\n";
  const gain = "fn gainTail(column: u32) -> Wide {\n";
  if (lanes === 1)
    return `${given}  return givenOf(isKey, row, column, raw);\n}\n${gain}  return gainOf(column);\n}\n`;
  if (!caps.software) {
    const wide = (each: (i: number) => string): string =>
      `Wide(${[0, 1, 2, 3].map(each).join(", ")})`;
    return `${given}  return ${wide((i) => `givenOf(isKey, row, column + ${i}u, raw[${i}])`)};
}
${gain}  return ${wide((i) => `gainOf(column + ${i}u)`)};
}
`;
  }
  const loop = (each: string): string => `  var tail = Wide();
  for (var i = 0u; i < min(LANES, arrayLength(&dA)); i++) { tail[i] = ${each}; }
  return tail;
}
`;
  return `${given}${loop("givenOf(isKey, row, column + i, raw[i])")}${gain}${loop("gainOf(column + i)")}`;
}

/** bandSum(local, thread, turn, own): over the bands of a thread's head. By shuffles where subgroups have 32 and bands
 *  are a power of two, so that a head lies within one; else in workgroup memory, two buffers in turn. */
function bandSumOf(
  m: number,
  caps: GpuCaps,
): { readonly shuffles: boolean; readonly code: string } {
  const head = "fn bandSum(local: u32, thread: u32, turn: u32, own: f32) -> f32 {\n";
  if (!caps.subgroupMatrix || m > 32 || (m & (m - 1)) !== 0)
    return {
      shuffles: false,
      code: `var<workgroup> shares: array<f32, 512>;
${head}  let buffer = turn % 2u * 256u;
  shares[buffer + local] = own;
  workgroupBarrier();
  var sum = 0.0;
  for (var k = 0u; k < m; k++) { sum += shares[buffer + thread - thread % breadth % m + k]; }
  return sum;
}
`,
    };
  let steps = "";
  for (let step = m / 2; step >= 1; step /= 2)
    steps += `  sum += subgroupShuffleXor(sum, ${step}u);\n`;
  return { shuffles: true, code: `${head}  var sum = own;\n${steps}  return sum;\n}\n` };
}

function kernel(
  p: Params,
  caps: GpuCaps,
  stored: readonly Stored[],
  o: {
    code: string;
    entryPoint: string;
    names: Readonly<Record<string, number>>;
    tails?: 1;
    groups: number;
  },
): GpuKernel {
  // Widths are whole eights; without tied heads nothing else has to be a multiple of anything.
  const band = p["T"]! > 0 ? p["E"]! / p["m"]! : 4;
  const aliases = flatAliases(stored, o.names, band);
  const { lanes } = aliases;
  const constants: Record<string, number> = {};
  for (const name of CONSTANTS) constants[name] = p[name]!;
  if (o.tails === 1) constants["turns"] = p["turns"]!;
  const sum = bandSumOf(p["m"]!, caps);
  const own = band / lanes;
  const bounds = { BAND: own, PASSES };
  return {
    code: [
      sum.shuffles ? "enable subgroups;\n" : "",
      aliases.code,
      LANE_OF[lanes],
      `const BAND = ${own}u;\nconst PASSES = ${PASSES}u;\nconst OWN = ${own * PASSES}u;\n`,
      o.tails === 1 ? tailsOf(lanes, caps) : "",
      sum.code,
      caps.software ? o.code : unroll(o.code, bounds),
    ].join(""),
    entryPoint: o.entryPoint,
    constants,
    workgroups: gridFor(o.groups, 1),
  };
}

const FORWARD = { names: { Queries: 0, Keys: 1 }, code: forwardCode };
const BACKWARD = {
  names: { Queries: 0, Keys: 1, DQueries: 6, DKeys: 7 },
  code: backwardCode,
  tails: 1,
} as const;

export const attentionScalarsPrepareOp: OpSpec = {
  name: "attentionScalarsPrepare",
  access: ["read", "read", "read", "read", "write", "write"],
  units: () => 1,
  cpu: (b, p) => twin.prepare(b, p),
  gpu: (p, caps) =>
    kernel(p, caps, [], {
      ...FORWARD,
      entryPoint: "prepare",
      groups: Math.ceil(Math.max(p["T"]! * p["E"]!, p["H"]! * p["m"]!) / THREADS),
    }),
};

export const attentionScalarsForwardOp: OpSpec = {
  name: "attentionScalarsForward",
  access: ["read", "read", "read", "write", "write", "write"],
  units: (p) => p["rows"]!,
  cpu: twin.forward,
  halves: [0, 1],
  gpu: (p, caps, stored) =>
    kernel(p, caps, stored, { ...FORWARD, entryPoint: "forward", groups: 2 * p["chunks"]! }),
};

/** Gradients of queries and keys, and partial sums of the parameters'. */
export const attentionScalarsBackwardOp: OpSpec = {
  name: "attentionScalarsBackward",
  access: [
    ...["read", "read", "read", "read", "read", "read"],
    ...["write", "write", "write"],
  ] as OpSpec["access"],
  units: (p) => 2 * p["chunks"]!,
  cpu: twin.backward,
  halves: [0, 1, 6, 7],
  gpu: (p, caps, stored) =>
    kernel(p, caps, stored, { ...BACKWARD, entryPoint: "backward", groups: 4 * p["chunks"]! }),
};

export const attentionScalarsReduceOp: OpSpec = {
  name: "attentionScalarsReduce",
  access: [
    ...["read", "read", "read", "read", "read", "read"],
    ...["write", "write", "write", "write"],
  ] as OpSpec["access"],
  units: () => 1,
  cpu: (b, p) => twin.reduce(b, p),
  gpu: (p, caps) =>
    kernel(p, caps, [], {
      ...BACKWARD,
      entryPoint: "reduce",
      groups: Math.ceil((p["T"]! * p["E"]! + p["H"]! * (p["m"]! + 1)) / REDUCED),
    }),
};
