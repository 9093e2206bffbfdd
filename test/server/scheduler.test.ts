/**
 * When training runs, pauses and comes back, against a host whose answers the test gives by hand. The process
 * boundary itself is tested elsewhere; here the order of events is what matters.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HostExitError, NarrowError } from "../../model/errors.ts";
import { silentLogger } from "../../model/logger.ts";
import type { ModelState, TrainingPoint } from "../../server/protocol.ts";
import { settingsFrom } from "../../server/settings.ts";
import { TrainScheduler, type TrainSchedulerParts } from "../../server/trainScheduler.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "narrowgauge-scheduler-"));
});
const schedulers: TrainScheduler[] = [];
afterEach(async () => {
  for (const one of schedulers.splice(0)) await one.dispose();
  await rm(folder, { recursive: true, force: true });
});

interface Asked {
  readonly method: string;
  readonly params: Record<string, unknown>;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Answers everything but work at once; the test decides when and how a training or a consolidation ends. */
class HandHost {
  readonly asked: Asked[] = [];
  safeMode = false;
  forgiven = 0;

  forgive(): void {
    this.forgiven++;
  }

  request(method: string, params: object, signal?: AbortSignal): Promise<never> {
    return new Promise((resolve, reject) => {
      const entry: Asked = {
        method,
        params: params as Record<string, unknown>,
        resolve: resolve,
        reject,
      };
      this.asked.push(entry);
      signal?.addEventListener("abort", () => reject(signal.reason as Error));
      if (method !== "train" && method !== "consolidate") entry.resolve({});
    });
  }

  methods(): string[] {
    return this.asked.map((one) => one.method);
  }

  training(): Asked {
    return this.asked.findLast((one) => one.method === "train")!;
  }
}

function schedule(settings: Record<string, unknown> = {}, o: Partial<TrainSchedulerParts> = {}) {
  const host = new HandHost();
  const states: ModelState[] = [];
  const settled: unknown[] = [];
  const scheduler = new TrainScheduler({
    host: host,
    logger: silentLogger,
    memoFile: join(folder, "training.json"),
    settings: () => Promise.resolve(settingsFrom(settings)),
    directory: () => join(folder, "model"),
    prepare: () => Promise.resolve({ filesManifest: join(folder, "files.json") }),
    setState: (state) => states.push(state),
    publishPoint: () => undefined,
    onSettled: (outcome) => {
      settled.push(outcome);
      return Promise.resolve();
    },
    answers: () => false,
    typingRestMs: 60,
    mayLearn: () => false,
    listFiles: () => Promise.resolve(join(folder, "files.json")),
    power: () => Promise.resolve("unknown"),
    onConsolidated: () => Promise.resolve(),
    ...o,
  });
  schedulers.push(scheduler);
  const until = async (what: string, condition: () => boolean): Promise<void> => {
    const end = Date.now() + 5000;
    while (!condition()) {
      if (Date.now() > end)
        throw new Error(
          `${what} did not happen: ${JSON.stringify([host.methods(), states.at(-1)])}`,
        );
      await sleep(2);
    }
  };
  const started = () => until("training", () => host.methods().includes("train"));
  return { host, scheduler, states, settled, until, started };
}

const point = (fields: Partial<TrainingPoint>): TrainingPoint => ({
  phase: "training",
  step: 1,
  steps: 100,
  bytes: 10,
  totalBytes: 1000,
  seconds: 30,
  secondsLeft: 30,
  loss: 5,
  heldoutBpb: null,
  bytesPerSecond: 1,
  device: "CPU, 2 threads",
  ...fields,
});

const memo = () => readFile(join(folder, "training.json"), "utf8").catch(() => "none");
const DONE = { promoted: true, stopped: "done", heldoutBpb: 2 };

describe("a run", () => {
  test("takes preset, budget and device from the settings", async () => {
    const { host, scheduler, started } = schedule({
      model: { preset: "small" },
      training: { budgetMinutes: 7 },
      device: { backend: "cpu" },
    });
    await scheduler.start({ resume: false });
    await started();
    expect(host.training().params).toMatchObject({
      preset: "small",
      minutes: 7,
      device: "cpu",
      resume: false,
      out: join(folder, "model"),
    });
  });

  test("that chooses its size takes three minutes at most", async () => {
    const { host, scheduler, started } = schedule({ training: { budgetMinutes: 30 } });
    await scheduler.start({ resume: false });
    await started();
    expect(host.training().params).toMatchObject({ preset: "auto", minutes: 3 });
  });

  test("shows its share by the clock, never backwards, and keeps the last held-out score", async () => {
    const { scheduler, states, started } = schedule();
    await scheduler.start({ resume: false });
    await started();
    scheduler.onProgress(point({ heldoutBpb: 3 }));
    expect(states.at(-1)).toMatchObject({ kind: "training", percent: 50, heldoutBpb: 3 });
    scheduler.onProgress(point({ secondsLeft: 90 }));
    expect(states.at(-1)).toMatchObject({ kind: "training", percent: 50, heldoutBpb: 3 });
    scheduler.onProgress(point({ phase: "evaluating", secondsLeft: 0 }));
    expect(states.at(-1)).toMatchObject({ kind: "training", percent: 100 });
  });

  test("is remembered while it runs and forgotten when it is done", async () => {
    const { host, scheduler, settled, started, until } = schedule();
    await scheduler.start({ resume: false });
    await started();
    expect(JSON.parse(await memo())).toEqual({ status: "running" });
    host.training().resolve(DONE);
    await until("the end", () => settled.length === 1);
    expect(settled).toEqual([DONE]);
    expect(await memo()).toBe("none");
  });

  test("that fails says why and is not started again by itself", async () => {
    const { host, scheduler, states, started, until } = schedule();
    await scheduler.start({ resume: false });
    await started();
    host.training().reject(new NarrowError("NG_DISK_FULL", "the disk is full", "make room"));
    await until("an error", () => states.at(-1)?.kind === "error");
    expect(states.at(-1)).toMatchObject({ code: "NG_DISK_FULL", hint: "make room" });
    expect(await memo()).toBe("none");
    expect(scheduler.running).toBe(false);
  });

  test("that demands a GPU where there is none shows that state", async () => {
    const { host, scheduler, states, started, until } = schedule({ device: { backend: "gpu" } });
    await scheduler.start({ resume: false });
    await started();
    host.training().reject(new NarrowError("NG_NO_ADAPTER", "this machine offers no GPU adapter"));
    await until("no GPU", () => states.at(-1)?.kind === "noGpu");
  });
});

describe("pausing", () => {
  test("before the first step holds the run there", async () => {
    const { host, scheduler, states, started } = schedule();
    await scheduler.start({ resume: false });
    await scheduler.pause();
    await started();
    await sleep(20);
    expect(host.methods()).toContain("pause");
    expect(states.at(-1)).toMatchObject({ kind: "paused", why: "you asked" });
    expect(JSON.parse(await memo())).toEqual({ status: "paused" });
  });

  test("for keys happens on the CPU, once, and ends when they rest", async () => {
    const { host, scheduler, states, started, until } = schedule();
    await scheduler.start({ resume: false });
    await started();
    scheduler.onProgress(point({}));
    for (let key = 0; key < 5; key++) {
      scheduler.typed();
      await sleep(10);
    }
    expect(host.methods().filter((method) => method === "pause")).toHaveLength(1);
    expect(states.at(-1)).toMatchObject({ kind: "paused", why: "you are typing" });
    await until("going on", () => host.methods().includes("resume"));
    expect(states.at(-1)).toMatchObject({ kind: "training" });
  });

  test("for keys does not happen on a GPU", async () => {
    const { host, scheduler, started } = schedule();
    await scheduler.start({ resume: false });
    await started();
    scheduler.onProgress(point({ device: "Some GPU" }));
    scheduler.typed();
    await sleep(30);
    expect(host.methods()).not.toContain("pause");
  });

  test("by the person outlasts the keys", async () => {
    const { host, scheduler, states, started } = schedule();
    await scheduler.start({ resume: false });
    await started();
    scheduler.onProgress(point({}));
    scheduler.typed();
    await scheduler.pause();
    await sleep(120);
    expect(states.at(-1)).toMatchObject({ kind: "paused", why: "you asked" });
    expect(host.methods().at(-1)).toBe("pause");
  });
});

describe("a host that dies", () => {
  const death = () => new HostExitError("NG_HOST_EXIT", "the model host stopped (signal SIGKILL)");

  test("is asked again, to resume, once it has started", async () => {
    const { host, scheduler, states, settled, started, until } = schedule();
    await scheduler.start({ resume: false });
    await started();
    scheduler.onHostCrash({ error: death(), givenUp: false });
    host.training().reject(death());
    await until("recovery", () => states.at(-1)?.kind === "recovering");
    expect(host.asked.filter((one) => one.method === "train")).toHaveLength(1);
    scheduler.onHostStarted();
    await until("again", () => host.asked.filter((one) => one.method === "train").length === 2);
    expect(host.training().params).toMatchObject({ resume: true });
    host.training().resolve(DONE);
    await until("the end", () => settled.length === 1);
  });

  test("in safe mode trains on the CPU", async () => {
    const { host, scheduler, started, until } = schedule();
    await scheduler.start({ resume: false });
    await started();
    host.safeMode = true;
    host.training().reject(death());
    await sleep(10);
    scheduler.onHostStarted();
    await until("again", () => host.asked.filter((one) => one.method === "train").length === 2);
    expect(host.training().params).toMatchObject({ device: "cpu" });
  });

  test("for good ends the run with the reason", async () => {
    const { host, scheduler, states, started, until } = schedule();
    await scheduler.start({ resume: false });
    await started();
    scheduler.onHostCrash({ error: death(), givenUp: true });
    host.training().reject(death());
    await until("an error", () => states.at(-1)?.kind === "error");
    expect(scheduler.running).toBe(false);
    expect(await scheduler.start({ resume: true })).toEqual({ outcome: "started" });
    expect(host.forgiven).toBe(2);
  });
});

describe("closing the editor", () => {
  test("lets the host save, and remembers the run for the next session", async () => {
    const { host, scheduler, started } = schedule();
    await scheduler.start({ resume: false });
    await started();
    scheduler.onProgress(point({}));
    await scheduler.dispose();
    expect(host.methods().at(-1)).toBe("stopTraining");
    expect(await scheduler.unfinished()).toBe("running");
  });

  test("while paused remembers that", async () => {
    const { scheduler, started } = schedule();
    await scheduler.start({ resume: false });
    await started();
    await scheduler.pause();
    await scheduler.dispose();
    expect(await scheduler.unfinished()).toBe("paused");
  });
});
