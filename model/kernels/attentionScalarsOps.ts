/** The dispatches behind attentionScalars: constants, aliases and grids of its kernels. */
import { gridFor, type GpuKernel, type OpSpec, type Params, type Stored } from "../graph.ts";
import * as twin from "../cpu/attentionScalars.ts";
import { flatAliases } from "./halves.ts";
import forwardCode from "./attentionScalars.wgsl";
import backwardCode from "./attentionScalarsBackward.wgsl";

/** As in the kernels: threads per workgroup, passes over rows, places per gain, columns per workgroup of reduce. */
export const THREADS = 256;
export const PASSES = 4;
export const STRIDE = 4;
const REDUCED = 4;

const CONSTANTS = ["rows", "T", "H", "m", "E", "tau", "cap", "tiedScale"] as const;

function kernel(
  p: Params,
  stored: readonly Stored[],
  o: {
    code: string;
    entryPoint: string;
    names: Readonly<Record<string, number>>;
    scalars: Readonly<Record<string, number>>;
    groups: number;
    side?: number;
  },
): GpuKernel {
  // Without tied heads their bindings hold something else, of any size.
  const band = p["T"]! > 0 ? p["E"]! / p["m"]! : 1;
  const aliases = flatAliases(stored, o.names, band, o.scalars);
  const constants: Record<string, number> = o.side === undefined ? {} : { side: o.side };
  for (const name of CONSTANTS) constants[name] = p[name]!;
  return {
    code: `${aliases.code}const BAND = ${band / aliases.lanes}u;\n${o.code}`,
    entryPoint: o.entryPoint,
    constants,
    workgroups: gridFor(o.groups, 1),
  };
}

const FORWARD = { names: { TiedQ: 0, TiedK: 1 }, scalars: { FreeQ: 2, FreeK: 3, Salience: 4 } };
const BACKWARD = {
  names: { Tied: 0, DTied: 4 },
  scalars: { Free: 1, DFree: 5, Salience: 7, DSalience: 9 },
};

export const attentionScalarsPrepareOp: OpSpec = {
  name: "attentionScalarsPrepare",
  access: ["read", "read", "read", "read", "write", "write"],
  units: () => 1,
  cpu: (b, p) => twin.prepare(b, p),
  gpu: (p) =>
    kernel(p, [], {
      ...FORWARD,
      code: forwardCode,
      entryPoint: "prepare",
      groups: Math.ceil(Math.max(p["T"]! * p["E"]!, p["H"]! * p["m"]!) / THREADS),
    }),
};

export const attentionScalarsForwardOp: OpSpec = {
  name: "attentionScalarsForward",
  access: ["read", "read", "read", "read", "read", "read", "write", "write", "write"],
  units: (p) => p["rows"]!,
  cpu: twin.forward,
  halves: [0, 1, 2, 3, 4],
  gpu: (p, _caps, stored) =>
    kernel(p, stored, {
      ...FORWARD,
      code: forwardCode,
      entryPoint: "forward",
      groups: 2 * p["chunks"]!,
    }),
};

/** Writes queries' half of the partial sums. */
export const attentionScalarsQueriesOp: OpSpec = {
  name: "attentionScalarsQueries",
  access: ["read", "read", "read", "read", "write", "write", "write"],
  units: (p) => p["chunks"]!,
  cpu: (b, p, start, end) => twin.backward(b, { ...p, side: 0 }, start, end),
  halves: [0, 1, 4, 5],
  gpu: (p, _caps, stored) =>
    kernel(p, stored, {
      ...BACKWARD,
      code: backwardCode,
      entryPoint: "queries",
      groups: p["chunks"]!,
      side: 0,
    }),
};

/** Adds keys' half of the partial sums. */
export const attentionScalarsKeysOp: OpSpec = {
  name: "attentionScalarsKeys",
  access: [
    ...["read", "read", "read", "read", "write", "write", "readWrite"],
    ...["read", "read", "write"],
  ] as OpSpec["access"],
  units: (p) => p["chunks"]!,
  cpu: (b, p, start, end) => twin.backward(b, { ...p, side: 1 }, start, end),
  halves: [0, 1, 4, 5, 7, 9],
  gpu: (p, _caps, stored) =>
    kernel(p, stored, {
      ...BACKWARD,
      code: backwardCode,
      entryPoint: "keys",
      groups: p["chunks"]!,
      side: 1,
    }),
};

export const attentionScalarsReduceOp: OpSpec = {
  name: "attentionScalarsReduce",
  access: [
    ...["read", "read", "read", "read", "read", "read"],
    ...["write", "write", "write", "write"],
  ] as OpSpec["access"],
  units: () => 1,
  cpu: (b, p) => twin.reduce(b, p),
  gpu: (p) =>
    kernel(p, [], {
      ...BACKWARD,
      code: backwardCode,
      entryPoint: "reduce",
      groups: Math.ceil((p["T"]! * p["E"]! + p["H"]! * (p["m"]! + 1)) / REDUCED),
    }),
};
