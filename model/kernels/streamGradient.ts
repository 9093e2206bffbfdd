/**
 * The gradient of a sublayer's streams, all of it in one pass: through the mixing, the branch's input, and phi. The
 * product with phi is made here, not added by a matrix product, which would read and write the streams once more. What
 * the head's backward pass left of its bias' and gains' gradients is added up beside it, in workgroups of their own.
 * Source: go-mHC (arXiv 2604.02309) eq. 2–4.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type GpuCaps,
  type OpSpec,
  type Params,
  type Stored,
  type Tensor,
} from "../graph.ts";
import { streamGradient as twin } from "../cpu/streamGradient.ts";
import { streamHeadGains as gainsTwin } from "../cpu/streamHead.ts";
import { halfAliases } from "./halves.ts";
import { streamShape } from "./streamExpand.ts";
import gainsCode from "./streamGains.wgsl";
import code from "./streamGradient.wgsl";
import {
  fitsMatrices,
  streamGradientMatrix,
  TILE,
  type MatrixLayout,
} from "./streamGradientMatrix.ts";

/** mix [S, S], pre [S] and three scales, in whole quadruples. */
export const termsOf = (S: number): number => Math.ceil((S * S + S + 3) / 4) * 4;

interface Layout {
  /** Quadruples of channels and of rows per workgroup, and how often it goes on to further rows. */
  readonly quads: number;
  readonly fours: number;
  readonly tiles: number;
}

/** The widest slab of phi that fits; a device with little workgroup memory takes narrow ones. */
function layoutOf(p: Params, caps: GpuCaps): Layout {
  const layouts: readonly Layout[] = [
    { quads: 8, fours: 32, tiles: 1 },
    { quads: 4, fours: 8, tiles: 2 },
    { quads: 2, fours: 16, tiles: 4 },
    { quads: 1, fours: 16, tiles: 8 },
  ];
  const bytes = (l: Layout): number =>
    16 * p["M"]! * (p["S"]! * l.quads + l.fours) + 4 * l.quads * l.fours;
  return layouts.find((l) => bytes(l) <= caps.maxWorkgroupStorageSize) ?? layouts.at(-1)!;
}

/** For matrix units: half a cache line per stream, as much as leaves workgroup memory for four. */
const MATRIX = { channels: 32, tiles: 1 } as const;
/** Workgroups that a large GPU runs at a time: three of each multiprocessor's. */
const AT_A_TIME = 3 * 132;
const MOST_BLOCKS = 32;
/** What holding phi costs, in blocks. */
const HOLDING = 2;

/** With how many blocks a workgroup no processor waits long for the last ones. */
function matrixLayout(p: Params): MatrixLayout {
  const slabs = p["C"]! / MATRIX.channels;
  const all = Math.ceil(p["T"]! / (TILE * MATRIX.tiles));
  let best = { blocks: 1, time: Infinity };
  for (let blocks = 1; blocks <= Math.min(all, MOST_BLOCKS); blocks++) {
    const turns = Math.ceil((gainWorkgroups(p) + slabs * Math.ceil(all / blocks)) / AT_A_TIME);
    const time = turns * (blocks + HOLDING);
    if (time < best.time) best = { blocks, time };
  }
  return { ...MATRIX, blocks: best.blocks };
}

/** Workgroup memory of eight streams, the most that fit. */
const MATRIX_BYTES = 20992;

const onMatrices = (p: Params, caps: GpuCaps, stored: readonly Stored[]): boolean =>
  caps.subgroupMatrix &&
  caps.maxWorkgroupStorageSize >= MATRIX_BYTES &&
  [0, 1, 5].every((binding) => stored[binding] === "f16") &&
  fitsMatrices(p, matrixLayout(p));

function source(p: Params, l: Layout, stored: readonly Stored[]): string {
  return `${halfAliases(stored, { X: 0, H: 1, DX: 5 }, 4)}const T: u32 = ${p["T"]};
const S: u32 = ${p["S"]};
const C: u32 = ${p["C"]};
const M: u32 = ${p["M"]};
const TERMS: u32 = ${termsOf(p["S"]!)};
const QUADS: u32 = ${l.quads};
const FOURS: u32 = ${l.fours};
const TILES: u32 = ${l.tiles};
const GROUPS: u32 = ${p["groups"]};
const THREADS: u32 = ${l.quads * l.fours};
${gainsCode}${code}`;
}

/** As in streamGains.wgsl, where a workgroup takes eight columns. */
const gainWorkgroups = (p: Params): number => Math.ceil((p["M"]! + 3) / 8);

export const streamGradientOp: OpSpec = {
  name: "streamGradient",
  access: [
    ...["read", "read", "read", "read", "read", "readWrite"],
    ...["read", "write", "write"],
  ] as OpSpec["access"],
  halves: [0, 1, 5],
  // Tokens, and the gains behind them.
  units: (p) => p["T"]! + 1,
  cpu: (b, p, start, end) => {
    const [sums, dBias, dAlpha] = b.slice(6) as [Floats, Floats, Floats];
    const T = p["T"]!;
    if (end > T) gainsTwin({ M: p["M"]!, groups: p["groups"]!, sums, dBias, dAlpha });
    if (start === T) return;
    twin(
      {
        x: b[0] as Floats,
        dNormed: b[1] as Floats,
        terms: b[2] as Floats,
        dU: b[3] as Floats,
        phi: b[4] as Floats,
        dX: b[5] as Floats,
        S: p["S"]!,
        C: p["C"]!,
        M: p["M"]!,
        stride: termsOf(p["S"]!),
      },
      start,
      Math.min(end, T),
    );
  },
  gpu: (p, caps, stored) => {
    if (onMatrices(p, caps, stored)) {
      const m = matrixLayout(p);
      return {
        code: streamGradientMatrix(p, m, termsOf(p["S"]!)),
        entryPoint: "backward",
        constants: {},
        workgroups: gridFor(
          gainWorkgroups(p) +
            (p["C"]! / m.channels) * Math.ceil(p["T"]! / (TILE * m.tiles * m.blocks)),
          1,
        ),
      };
    }
    const l = layoutOf(p, caps);
    const slabs = Math.ceil(p["C"]! / 4 / l.quads);
    return {
      code: source(p, l, stored),
      entryPoint: "backward",
      constants: {},
      workgroups: gridFor(
        gainWorkgroups(p) + slabs * Math.ceil(p["T"]! / (4 * l.fours * l.tiles)),
        1,
      ),
    };
  },
};

/** dX [T, S, C] holds the gradient of streamWrite's y and becomes that of x [T, S, C], through dNormed [T, C],
 *  dU [T, M] with phi [S·C, M], and the terms [T, termsOf(S)] that streamHead's backward leaves; dBias [M] and
 *  dAlpha [3] from its sums [groups, M + 3]. */
export function streamGradient(
  g: Graph,
  v: {
    x: Tensor;
    dNormed: Tensor;
    terms: Tensor;
    dU: Tensor;
    phi: Tensor;
    dX: Tensor;
    sums: Tensor;
    dBias: Tensor;
    dAlpha: Tensor;
  },
): void {
  const op = "streamGradient";
  const { T, S, C } = streamShape(op, v.dNormed, v.x);
  const M = v.dU.size / T;
  const groups = v.sums.size / (M + 3);
  expectSize(op, "terms", v.terms, T * termsOf(S));
  expectSize(op, "phi", v.phi, S * C * M);
  expectSize(op, "dX", v.dX, v.x.size);
  expectSize(op, "sums", v.sums, Math.ceil(groups) * (M + 3));
  expectSize(op, "dBias", v.dBias, M);
  expectSize(op, "dAlpha", v.dAlpha, 3);
  g.add(streamGradientOp, [v.x, v.dNormed, v.terms, v.dU, v.phi, v.dX, v.sums, v.dBias, v.dAlpha], {
    T,
    S,
    C,
    M,
    groups,
  });
}
