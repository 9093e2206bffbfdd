/** The mixing kinds beside goMhc: what they reach, how their sums come out, where they start. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { presetConfig } from "../../model/config.ts";
import { MIXINGS, mixingRow, type Mixing } from "../../model/cpu/mixing.ts";
import { permutations } from "../../model/cpu/permutationMixing.ts";
import type { GpuCaps } from "../../model/graph.ts";
import { mixingBackwardOp, mixingLogits, mixingParams } from "../../model/kernels/mixing.ts";
import { streamHeadBackwardOp, streamHeadForwardOp } from "../../model/kernels/streamHead.ts";
import { paramTable } from "../../model/params.ts";
import { Random } from "../../model/random.ts";
import { worstSums } from "../support/mixings.ts";
import { wgslErrors } from "../support/nullGpu.ts";
import { tinySpectrum } from "../support/tinyModel.ts";

function mixOf(m: Mixing, a: Float64Array): Float64Array {
  const mix = new Float64Array(m.S * m.S);
  mixingRow(m).forward(a, mix);
  return mix;
}

const normals = (count: number, std: number, random: Random): Float64Array =>
  Float64Array.from({ length: count }, () => std * random.normal());

const exact = fc
  .constantFrom(
    ...([2, 4, 8] as const).map((S) => ({ kind: "kronecker", S, O: 1 }) as const),
    ...([1, 2, 3, 4, 5] as const).map((S) => ({ kind: "permutation", S, O: 1 }) as const),
  )
  .chain((kind) =>
    fc
      .array(fc.double({ min: -40, max: 40, noNaN: true }), {
        minLength: mixingLogits(kind),
        maxLength: mixingLogits(kind),
      })
      .map((a) => ({ kind, a: Float64Array.from(a) })),
  );

describe("mixing kinds", () => {
  test("of all names have a twin with as many logits as the kernels", () => {
    for (const kind of MIXINGS) {
      const m = { kind, S: 4, O: 2 };
      expect(mixingRow(m).K).toBe(mixingLogits(m));
    }
    expect(MIXINGS.map((kind) => mixingLogits({ kind, S: 4, O: 2 }))).toEqual([28, 16, 4, 24]);
  });

  test("kronecker and permutation are doubly stochastic for any logits", () => {
    fc.assert(
      fc.property(exact, ({ kind, a }) => {
        const { rows, columns, least } = worstSums(mixOf(kind, a), kind.S);
        expect(Math.max(rows, columns)).toBeLessThan(1e-12);
        expect(least).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  for (const kind of MIXINGS)
    for (const S of [2, 4])
      test(`${kind} has the gradient of differences for ${S} streams`, () => {
        const m = { kind, S, O: 2 };
        const random = new Random(9);
        const row = mixingRow(m);
        const a = normals(row.K, 1.5, random);
        const dMix = normals(S * S, 1, random);
        const dA = new Float64Array(row.K);
        row.backward(a, dMix, dA);
        for (let k = 0; k < row.K; k++) {
          const at = (step: number): number =>
            mixOf(
              m,
              a.map((v, i) => (i === k ? v + step : v)),
            ).reduce((sum, v, o) => sum + v * dMix[o]!, 0);
          expect(dA[k]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 8);
        }
      });

  for (const kind of MIXINGS)
    test(`${kind} starts near the identity, with reads and writes that differ`, () => {
      for (const streams of [2, 4]) {
        const config = presetConfig("nano", { residual: kind, streams });
        const bias = paramTable(config, tinySpectrum()).find((p) =>
          p.name.endsWith("attentionResidual.bias"),
        )!;
        const values = new Float32Array(bias.shape[0]!);
        bias.init(values, new Random(4));
        const mix = mixOf(
          { kind, S: streams, O: config.mixingBlock },
          Float64Array.from(values.subarray(2 * streams)),
        );
        for (let i = 0; i < streams; i++) expect(mix[i * (streams + 1)]).toBeGreaterThan(0.9);
        expect(values[0]).not.toBe(values[1]);
      }
    });

  for (const kind of MIXINGS)
    test(`${kind} fits into the kernels built around it`, async () => {
      const caps: GpuCaps = {
        software: false,
        f16: true,
        subgroups: true,
        subgroupMatrix: true,
        maxWorkgroupStorageSize: 16384,
        maxInvocations: 256,
      };
      for (const S of [2, 4]) {
        const p = { ...mixingParams({ kind, S, O: 2 }), T: 100, C: 384, groups: 50 };
        for (const op of [streamHeadForwardOp, streamHeadBackwardOp, mixingBackwardOp]) {
          const stored = op.access.map((_, i) => (op.halves?.includes(i) === true ? "f16" : "f32"));
          expect(await wgslErrors(op.gpu(p, caps, stored).code), op.name).toEqual([]);
        }
      }
    });

  test("a permutation's logit alone gives that permutation", () => {
    permutations(4).forEach((order, k) => {
      const mix = mixOf(
        { kind: "permutation", S: 4, O: 1 },
        Float64Array.from({ length: 24 }, (_, i) => (i === k ? 60 : 0)),
      );
      order.forEach((column, row) => expect(mix[row * 4 + column]).toBeCloseTo(1, 12));
    });
    expect(permutations(4)[0]).toEqual([0, 1, 2, 3]);
  });

  test("a Kronecker product of 0.9 and 0.7 is the one written by hand", () => {
    const logit = (p: number): number => Math.log(p / (1 - p));
    const mix = mixOf(
      { kind: "kronecker", S: 4, O: 1 },
      Float64Array.of(logit(0.9), 0, logit(0.7), 0),
    );
    [0.63, 0.27, 0.07, 0.03].forEach((want, j) => expect(mix[j]).toBeCloseTo(want, 14));
    expect([...mix.subarray(8, 12)].map((x) => x.toFixed(2))).toEqual([
      "0.07",
      "0.03",
      "0.63",
      "0.27",
    ]);
  });

  test("a configuration of unknown or impossible kind is refused", () => {
    const bad = (o: object) => () => presetConfig("nano", o);
    expect(bad({ residual: "gomhc" })).toThrow(/there is no residual "gomhc"/);
    expect(bad({ residual: "kronecker", streams: 3 })).toThrow(/does not take 3 streams/);
    expect(bad({ residual: "permutation", streams: 6 })).toThrow(/does not take 6 streams/);
    expect(bad({ residual: "sinkhorn", streams: 9 })).toThrow(/does not take 9 streams/);
    expect(presetConfig("nano", { residual: "plain", streams: 9 }).residual).toBe("plain");
  });
});

describe("sinkhorn mixing", () => {
  /** How far column sums are off, per matrix of normal logits, in ascending order. */
  function offs(std: number): { rows: number; columns: number[] } {
    const random = new Random(5);
    const sums = Array.from({ length: 4000 }, () =>
      worstSums(mixOf({ kind: "sinkhorn", S: 4, O: 1 }, normals(16, std, random)), 4),
    );
    return {
      rows: Math.max(...sums.map((s) => s.rows)),
      columns: sums.map((s) => s.columns).sort((a, b) => a - b),
    };
  }

  test("has rows that sum to one, and columns that do only where logits lie close", () => {
    // Standard deviation of the logits, median and 99th percentile of the column error after the published twenty iterations.
    for (const [std, median, most] of [
      [1, 3e-13, 1e-6],
      [3, 2.3e-4, 0.033],
      [8, 0.025, 0.083],
    ] as const) {
      const { rows, columns } = offs(std);
      expect(rows).toBeLessThan(1e-14);
      for (const [got, want] of [
        [columns[2000]!, median],
        [columns[3960]!, most],
      ] as const) {
        expect(got).toBeLessThan(want * 3);
        // No better either: this kind is approximate.
        expect(got).toBeGreaterThan(want / 3);
      }
    }
    expect(offs(0.5).columns[3999]).toBeLessThan(1e-9);
  });

  test("needs many more iterations than the published ones to become doubly stochastic", () => {
    // Two blocks that hardly see each other, one of them too heavy: columns are off by 2 % after twenty.
    const a = Float64Array.of(0, -8, -8, -8, 0, -8, -8, -8, -8, -8, 0, 0, -8, -8, 0, 0);
    const { rows, columns } = worstSums(mixOf({ kind: "sinkhorn", S: 4, O: 1 }, a), 4);
    expect(rows).toBeLessThan(1e-14);
    expect(columns).toBeGreaterThan(0.02);
  });

  test("ignores what a clamped logit would add", () => {
    const a = Float64Array.of(100, 0, 0, 100);
    const dA = new Float64Array(4);
    mixingRow({ kind: "sinkhorn", S: 2, O: 1 }).backward(a, Float64Array.of(1, 2, 3, 5), dA);
    expect(dA[0]).toBe(0);
    expect([...mixOf({ kind: "sinkhorn", S: 2, O: 1 }, a)]).toEqual([
      ...mixOf({ kind: "sinkhorn", S: 2, O: 1 }, Float64Array.of(40, 0, 0, 40)),
    ]);
  });
});
