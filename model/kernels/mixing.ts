/**
 * The mixing of the streams as one replaceable part: per-token logits a [T, K] → mix [T, S, S]. Every kind gives
 * doubly stochastic matrices, sinkhorn nearly so. A kind is a WGSL fragment with mixRows and mixRowsBackward over workgroup memory, which
 * streamHead and the ops here are built around, and a twin in cpu/mixing.ts. A new parameterization adds a member to
 * MixingKind and a case to each switch.
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
  type Tensor,
} from "../graph.ts";
import {
  mixingBackward as backwardTwin,
  mixingForward as forwardTwin,
  MIXINGS,
} from "../cpu/mixing.ts";
import {
  cayleyCode,
  cayleyFloats,
  cayleyParameters,
  checkCayley,
  MAX_ORDER,
} from "./cayleyMixing.ts";
import { cayleyShuffles } from "./cayleyShuffles.ts";
import {
  checkKronecker,
  kroneckerCode,
  kroneckerFloats,
  kroneckerParameters,
} from "./kroneckerMixing.ts";
import code from "./mixing.wgsl";
import {
  checkPermutation,
  permutationCode,
  permutationFloats,
  permutationParameters,
} from "./permutationMixing.ts";
import {
  checkSinkhorn,
  sinkhornCode,
  sinkhornFloats,
  sinkhornParameters,
} from "./sinkhornMixing.ts";

export interface MixingKind {
  readonly kind: (typeof MIXINGS)[number];
  /** Streams. */
  readonly S: number;
  /** Orthostochastic block size, the paper's s; other kinds than goMhc have none. */
  readonly O: number;
}

/** A kind as parameters of an op, and back. */
export const mixingParams = (m: MixingKind): { mixing: number; S: number; O: number } => ({
  mixing: MIXINGS.indexOf(m.kind),
  S: m.S,
  O: m.O,
});
export const mixingOf = (p: Params): MixingKind => ({
  kind: MIXINGS[p["mixing"]!] ?? "goMhc",
  S: p["S"]!,
  O: p["O"]!,
});

/** K, the logits per token. */
export function mixingLogits(m: MixingKind): number {
  switch (m.kind) {
    case "goMhc":
      return cayleyParameters(m.S, m.O);
    case "sinkhorn":
      return sinkhornParameters(m.S);
    case "kronecker":
      return kroneckerParameters(m.S);
    case "permutation":
      return permutationParameters(m.S);
    default:
      return m.kind satisfies never;
  }
}

/** Asserts that the kind knows matrices of this size. */
export function checkMixing(m: MixingKind): void {
  switch (m.kind) {
    case "goMhc":
      return checkCayley(m.S, m.O);
    case "sinkhorn":
      return checkSinkhorn(m.S);
    case "kronecker":
      return checkKronecker(m.S);
    case "permutation":
      return checkPermutation(m.S);
    default:
      return m.kind satisfies never;
  }
}

/** Floats of workgroup memory that a row takes, besides those of the arrays it is given. */
export function mixingFloats(m: MixingKind): number {
  switch (m.kind) {
    case "goMhc":
      return cayleyFloats(m.S, m.O);
    case "sinkhorn":
      return sinkhornFloats(m.S);
    case "kronecker":
      return kroneckerFloats(m.S);
    case "permutation":
      return permutationFloats(m.S);
    default:
      return m.kind satisfies never;
  }
}

/** mixRows and mixRowsBackward for `rows` rows per workgroup, with the arrays they work on and the constants S and K.
 *  `shuffles`: workgroups are of whole subgroups of 32, and the kernel enables subgroups. */
export function mixingCode(m: MixingKind, rows: number, caps: GpuCaps, shuffles?: boolean): string {
  const K = mixingLogits(m);
  const arrays = `const S: u32 = ${m.S};
const K: u32 = ${K};
const ROWS: u32 = ${rows};
var<workgroup> logits: array<f32, ${rows * K}>;
var<workgroup> dLogits: array<f32, ${rows * K}>;
var<workgroup> mixes: array<f32, ${rows * m.S * m.S}>;
var<workgroup> dMixes: array<f32, ${rows * m.S * m.S}>;
`;
  switch (m.kind) {
    case "goMhc":
      return (
        arrays +
        (shuffles === true && m.S * m.O <= MAX_ORDER
          ? cayleyShuffles(m.S, m.O)
          : cayleyCode(m.O, caps))
      );
    case "sinkhorn":
      return arrays + sinkhornCode();
    case "kronecker":
      return arrays + kroneckerCode(m.S);
    case "permutation":
      return arrays + permutationCode(m.S, caps);
    default:
      return m.kind satisfies never;
  }
}

/** Rows per workgroup of 64 lanes; a row takes at most 12. */
const ROWS = 5;

function kernel(p: Params, caps: GpuCaps, entryPoint: string): GpuKernel {
  return {
    code: mixingCode(mixingOf(p), ROWS, caps) + code,
    entryPoint,
    constants: { T: p["T"]! },
    workgroups: gridFor(p["T"]!, ROWS),
  };
}

export const mixingForwardOp: OpSpec = {
  name: "mixingForward",
  access: ["read", "write"],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    forwardTwin({ ...mixingOf(p), a: b[0] as Floats, mix: b[1] as Floats }, start, end),
  gpu: (p, caps) => kernel(p, caps, "forward"),
};

export const mixingBackwardOp: OpSpec = {
  name: "mixingBackward",
  access: ["read", "read", "write"],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    backwardTwin(
      { ...mixingOf(p), a: b[0] as Floats, dMix: b[1] as Floats, dA: b[2] as Floats },
      start,
      end,
    ),
  gpu: (p, caps) => kernel(p, caps, "backward"),
};

function shape(op: string, v: MixingKind & { a: Tensor; mix: Tensor }): Params {
  checkMixing(v);
  const T = v.mix.size / (v.S * v.S);
  expectSize(op, "a", v.a, T * mixingLogits(v));
  return { ...mixingParams(v), T };
}

/** mix [T, S, S] from a [T, mixingLogits]. */
export function mixingForward(g: Graph, v: MixingKind & { a: Tensor; mix: Tensor }): void {
  g.add(mixingForwardOp, [v.a, v.mix], shape("mixingForward", v));
}

/** dA [T, mixingLogits] from a and dMix [T, S, S]; what the forward made of a is made again. */
export function mixingBackward(
  g: Graph,
  v: MixingKind & { a: Tensor; dMix: Tensor; dA: Tensor },
): void {
  expectSize("mixingBackward", "dA", v.dA, v.a.size);
  g.add(mixingBackwardOp, [v.a, v.dMix, v.dA], shape("mixingBackward", { ...v, mix: v.dMix }));
}
