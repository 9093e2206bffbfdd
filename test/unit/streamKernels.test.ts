/**
 * The streams' heads and their gradient as GPUs with subgroups of 32 get them, as Tint sees them: no software adapter runs them. What
 * they compute is tested in test/kernels/streamHead.test.ts, on the GPU at hand.
 */
import { describe, expect, test } from "vitest";
import type { GpuCaps, GpuKernel, OpSpec, Params, Stored } from "../../model/graph.ts";
import { streamGradientOp } from "../../model/kernels/streamGradient.ts";
import { streamHeadBackwardOp, streamHeadForwardOp } from "../../model/kernels/streamHead.ts";
import { unroll } from "../../model/kernels/unroll.ts";
import { wgslErrors } from "../support/nullGpu.ts";

const caps: GpuCaps = {
  software: false,
  f16: true,
  subgroups: true,
  subgroupMatrix: true,
  maxWorkgroupStorageSize: 49152,
  maxInvocations: 1024,
};

const inHalves = (op: OpSpec): Stored[] =>
  op.access.map((_, i): Stored => (op.halves?.includes(i) === true ? "f16" : "f32"));

/** Streams, block size, channels. */
const shapes = [
  [1, 2, 8],
  [4, 2, 384],
  [4, 3, 512],
  [2, 3, 120],
] as const;

describe("the streams' heads for subgroups of 32 compile", () => {
  for (const [S, O, C] of shapes)
    test(`with ${S} streams of ${C}, blocks of ${O}`, async () => {
      const p: Params = { mixing: 0, S, O, T: 517, C, groups: 130 };
      for (const op of [streamHeadForwardOp, streamHeadBackwardOp]) {
        const kernel = op.gpu(p, caps, inHalves(op));
        expect(kernel.code).toMatch(/enable subgroups;/);
        expect(await wgslErrors(kernel.code)).toEqual([]);
      }
    });
});

describe("the streams' gradient on matrix units", () => {
  const kernelOf = (S: number, C: number, M: number): GpuKernel =>
    streamGradientOp.gpu({ T: 517, S, C, M, groups: 130 }, caps, inHalves(streamGradientOp));

  for (const [S, C, M] of [
    [4, 384, 36],
    [4, 512, 36],
    [2, 64, 13],
  ] as const)
    test(`compiles with ${S} streams of ${C} and ${M} columns`, async () => {
      const { code } = kernelOf(S, C, M);
      expect(code).toMatch(/subgroupMatrixMultiplyAccumulate/);
      expect(await wgslErrors(code)).toEqual([]);
      // Three workgroups share what a multiprocessor has.
      const units = Number(/var<workgroup> tile: array<vec4u, (\d+)>/.exec(code)![1]);
      expect(3 * 16 * units).toBeLessThanOrEqual(caps.maxWorkgroupStorageSize);
    });

  test("is left to the plain kernel where channels, streams, columns or types do not fit", () => {
    const inFloats = streamGradientOp.access.map((): Stored => "f32");
    const codes = [
      kernelOf(4, 68, 36).code,
      kernelOf(1, 64, 3).code,
      kernelOf(4, 64, 74).code,
      streamGradientOp.gpu({ T: 517, S: 4, C: 64, M: 36, groups: 130 }, caps, inFloats).code,
    ];
    for (const code of codes) expect(code).not.toMatch(/subgroup_matrix/);
  });
});

describe("unroll", () => {
  const loop = (name: string, bound: string, body: string): string =>
    `/* unroll */ for (var ${name} = 0u; ${name} < ${bound}; ${name}++) {${body}}`;

  test("repeats what is marked, inner loops too, with whole names replaced", () => {
    const inner = loop("k", "N", " a[i * N + k] += ik; ");
    expect(unroll(`x${loop("i", "M", inner)}y`, { M: 2, N: 1 })).toBe(
      "x{{ a[0u * N + 0u] += ik; }}\n{{ a[1u * N + 0u] += ik; }}y",
    );
  });

  test("leaves other loops alone and wants to know every bound", () => {
    const plain = "for (var i = 0u; i < M; i++) { }";
    expect(unroll(plain, {})).toBe(plain);
    expect(() => unroll(loop("i", "M", ""), {})).toThrow(/bound M/);
  });
});
