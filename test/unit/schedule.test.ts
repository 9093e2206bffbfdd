import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { presetConfig, type ModelConfig } from "../../model/config.ts";
import { batchAt, batchSizes, learningRateFactor, stepsFor } from "../../model/schedule.ts";

const recipe = (o: Partial<ModelConfig> = {}) => presetConfig("nano", o);
const share = fc.double({ min: 0, max: 1, noNaN: true });

describe("the learning rate", () => {
  test("rises, stays, and falls in a line to its floor", () => {
    const c = recipe();
    expect(learningRateFactor({ step: 0, done: 0 }, c)).toBeCloseTo(1 / 40);
    expect(learningRateFactor({ step: 39, done: 0.44 }, c)).toBe(1);
    expect(learningRateFactor({ step: 100, done: 0.725 }, c)).toBeCloseTo(0.5);
    expect(learningRateFactor({ step: 100, done: 1 }, c)).toBe(0.02);
  });

  test.each(["linear", "cosine", "sqrt"] as const)(
    "never rises in the cool-down: %s",
    (cooldown) => {
      const c = recipe({ cooldown });
      fc.assert(
        fc.property(share, share, (a, b) => {
          const at = (done: number): number => learningRateFactor({ step: 100, done }, c);
          expect(at(Math.max(a, b))).toBeLessThanOrEqual(at(Math.min(a, b)));
          expect(at(a)).toBeGreaterThanOrEqual(0.02);
          expect(at(a)).toBeLessThanOrEqual(1);
        }),
      );
      expect(learningRateFactor({ step: 100, done: c.cooldownFrom }, c)).toBeCloseTo(1);
    },
  );

  test("needs no warm-up and no cool-down", () => {
    const c = recipe({ warmupSteps: 0, cooldownFrom: 1 });
    expect(learningRateFactor({ step: 0, done: 0 }, c)).toBe(1);
    expect(learningRateFactor({ step: 9, done: 1 }, c)).toBe(1);
  });
});

describe("the batch", () => {
  test("is one size by default", () => {
    expect(batchSizes(recipe())).toEqual([8]);
    expect(stepsFor(8 * 512 * 10, recipe())).toBe(10);
  });

  test("doubles in equal shares of the ramp", () => {
    const c = recipe({ batchStart: 2, batchRampUntil: 0.4 });
    expect(batchSizes(c)).toEqual([2, 4, 8]);
    expect([0, 0.19, 0.2, 0.39, 0.4, 1].map((done) => batchAt(done, c))).toEqual([
      2, 2, 4, 4, 8, 8,
    ]);
  });

  test("gives more steps the smaller it begins", () => {
    const bytes = 1e6;
    expect(stepsFor(bytes, recipe({ batchStart: 2 }))).toBeGreaterThan(
      stepsFor(bytes, recipe({ batchStart: 4 })),
    );
  });

  test("that does not double to the whole is refused", () => {
    expect(() => recipe({ batchStart: 3 })).toThrow(/batchStart 3/);
    expect(() => recipe({ cooldown: "never" as "linear" })).toThrow(/cooldown/);
  });
});
