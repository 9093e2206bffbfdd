import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../model/errors.ts";
import { HeldoutCurve, Look, LossWatch } from "../../model/trainingWatch.ts";

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

describe("the curve of held-out files", () => {
  const file = { path: "a.ts", bytes: new Uint8Array(4) };
  const score = () =>
    Promise.resolve({ bits: new Float32Array([1, 2, 3, 2]) } as Awaited<
      ReturnType<ConstructorParameters<typeof HeldoutCurve>[0]["score"]>
    >);

  test("is not due before its kernels are there, and then says what the network does", async () => {
    let compiled: () => void = () => undefined;
    const prepareScoring = () => new Promise<void>((resolve) => (compiled = resolve));
    const curve = new HeldoutCurve({ prepareScoring, score }, [file], 0.1);
    expect(curve.due).toBe(false);
    compiled();
    await curve.compiled;
    expect(curve.due).toBe(true);
    expect(await curve.measure()).toBe(2);
  });

  test("waits until what a point took is its share of the time", async () => {
    const slow = () => new Promise<void>((resolve) => setTimeout(resolve, 30)).then(score);
    const ready = () => Promise.resolve();
    const curve = new HeldoutCurve({ prepareScoring: ready, score: slow }, [file], 0.2);
    await curve.compiled;
    await curve.measure();
    const from = performance.now();
    while (!curve.due) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(performance.now() - from).toBeGreaterThan(120);
  });

  test("is never due without files, and throws when asked where compiling has failed", async () => {
    const fails = () => Promise.reject(new Error("no such kernel"));
    const none = new HeldoutCurve({ prepareScoring: fails, score }, [], 0.1);
    await none.compiled;
    expect(none.due).toBe(false);
    const broken = new HeldoutCurve({ prepareScoring: fails, score }, [file], 0.1);
    await broken.compiled;
    expect(() => broken.due).toThrow("no such kernel");
  });
});
