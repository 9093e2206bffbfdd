import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cayleyMixing } from "../../model/cpu/cayleyMixing.ts";
import { mixingLogits } from "../../model/kernels/mixing.ts";
import { Random } from "../../model/random.ts";

function mixOf(S: number, O: number, a: Float64Array): Float64Array {
  const mix = new Float64Array(S * S);
  cayleyMixing(S, O).forward(a, mix);
  return mix;
}

function gradientOf(S: number, O: number, a: Float64Array, dMix: Float64Array): Float64Array {
  const dA = new Float64Array(a.length);
  cayleyMixing(S, O).backward(a, dMix, dA);
  return dA;
}

const normals = (count: number, std: number, seed = 5): Float64Array => {
  const random = new Random(seed);
  return Float64Array.from({ length: count }, () => std * random.normal());
};

const sizes = fc.constantFrom([2, 1], [2, 2], [2, 3], [3, 2], [4, 1], [4, 2], [4, 3] as const);
const drawn = sizes.chain(([S, O]) =>
  fc
    .array(fc.double({ min: -10, max: 10, noNaN: true }), {
      minLength: mixingLogits({ kind: "goMhc", S: S, O: O }),
      maxLength: mixingLogits({ kind: "goMhc", S: S, O: O }),
    })
    .map((a) => ({ S: S, O: O, a: Float64Array.from(a) })),
);

describe("goMhc mixing", () => {
  test("has the number of logits of a strict upper triangle", () => {
    expect(mixingLogits({ kind: "goMhc", S: 4, O: 1 })).toBe(6);
    expect(mixingLogits({ kind: "goMhc", S: 4, O: 2 })).toBe(28);
    expect(mixingLogits({ kind: "goMhc", S: 4, O: 3 })).toBe(66);
  });

  test("is doubly stochastic for any parameters", () => {
    fc.assert(
      fc.property(drawn, ({ S, O, a }) => {
        const mix = mixOf(S, O, a);
        for (let i = 0; i < S; i++) {
          let row = 0;
          let column = 0;
          for (let j = 0; j < S; j++) {
            row += mix[i * S + j]!;
            column += mix[j * S + i]!;
            expect(mix[i * S + j]).toBeGreaterThanOrEqual(0);
          }
          expect(row).toBeCloseTo(1, 12);
          expect(column).toBeCloseTo(1, 12);
        }
      }),
    );
  });

  test("transposes when its parameters change sign", () => {
    fc.assert(
      fc.property(drawn, ({ S, O, a }) => {
        const mix = mixOf(S, O, a);
        const other = mixOf(
          S,
          O,
          a.map((v) => -v),
        );
        for (let i = 0; i < S; i++)
          for (let j = 0; j < S; j++) expect(other[j * S + i]).toBeCloseTo(mix[i * S + j]!, 12);
      }),
    );
  });

  test("is the identity at zero", () => {
    expect([...mixOf(3, 2, new Float64Array(15))]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1]);
  });

  test("gives the paper's rotation for two streams, blocks of one and a third", () => {
    const mix = mixOf(2, 1, Float64Array.of(1 / 3));
    [0.64, 0.36, 0.36, 0.64].forEach((want, i) => expect(mix[i]).toBeCloseTo(want, 14));
  });

  test("agrees with the closed form for four streams with blocks of one", () => {
    const a = normals(6, 0.8);
    const [a01, a02, a03, a12, a13, a23] = a as unknown as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const A = [
      [0, a01, a02, a03],
      [-a01, 0, a12, a13],
      [-a02, -a12, 0, a23],
      [-a03, -a13, -a23, 0],
    ];
    const dual = [
      [0, a23, -a13, a12],
      [-a23, 0, a03, -a02],
      [a13, -a03, 0, a01],
      [-a12, a02, -a01, 0],
    ];
    const p = a.reduce((sum, v) => sum + v * v, 0);
    const pf = a01 * a23 - a02 * a13 + a03 * a12;
    const mix = mixOf(4, 1, a);
    for (let i = 0; i < 4; i++)
      for (let j = 0; j < 4; j++) {
        let square = 0;
        for (let k = 0; k < 4; k++) square += A[i]![k]! * A[k]![j]!;
        const identity = i === j ? 1 : 0;
        const W = ((1 + p) * identity - A[i]![j]! + square - pf * dual[i]![j]!) / (1 + p + pf * pf);
        expect(mix[i * 4 + j]).toBeCloseTo((2 * W - identity) ** 2, 12);
      }
  });

  test("has no gradient at zero, so zero must not be the start", () => {
    const gradient = gradientOf(4, 2, new Float64Array(28), normals(16, 1));
    expect(Math.max(...gradient.map(Math.abs))).toBe(0);
  });

  test("has a gradient near the identity, and stays near it, at a start of small normals", () => {
    const a = normals(28, 0.05);
    const gradient = gradientOf(4, 2, a, normals(16, 1, 6));
    const rms = Math.sqrt(gradient.reduce((sum, v) => sum + v * v, 0) / 28);
    expect(rms).toBeGreaterThan(0.05);
    const mix = mixOf(4, 2, a);
    for (let i = 0; i < 4; i++) expect(mix[i * 5]).toBeGreaterThan(0.8);
  });

  test("reaches a cyclic permutation of three streams, which products of pairs cannot", () => {
    // Gradient descent on the squared distance, from several starts.
    const target = [0, 1, 0, 0, 0, 1, 1, 0, 0];
    let best = Infinity;
    for (let start = 0; start < 4 && best > 1e-6; start++) {
      const a = normals(15, 1, 20 + start);
      for (let step = 0; step < 3000; step++) {
        const mix = mixOf(3, 2, a);
        const dMix = mix.map((v, i) => 2 * (v - target[i]!));
        const gradient = gradientOf(3, 2, a, dMix);
        for (let k = 0; k < 15; k++) a[k]! -= 0.2 * gradient[k]!;
      }
      best = Math.min(
        best,
        mixOf(3, 2, a).reduce((sum, v, i) => sum + (v - target[i]!) ** 2, 0),
      );
    }
    expect(best).toBeLessThan(1e-3);
  });
});
