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
import forwardCode from "./attentionScalars.wgsl";
import backwardCode from "./attentionScalarsBackward.wgsl";

/** As in the kernels: threads per workgroup, passes over rows, places per gain, columns per workgroup of reduce. */
export const THREADS = 256;
export const PASSES = 4;
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
/** name(row, column): a Wide of each(row, column) and its neighbours. Software GPUs get a loop whose bound is not a
 *  constant, or they compile every copy. */
function tailOf(name: string, each: string, lanes: 1 | 4, caps: GpuCaps): string {
  const head = `fn ${name}(row: u32, column: u32) -> Wide {\n`;
  if (lanes === 1) return `${head}  return ${each}(row, column);\n}\n`;
  if (!caps.software)
    return `${head}  return Wide(${[0, 1, 2, 3].map((i) => `${each}(row, column + ${i}u)`).join(", ")});\n}\n`;
  return `${head}  var tail = Wide();
  for (var i = 0u; i < min(LANES, arrayLength(&dScalars)); i++) { tail[i] = ${each}(row, column + i); }
  return tail;
}
`;
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
    side?: number;
  },
): GpuKernel {
  // Widths are whole eights; without tied heads nothing else has to be a multiple of anything.
  const band = p["T"]! > 0 ? p["E"]! / p["m"]! : 4;
  const aliases = flatAliases(stored, o.names, band);
  const { lanes } = aliases;
  const constants: Record<string, number> = o.side === undefined ? {} : { side: o.side };
  for (const name of CONSTANTS) constants[name] = p[name]!;
  return {
    code: `${aliases.code}${LANE_OF[lanes]}${o.tails === 1 ? tailOf("dQueryTail", "dFreeAt", lanes, caps) + tailOf("dKeyTail", "dKeyAt", lanes, caps) : ""}const BAND = ${band / lanes}u;\n${o.code}`,
    entryPoint: o.entryPoint,
    constants,
    workgroups: gridFor(o.groups, 1),
  };
}

const FORWARD = { names: { Queries: 0, Keys: 1 }, code: forwardCode };
const BACKWARD = { names: { X: 0, DX: 3 }, code: backwardCode, tails: 1 } as const;

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

/** Writes queries' half of the partial sums. */
export const attentionScalarsQueriesOp: OpSpec = {
  name: "attentionScalarsQueries",
  access: ["read", "read", "read", "write", "write"],
  units: (p) => p["chunks"]!,
  cpu: (b, p, start, end) => twin.backward(b, { ...p, side: 0 }, start, end),
  halves: [0, 3],
  gpu: (p, caps, stored) =>
    kernel(p, caps, stored, { ...BACKWARD, entryPoint: "queries", groups: p["chunks"]!, side: 0 }),
};

/** Adds keys' half of the partial sums. */
export const attentionScalarsKeysOp: OpSpec = {
  name: "attentionScalarsKeys",
  access: ["read", "read", "read", "write", "readWrite", "read"],
  units: (p) => p["chunks"]!,
  cpu: (b, p, start, end) => twin.backward(b, { ...p, side: 1 }, start, end),
  halves: [0, 3],
  gpu: (p, caps, stored) =>
    kernel(p, caps, stored, { ...BACKWARD, entryPoint: "keys", groups: p["chunks"]!, side: 1 }),
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
