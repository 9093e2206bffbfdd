/**
 * The head of a sublayer: from the streams and their projection u = x·phi come the read gates, the weights with which
 * streamWrite joins the branch to the streams, and the branch's normalized input. The streams are normalized after
 * the projection, norm(x)·phi = r·(x·phi), so that phi reads them as they are.
 * Source: go-mHC (arXiv 2604.02309) eq. 2–4 and 7–9; the gates' forms are mHC's (arXiv 2512.24880) eq. 7.
 *
 * Bytes per row over a sublayer's residual, S = 4, in units of C elements (matmuls of phi included):
 *                                            forward   backward
 *   one op per formula                       28        54
 *   this                                     18        32
 * Forward: phi reads x, the head reads x and writes normed, streamWrite reads x and f and writes y. Backward:
 * streamWrite reads x, f and dY and writes dF; the head reads x and dNormed; streamGradient reads x, dY and dNormed
 * and writes dX over dY; phi reads x for its own gradient.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type GpuCaps,
  type GpuKernel,
  type OpSpec,
  type Params,
  type Stored,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import {
  streamHeadBackward as backwardTwin,
  streamHeadForward as forwardTwin,
} from "../cpu/streamHead.ts";
import { halfAliases } from "./halves.ts";
import {
  checkMixing,
  mixingCode,
  mixingFloats,
  mixingLogits,
  mixingOf,
  mixingParams,
  type MixingKind,
} from "./mixing.ts";
import { streamShape } from "./streamExpand.ts";
import { termsOf } from "./streamGradient.ts";
import { unroll } from "./unroll.ts";
import code from "./streamHead.wgsl";
import plainSums from "./streamLanes.wgsl";
import shuffledSums from "./streamLanes32.wgsl";

const THREADS = 128;
/** Quadruples of a row that a lane should keep in registers, if more lanes can see to it. */
const KEPT = 16;
const WORKGROUP_FLOATS = 4096;

/** sumDots for subgroups: half of the sums are left to the other half of the lanes, and so on while their number is even,
 *  so that eight of them take nine shuffles. */
function dotSums(dots: number): string {
  const lines: string[] = [];
  const first: string[] = [];
  let values = Array.from({ length: dots }, (_, i) => `own[${i}]`);
  let mask = 16;
  for (; values.length % 2 === 0 && mask > 0; mask >>= 1) {
    const half = values.length / 2;
    const upper = `(lane & ${mask}u) != 0u`;
    first.push(`select(0u, ${half}u, ${upper})`);
    values = values.slice(0, half).map((value, i) => {
      const sum = `s${mask}_${i}`;
      const other = values[half + i]!;
      lines.push(
        `let ${sum} = select(${value}, ${other}, ${upper}) + subgroupShuffleXor(select(${other}, ${value}, ${upper}), ${mask}u);`,
      );
      return sum;
    });
  }
  const whole = values.map((value, i) => {
    let from = value;
    for (let m = mask; m > 0; m >>= 1) {
      lines.push(`let w${m}_${i} = ${from} + subgroupShuffleXor(${from}, ${m}u);`);
      from = `w${m}_${i}`;
    }
    return from;
  });
  return `fn sumDots(local: u32, thread: u32, own: array<f32, DOTS>) {
  let lane = thread % 32u;
  ${lines.join("\n  ")}
  let to = local * DOTS + ${first.join(" + ")};
  if (lane % ${Math.max(1, 2 * mask)}u == 0u) {
    ${whole.map((value, i) => `reads[to + ${i}u] = ${value};`).join("\n    ")}
  }
}
`;
}

interface Layout {
  /** Lanes of a row, and rows of a workgroup. */
  readonly lanes: number;
  readonly rows: number;
}

/** How rows are spread over a workgroup, within the plain 16 KiB. */
function layoutOf(p: Params): Layout {
  const mixing = mixingOf(p);
  const S = mixing.S;
  const K = mixingLogits(mixing);
  let lanes = 32;
  while (lanes < THREADS && S * Math.ceil(p["C"]! / 4 / lanes) > KEPT) lanes *= 2;
  const perRow = mixingFloats(mixing) + 2 * K + 2 * S * S + 2 * S + (2 * S + K);
  let rows = THREADS / lanes;
  while (rows > 1 && rows * (perRow + lanes * (2 * S + 1 + 4)) > WORKGROUP_FLOATS) rows /= 2;
  return { lanes, rows };
}

function kernel(
  p: Params,
  caps: GpuCaps,
  stored: readonly Stored[],
  entryPoint: "forward" | "backward",
): GpuKernel {
  const { lanes, rows } = layoutOf(p);
  const shuffles = caps.subgroupMatrix && lanes === 32;
  const S = p["S"]!;
  const chunks = Math.ceil(p["C"]! / 4 / lanes);
  const columns = Math.ceil((2 * S + mixingLogits(mixingOf(p))) / lanes);
  const body = code + (shuffles ? shuffledSums + dotSums(2 * S) : plainSums);
  const bounds = {
    S,
    WIDE: S + 1,
    DOTS: 2 * S,
    CHUNKS: chunks,
    KEPT: chunks * S,
    COLUMNS: columns,
  };
  const aliases = halfAliases(stored, { X: 0, H: 6 }, 4);
  return {
    code: `${shuffles ? "diagnostic(off, subgroup_uniformity);\nenable subgroups;\n" : ""}${aliases}${mixingCode(mixingOf(p), rows, caps, shuffles)}
const T: u32 = ${p["T"]};
const C: u32 = ${p["C"]};
const LANES: u32 = ${lanes};
const TERMS: u32 = ${termsOf(S)};
${caps.software ? body : unroll(body, bounds)}`,
    entryPoint,
    constants: {},
    workgroups: gridFor(p["T"]!, rows),
  };
}

export const streamHeadForwardOp: OpSpec = {
  name: "streamHeadForward",
  access: ["read", "read", "read", "read", "write", "write", "write"],
  halves: [0, 6],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    forwardTwin(
      {
        ...mixingOf(p),
        C: p["C"]!,
        x: b[0] as Floats,
        u: b[1] as Floats,
        alpha: b[2] as Floats,
        bias: b[3] as Floats,
        weights: b[4] as Floats,
        gates: b[5] as Floats,
        normed: b[6] as Floats,
      },
      start,
      end,
    ),
  gpu: (p, caps, stored) => kernel(p, caps, stored, "forward"),
};

export const streamHeadBackwardOp: OpSpec = {
  name: "streamHeadBackward",
  access: ["read", "read", "read", "read", "read", "read", "read", "write", "write", "write"],
  halves: [0, 6],
  units: (p) => p["groups"]!,
  cpu: (b, p, start, end) =>
    backwardTwin(
      {
        ...mixingOf(p),
        C: p["C"]!,
        T: p["T"]!,
        rows: layoutOf(p).rows,
        x: b[0] as Floats,
        u: b[1] as Floats,
        alpha: b[2] as Floats,
        bias: b[3] as Floats,
        gates: b[4] as Floats,
        dWeights: b[5] as Floats,
        dNormed: b[6] as Floats,
        dU: b[7] as Floats,
        terms: b[8] as Floats,
        stride: termsOf(p["S"]!),
        sums: b[9] as Floats,
      },
      start,
      end,
    ),
  gpu: (p, caps, stored) => kernel(p, caps, stored, "backward"),
};

interface HeadTensors {
  readonly x: Tensor;
  /** x·phi. */
  readonly u: Tensor;
  readonly alpha: Tensor;
  readonly bias: Tensor;
  readonly gates: Tensor;
}

function shape(
  op: string,
  mixing: MixingKind,
  v: HeadTensors & { weights: Tensor; normed: Tensor },
): Params {
  checkMixing(mixing);
  const { T, S, C } = streamShape(op, v.normed, v.x);
  const M = 2 * S + mixingLogits(mixing);
  invariant(S === mixing.S, `${op}: x holds ${S} streams, the mixing is of ${mixing.S}`);
  expectSize(op, "u", v.u, T * M);
  expectSize(op, "alpha", v.alpha, 3);
  expectSize(op, "bias", v.bias, M);
  expectSize(op, "weights", v.weights, T * S * (S + 1));
  expectSize(op, "gates", v.gates, T * (S + 1));
  return { ...mixingParams(mixing), T, C };
}

/** weights [T, S, S + 1] for streamWrite, gates [T, S + 1] for the backward pass and normed [T, C] from x [T, S, C],
 *  u [T, 2S + K], alpha [3] and bias [2S + K]. */
export function streamHeadForward(
  g: Graph,
  v: HeadTensors & { mixing: MixingKind; weights: Tensor; normed: Tensor },
): void {
  g.add(
    streamHeadForwardOp,
    [v.x, v.u, v.alpha, v.bias, v.weights, v.gates, v.normed],
    shape("streamHeadForward", v.mixing, v),
  );
}

/** What the backward pass leaves of dBias and dAlpha, [groups of rows, 2S + K + 3]. */
export function headSumsShape(mixing: MixingKind, T: number, C: number): [number, number] {
  const { rows } = layoutOf({ ...mixingParams(mixing), T, C });
  return [Math.ceil(T / rows), 2 * mixing.S + mixingLogits(mixing) + 3];
}

/** dU, and what streamGradient wants: the terms [T, termsOf(S)] and sums [headSumsShape]; from dWeights and dNormed. */
export function streamHeadBackward(
  g: Graph,
  v: HeadTensors & {
    mixing: MixingKind;
    dWeights: Tensor;
    dNormed: Tensor;
    dU: Tensor;
    terms: Tensor;
    sums: Tensor;
  },
): void {
  const op = "streamHeadBackward";
  const sizes = shape(op, v.mixing, { ...v, weights: v.dWeights, normed: v.dNormed });
  const T = sizes["T"]!;
  expectSize(op, "dU", v.dU, v.u.size);
  expectSize(op, "terms", v.terms, T * termsOf(v.mixing.S));
  const [groups, columns] = headSumsShape(v.mixing, T, sizes["C"]!);
  expectSize(op, "sums", v.sums, groups * columns);
  g.add(
    streamHeadBackwardOp,
    [v.x, v.u, v.alpha, v.bias, v.gates, v.dWeights, v.dNormed, v.dU, v.terms, v.sums],
    { ...sizes, groups },
  );
}
