/**
 * The gradient of a sublayer's streams: through the mixing, the branch's input and the norm in one pass, and through
 * phi by a matrix product that adds to it. Source: go-mHC (arXiv 2604.02309) eq. 2–4.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { streamGradient as twin } from "../cpu/streamGradient.ts";
import { halfAliases } from "./halves.ts";
import { matmul } from "./matmul.ts";
import { streamShape } from "./streamExpand.ts";
import code from "./streamGradient.wgsl";

/** mix [S, S], pre [S] and three scales, in whole quadruples. */
export const termsOf = (S: number): number => Math.ceil((S * S + S + 3) / 4) * 4;

export const streamGradientOp: OpSpec = {
  name: "streamGradient",
  access: ["read", "read", "read", "readWrite"],
  halves: [0, 1, 3],
  units: (p) => p["T"]!,
  cpu: (b, p, start, end) =>
    twin(
      {
        x: b[0] as Floats,
        dNormed: b[1] as Floats,
        terms: b[2] as Floats,
        dX: b[3] as Floats,
        S: p["S"]!,
        C: p["C"]!,
        stride: termsOf(p["S"]!),
      },
      start,
      end,
    ),
  gpu: (p, _caps, stored) => ({
    code: `${halfAliases(stored, { X: 0, H: 1, DX: 3 }, 4)}const T: u32 = ${p["T"]};
const S: u32 = ${p["S"]};
const C: u32 = ${p["C"]};
const TERMS: u32 = ${termsOf(p["S"]!)};
${code}`,
    entryPoint: "backward",
    constants: {},
    workgroups: gridFor((p["T"]! * p["C"]!) / 4, 128),
  }),
};

/** dX [T, S, C] holds the gradient of streamWrite's y and becomes that of x [T, S, C], through dNormed [T, C],
 *  dU [T, M] with phi [S·C, M], and the terms [T, termsOf(S)] that streamHead's backward leaves. */
export function streamGradient(
  g: Graph,
  v: { x: Tensor; dNormed: Tensor; terms: Tensor; dU: Tensor; phi: Tensor; dX: Tensor },
): void {
  const op = "streamGradient";
  const { T, S, C } = streamShape(op, v.dNormed, v.x);
  const M = v.dU.size / T;
  expectSize(op, "terms", v.terms, T * termsOf(S));
  expectSize(op, "phi", v.phi, S * C * M);
  expectSize(op, "dX", v.dX, v.x.size);
  g.add(streamGradientOp, [v.x, v.dNormed, v.terms, v.dX], { T, S, C });
  const product = { m: T, k: M, n: S * C, transposeB: 1, accumulate: 1 } as const;
  matmul(g, { a: v.dU, b: v.phi, out: v.dX, ...product });
}
