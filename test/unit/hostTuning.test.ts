/** When the model host tunes: in the first quiet minute after a training. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { presetConfig } from "../../model/config.ts";
import { IdleTuning, type Trained } from "../../model/hostTuning.ts";

const run = (patches: number): Trained => ({ config: presetConfig("nano"), patches });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function host() {
  const state = { idle: true, runs: [] as number[], outcomes: [] as ("done" | "stopped")[] };
  const tuning = new IdleTuning({
    idle: () => state.idle,
    run: ({ patches }) => {
      state.runs.push(patches);
      return Promise.resolve(state.outcomes.shift() ?? "done");
    },
  });
  return { state, tuning };
}
const minutes = (n: number): Promise<unknown> => vi.advanceTimersByTimeAsync(n * 60_000);

describe("tuning in an idle host", () => {
  test("begins a while after a training and happens once", async () => {
    const { state, tuning } = host();
    tuning.trained(run(1));
    expect(state.runs).toEqual([]);
    await minutes(1);
    expect(state.runs).toEqual([1]);
    await minutes(10);
    expect(state.runs).toHaveLength(1);
  });

  test("waits while somebody works, and comes back", async () => {
    const { state, tuning } = host();
    state.idle = false;
    tuning.trained(run(1));
    await minutes(5);
    expect(state.runs).toEqual([]);
    state.idle = true;
    await minutes(1);
    expect(state.runs).toEqual([1]);
  });

  test("goes on later where it was stopped", async () => {
    const { state, tuning } = host();
    state.outcomes = ["stopped", "stopped"];
    tuning.trained(run(1));
    await minutes(5);
    expect(state.runs).toEqual([1, 1, 1]);
  });

  test("serves the last of several trainings", async () => {
    const { state, tuning } = host();
    tuning.trained(run(1));
    await minutes(0.5);
    tuning.trained(run(2));
    await minutes(5);
    expect(state.runs).toEqual([2]);
  });
});
