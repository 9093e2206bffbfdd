import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../model/errors.ts";
import { Look, LossWatch } from "../../model/trainingWatch.ts";

const at = (step: number) => ({ step, bytes: 100 * step, seconds: step, factor: 1 });

/** Losses as a device gives them: later. */
const watch = (loss: number, overflows = 0): LossWatch =>
  new LossWatch(
    {
      loss: () => new Promise((resolve) => setTimeout(() => resolve(loss), 5)),
      optimizer: { lossScaling: () => Promise.resolve({ overflows, scale: 1 }) },
    },
    0,
  );

describe("a look at the loss", () => {
  test("shows nothing before it has ended, and then where the run was when it was begun", async () => {
    const look = new Look(watch(1.5), at(3));
    expect(look.seen()).toBeUndefined();
    await look.end;
    expect(look.seen()).toEqual({ ...at(3), loss: 1.5 });
  });

  test("throws what it found when it is asked, not before", async () => {
    const look = new Look(watch(Number.NaN), at(3));
    await look.end;
    expect(() => look.seen()).toThrow(CheckpointError);
    expect(() => look.seen()).toThrow("at step 3");
    const skipped = new Look(watch(1.5, 40), at(40));
    await skipped.end;
    expect(() => skipped.seen()).toThrow("the last 40 steps had gradients that are no numbers");
  });
});
