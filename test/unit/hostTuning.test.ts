/** When the model host tunes: in the first quiet minute after a training. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { IdleTuning } from "../../model/hostTuning.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function host() {
  const state = { idle: true, runs: [] as string[], outcomes: [] as ("done" | "stopped")[] };
  const tuning = new IdleTuning({
    idle: () => state.idle,
    run: (dir) => {
      state.runs.push(dir);
      return Promise.resolve(state.outcomes.shift() ?? "done");
    },
  });
  return { state, tuning };
}
const minutes = (n: number): Promise<unknown> => vi.advanceTimersByTimeAsync(n * 60_000);

describe("tuning in an idle host", () => {
  test("begins a while after a training and happens once", async () => {
    const { state, tuning } = host();
    tuning.trained("model");
    expect(state.runs).toEqual([]);
    await minutes(1);
    expect(state.runs).toEqual(["model"]);
    await minutes(10);
    expect(state.runs).toHaveLength(1);
  });

  test("waits while somebody works, and comes back", async () => {
    const { state, tuning } = host();
    state.idle = false;
    tuning.trained("model");
    await minutes(5);
    expect(state.runs).toEqual([]);
    state.idle = true;
    await minutes(1);
    expect(state.runs).toEqual(["model"]);
  });

  test("goes on later where it was stopped", async () => {
    const { state, tuning } = host();
    state.outcomes = ["stopped", "stopped"];
    tuning.trained("model");
    await minutes(5);
    expect(state.runs).toEqual(["model", "model", "model"]);
  });

  test("serves the last of several trainings", async () => {
    const { state, tuning } = host();
    tuning.trained("first");
    await minutes(0.5);
    tuning.trained("second");
    await minutes(5);
    expect(state.runs).toEqual(["second"]);
  });
});
