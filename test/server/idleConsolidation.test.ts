/**
 * When changed files are learned by themselves, against a host whose answers the test gives by hand and a clock that the
 * test moves: the rest that it takes, what ends a run, and what stands in its way.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { silentLogger } from "../../model/logger.ts";
import type { ConsolidationReport } from "../../model/protocol.ts";
import { IdleConsolidation, type IdleConsolidationParts } from "../../server/idleConsolidation.ts";
import type { Power } from "../../server/power.ts";
import type { ModelState } from "../../server/protocol.ts";
import { settingsFrom } from "../../server/settings.ts";

const MINUTE = 60_000;

beforeEach(() => {
  vi.useFakeTimers();
});
const made: IdleConsolidation[] = [];
afterEach(async () => {
  for (const idle of made.splice(0)) await idle.dispose();
  vi.useRealTimers();
});

interface Asked {
  readonly method: string;
  readonly params: Record<string, unknown>;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const REPORT: ConsolidationReport = {
  outcome: "accepted",
  at: "2026-01-01T00:00:00.000Z",
  files: 2,
  steps: 8,
  seconds: 20,
  heldoutBefore: 2,
  heldoutAfter: 1.9,
  changedBefore: 3,
  changedAfter: 2.5,
  changedControl: 2.9,
};

function idleWith(settings: Record<string, unknown> = {}) {
  const asked: Asked[] = [];
  const states: ModelState[] = [];
  const settled: (ConsolidationReport | undefined)[] = [];
  const world: { power: Power; mayRun: boolean; safeMode: boolean } = {
    power: "mains",
    mayRun: true,
    safeMode: false,
  };
  const request = (method: string, params: object, signal?: AbortSignal): Promise<never> =>
    new Promise((resolve, reject) => {
      asked.push({
        method,
        params: params as Record<string, unknown>,
        resolve: resolve,
        reject,
      });
      signal?.addEventListener("abort", () => reject(signal.reason as Error));
      if (method !== "consolidate") (resolve as (result: unknown) => void)({});
    });
  const parts: IdleConsolidationParts = {
    host: {
      request,
      get safeMode() {
        return world.safeMode;
      },
    },
    logger: silentLogger,
    settings: () => Promise.resolve(settingsFrom(settings)),
    directory: () => "/model",
    listFiles: () => Promise.resolve("/files.json"),
    power: () => Promise.resolve(world.power),
    mayRun: () => Promise.resolve(world.mayRun),
    setState: (state) => states.push(state),
    onSettled: (report) => {
      settled.push(report);
      return Promise.resolve();
    },
  };
  const idle = new IdleConsolidation(parts);
  made.push(idle);
  const runs = (): Asked[] => asked.filter((one) => one.method === "consolidate");
  return { idle, asked, states, settled, world, runs };
}

const pass = (minutes: number) => vi.advanceTimersByTimeAsync(minutes * MINUTE);

describe("a run", () => {
  test("begins when files changed and nobody typed for five minutes", async () => {
    const { idle, runs } = idleWith();
    idle.fileChanged();
    await pass(3);
    idle.active();
    await pass(4.9);
    expect(runs()).toHaveLength(0);
    await pass(1.2);
    expect(runs()).toHaveLength(1);
    expect(runs()[0]!.params).toMatchObject({
      dir: "/model",
      filesManifest: "/files.json",
      device: "auto",
    });
    expect(idle.running).toBe(true);
  });

  test("does not begin where nothing changed", async () => {
    const { idle, runs } = idleWith();
    idle.active();
    await pass(60);
    expect(runs()).toHaveLength(0);
  });

  test("takes its rest and its device from the settings, and the CPU in safe mode", async () => {
    const { idle, runs, world } = idleWith({
      training: { idleMinutes: 20 },
      device: { backend: "gpu" },
    });
    world.safeMode = true;
    idle.fileChanged();
    await pass(19);
    expect(runs()).toHaveLength(0);
    await pass(2);
    expect(runs()[0]!.params).toMatchObject({ device: "cpu" });
  });

  test.each([
    ["the rest is set to 0", { training: { idleMinutes: 0 } }],
    ["training is switched off", { training: { enable: false } }],
  ])("never begins where %s", async (_, settings) => {
    const { idle, runs } = idleWith(settings);
    idle.fileChanged();
    await pass(120);
    expect(runs()).toHaveLength(0);
  });

  test("waits for mains power, and for a training that runs or waits", async () => {
    const { idle, runs, world } = idleWith();
    world.power = "battery";
    idle.fileChanged();
    await pass(30);
    expect(runs()).toHaveLength(0);
    world.power = "unknown";
    world.mayRun = false;
    await pass(30);
    expect(runs()).toHaveLength(0);
    world.mayRun = true;
    await pass(2);
    expect(runs()).toHaveLength(1);
  });

  test("says how far it is, and what came of it", async () => {
    const { idle, runs, states, settled } = idleWith();
    idle.fileChanged();
    await pass(6);
    const percents: number[] = [];
    for (const phase of ["choosing", "measuring", "comparing", "learning", "checking"] as const)
      for (const share of [0, 0.5]) {
        idle.onProgress({ phase, share, device: "CPU, 2 threads" });
        const state = states.at(-1)!;
        if (state.kind !== "consolidating") throw new Error(state.kind);
        percents.push(state.percent);
      }
    expect(percents).toEqual(percents.toSorted((a, b) => a - b));
    expect(new Set(percents).size).toBe(percents.length);
    expect(states.at(-1)).toMatchObject({ device: { kind: "cpu", name: "CPU, 2 threads" } });
    runs()[0]!.resolve(REPORT);
    await pass(0);
    expect(settled).toEqual([REPORT]);
    expect(idle.running).toBe(false);
  });

  test("is not repeated before something changes again", async () => {
    const { idle, runs } = idleWith();
    idle.fileChanged();
    await pass(6);
    runs()[0]!.resolve({ ...REPORT, outcome: "nothing" });
    await pass(60);
    expect(runs()).toHaveLength(1);
    idle.fileChanged();
    await pass(6);
    expect(runs()).toHaveLength(2);
  });

  test("that fails is settled without a report, and not repeated before something changes", async () => {
    const { idle, runs, settled } = idleWith();
    idle.fileChanged();
    await pass(6);
    runs()[0]!.reject(new Error("every held-out file changed"));
    await pass(60);
    expect(settled).toEqual([undefined]);
    expect(runs()).toHaveLength(1);
  });

  test("takes changes that came while it ran to the next rest", async () => {
    const { idle, runs } = idleWith();
    idle.fileChanged();
    await pass(6);
    idle.fileChanged();
    runs()[0]!.resolve(REPORT);
    await pass(4);
    expect(runs()).toHaveLength(1);
    await pass(3);
    expect(runs()).toHaveLength(2);
  });
});

describe("somebody who is back", () => {
  test("ends the run at once, and it is done again after the next rest", async () => {
    const { idle, runs, settled } = idleWith();
    idle.fileChanged();
    await pass(6);
    idle.active();
    await pass(0);
    expect(idle.running).toBe(false);
    expect(settled).toEqual([undefined]);
    await pass(4.9);
    expect(runs()).toHaveLength(1);
    await pass(2);
    expect(runs()).toHaveLength(2);
  });

  test("may pause it: it then stays until it is resumed, whatever is typed", async () => {
    const { idle, asked, states, runs } = idleWith();
    expect(await idle.pause()).toBe(false);
    expect(await idle.resume()).toBe(false);
    idle.fileChanged();
    await pass(6);
    idle.onProgress({ phase: "learning", share: 0.5, device: "Some GPU" });
    expect(await idle.pause()).toBe(true);
    expect(states.at(-1)).toMatchObject({
      kind: "paused",
      work: "consolidation",
      why: "you asked",
    });
    idle.active();
    await pass(60);
    expect(idle.running).toBe(true);
    expect(await idle.resume()).toBe(true);
    expect(states.at(-1)).toMatchObject({ kind: "consolidating" });
    expect(asked.map((one) => one.method)).toEqual(["consolidate", "pause", "resume"]);
    idle.active();
    await pass(0);
    expect(idle.running).toBe(false);
    expect(runs()).toHaveLength(1);
  });

  test("may have it stopped for a training, and awaits that", async () => {
    const { idle, settled } = idleWith();
    idle.fileChanged();
    await pass(6);
    await idle.stop();
    expect(idle.running).toBe(false);
    expect(settled).toEqual([undefined]);
  });

  test("who took the model back does not get the same changes again", async () => {
    const { idle, runs } = idleWith();
    idle.fileChanged();
    idle.forgetChanges();
    await pass(60);
    expect(runs()).toHaveLength(0);
  });
});
