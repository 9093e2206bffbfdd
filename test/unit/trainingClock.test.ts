import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { TrainingClock } from "../../model/trainingClock.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("the clock of a training", () => {
  test("tells by bytes what is left, once there is something to tell it by", () => {
    const clock = new TrainingClock({ bytes: 4000 }, undefined);
    clock.target = 4000;
    clock.start();
    vi.advanceTimersByTime(1000);
    expect(clock.secondsLeft).toBeUndefined();
    clock.bytes = 1000;
    expect(clock.secondsLeft).toBeCloseTo(3);
    clock.paused(500);
    expect(clock.secondsLeft).toBeCloseTo(1.5);
    clock.bytes = 4000;
    expect(clock.secondsLeft).toBe(0);
    expect(clock.progress().secondsLeft).toBe(0);
  });

  test("leaves a slow first step out of the pace", () => {
    const clock = new TrainingClock({ bytes: 4000 }, undefined);
    clock.target = 4000;
    clock.start();
    vi.advanceTimersByTime(30_000);
    clock.bytes = 1000;
    clock.warmedUp();
    expect(clock.secondsLeft).toBeUndefined();
    vi.advanceTimersByTime(1000);
    clock.bytes = 2000;
    expect(clock.secondsLeft).toBeCloseTo(2);
  });

  test("tells by minutes what is left", () => {
    const clock = new TrainingClock({ minutes: 1 }, undefined);
    clock.start();
    vi.advanceTimersByTime(45_000);
    expect(clock.secondsLeft).toBeCloseTo(15);
    clock.target = 1_000_000;
    clock.bytes = 20_000;
    expect(clock.progress()).toMatchObject({ bytes: 20_000, totalBytes: 1_000_000 });
    // Once it is over, its bytes are all there were: what tells the share by bytes says "all".
    vi.advanceTimersByTime(15_000);
    expect(clock.progress()).toMatchObject({ bytes: 20_000, totalBytes: 20_000, secondsLeft: 0 });
  });
});
