import { describe, expect, test } from "vitest";
import { CheckpointPace } from "../../model/checkpointPace.ts";

describe("the pace of checkpoints", () => {
  const at = () => {
    const clock = { ms: 1000 };
    return { clock, pace: new CheckpointPace(() => clock.ms) };
  };

  test("is one in twenty seconds, counted from the end of the last", async () => {
    const { clock, pace } = at();
    clock.ms += 19_000;
    expect(pace.isDue(undefined)).toBe(false);
    clock.ms += 2_000;
    expect(pace.isDue(undefined)).toBe(true);
    await pace.saving(() => Promise.resolve(void (clock.ms += 100)));
    clock.ms += 19_900;
    expect(pace.isDue(undefined)).toBe(false);
    clock.ms += 200;
    expect(pace.isDue(undefined)).toBe(true);
  });

  test("is slower where saving takes long: a fiftieth of the time", async () => {
    const { clock, pace } = at();
    await pace.saving(() => Promise.resolve(void (clock.ms += 1000)));
    clock.ms += 49_000;
    expect(pace.isDue(undefined)).toBe(false);
    clock.ms += 2_000;
    expect(pace.isDue(undefined)).toBe(true);
  });

  test("leaves one out that the run's own end comes right after", () => {
    const { clock, pace } = at();
    clock.ms += 60_000;
    expect(pace.isDue(9)).toBe(false);
    expect(pace.isDue(11)).toBe(true);
  });

  test("does not count a save that failed as one", async () => {
    const { clock, pace } = at();
    clock.ms += 21_000;
    await expect(pace.saving(() => Promise.reject(new Error("full")))).rejects.toThrow("full");
    expect(pace.isDue(undefined)).toBe(true);
  });
});
