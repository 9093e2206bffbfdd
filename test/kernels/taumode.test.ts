import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { taumodeForward as twin } from "../../model/cpu/taumode.ts";
import { taumodeBackward, taumodeForward } from "../../model/kernels/taumode.ts";
import { checkOp } from "../support/checkOp.ts";

/** Sums over up to 900 rows in f32. */
const GRAD = { gradAtol: 1e-3, gradRtol: 1e-3 };

describe("taumode", () => {
  for (const [rows, nHeads, headDim, bands, tau] of [
    [1, 1, 4, 1, 1],
    [5, 3, 8, 2, 1],
    [130, 2, 64, 4, 0.5],
    [900, 3, 32, 4, 0],
  ] as const)
    test(`gives ${bands} band energies of ${rows}×${nHeads} vectors of ${headDim}, tau ${tau}`, async () => {
      const shape = { rows, nHeads, headDim, bands, tau };
      await checkOp({
        inputs: {
          y: { shape: [rows, nHeads, headDim] },
          mu: { shape: [nHeads, headDim], mean: 1.5, std: 0.3 },
        },
        outputs: { lambda: [rows, nHeads, bands] },
        forward: (g, t) =>
          taumodeForward(g, { ...shape, y: t["y"]!, mu: t["mu"]!, lambda: t["lambda"]! }),
        backward: (g, t) =>
          taumodeBackward(g, {
            ...shape,
            y: t["y"]!,
            mu: t["mu"]!,
            dLambda: t["dLambda"]!,
            dY: t["dY"]!,
            dMu: t["dMu"]!,
          }),
        ...GRAD,
      });
    });

  test("stays in [0, 1) for any vector and any spectrum", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 8, maxLength: 8 }),
        fc.array(fc.float({ noNaN: true, min: 0, max: 1e3 }), { minLength: 8, maxLength: 8 }),
        (y, mu) => {
          const lambda = new Float64Array(2);
          const s = { rows: 1, nHeads: 1, headDim: 8, bands: 2, tau: 1, parts: 1 };
          twin(Float64Array.from(y), Float64Array.from(mu), lambda, s, 0, 1);
          for (const l of lambda) {
            expect(l).toBeGreaterThanOrEqual(0);
            expect(l).toBeLessThan(1);
          }
        },
      ),
    );
  });
});
