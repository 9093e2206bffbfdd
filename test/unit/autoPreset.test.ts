import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  AUTO_SECONDS,
  batchFor,
  chooseAuto,
  costPerByte,
  PAYING_EPOCHS,
  type AutoFigures,
} from "../../model/autoPreset.ts";
import { PRESETS } from "../../model/config.ts";
import type { Device } from "../../model/device.ts";
import { readSpeeds, writeSpeeds } from "../../model/probe.ts";

const ORDER = ["nano", "small", "base"] as const;
const figures = (o: Partial<AutoFigures>): AutoFigures => ({
  workspaceBytes: 5.8e6,
  seconds: 150,
  measured: { small: 1.4e6 },
  scoredBytes: 160e3,
  ...o,
});

const anyFigures = fc.record({
  workspaceBytes: fc.integer({ min: 30, max: 60e6 }),
  seconds: fc.double({ min: 2, max: 1800, noNaN: true }),
  scoredBytes: fc.integer({ min: 0, max: 160e3 }),
  speed: fc.double({ min: 200, max: 2e7, noNaN: true }),
  probed: fc.constantFrom(...ORDER),
});

describe("preset auto", () => {
  test("takes nano on two CPU cores, with a run that fits", () => {
    const c = chooseAuto(
      figures({ measured: { nano: 2600 }, scoredBytes: 30e3, seconds: AUTO_SECONDS - 20 }),
    );
    expect(c.preset).toBe("nano");
    expect(c.bytes / 2600).toBeLessThanOrEqual(AUTO_SECONDS - 20);
    expect(c.bytes).toBeGreaterThan(300e3);
    expect(c.bytes / (c.batch * PRESETS.nano.context)).toBeGreaterThan(300);
    expect(c.warmupSteps).toBeLessThanOrEqual(40);
    expect(c.why.join()).toContain("not small");
  });

  test("takes the epochs that pay, and no more, where the device is fast", () => {
    const c = chooseAuto(figures({}));
    expect(c.preset).toBe("small");
    expect(c.bytes).toBeCloseTo(5.8e6 * PAYING_EPOCHS);
    expect(c.batch).toBe(16);
  });

  test("takes smaller steps where the workspace is small", () => {
    const c = chooseAuto(figures({ workspaceBytes: 0.51e6 }));
    expect(c.preset).toBe("small");
    expect(c.bytes).toBeCloseTo(0.51e6 * PAYING_EPOCHS);
    expect(c.batch).toBeLessThan(16);
  });

  test("lets weights decay faster where it goes over a small workspace often", () => {
    const decay = (o: Partial<AutoFigures>): number => chooseAuto(figures(o)).weightDecay;
    const { weightDecay } = PRESETS.small;
    expect(decay({ workspaceBytes: 0.51e6 })).toBeGreaterThan(weightDecay);
    expect(decay({ workspaceBytes: 0.51e6, bytes: 1.5e6 })).toBe(weightDecay);
    expect(decay({ workspaceBytes: 2e6 })).toBe(weightDecay);
    expect(decay({ workspaceBytes: 0.51e6, measured: { nano: 2600 } })).toBe(weightDecay);
  });

  test("takes nano for a workspace of a few kilobytes, and trains at least one step", () => {
    const c = chooseAuto(figures({ workspaceBytes: 300 }));
    expect(c).toMatchObject({ preset: "nano", batch: 1 });
    expect(c.bytes).toBeGreaterThan(0);
  });

  test("takes the bytes that were asked for", () => {
    expect(chooseAuto(figures({ bytes: 13e6 })).bytes).toBe(13e6);
  });

  test("ends in time, says why, and is a function of its figures", () => {
    fc.assert(
      fc.property(anyFigures, ({ speed, probed, ...f }) => {
        const all = { ...f, measured: { [probed]: speed } };
        const c = chooseAuto(all);
        expect(c.bytes / c.bytesPerSecond).toBeLessThanOrEqual(f.seconds * 1.000001 + 1);
        expect(c.bytes).toBeLessThanOrEqual(Math.max(1, f.workspaceBytes * PAYING_EPOCHS));
        expect(c.seconds).toBeLessThanOrEqual(f.seconds);
        expect(Number.isInteger(c.batch) && c.batch >= 1).toBe(true);
        expect(Number.isInteger(c.warmupSteps) && c.warmupSteps >= 1).toBe(true);
        expect(c.why.length).toBeGreaterThan(1);
        expect(chooseAuto(all)).toEqual(c);
      }),
    );
  });

  test("never takes a smaller model on a faster device or with more time", () => {
    fc.assert(
      fc.property(
        anyFigures,
        fc.double({ min: 1, max: 50, noNaN: true }),
        ({ speed, probed, ...f }, more) => {
          const rank = (o: Partial<AutoFigures>, v: number): number =>
            ORDER.indexOf(chooseAuto({ ...f, measured: { [probed]: v }, ...o }).preset);
          expect(rank({}, speed * more)).toBeGreaterThanOrEqual(rank({}, speed));
          expect(rank({ seconds: f.seconds * more }, speed)).toBeGreaterThanOrEqual(
            rank({}, speed),
          );
        },
      ),
    );
  });

  test("believes a measured size over an estimate", () => {
    const estimated = chooseAuto(figures({ workspaceBytes: 50e6 }));
    expect(estimated.preset).toBe("small");
    const slow = chooseAuto(figures({ workspaceBytes: 50e6, measured: { small: 1e4, nano: 2e6 } }));
    expect(slow).toMatchObject({ preset: "nano", bytesPerSecond: 2e6 });
  });

  test("knows that a larger size costs more per byte", () => {
    const costs = ORDER.map((preset) => costPerByte(PRESETS[preset]));
    expect(costs).toEqual(costs.toSorted((a, b) => a - b));
    expect(batchFor(1e9, PRESETS.small)).toBe(PRESETS.small.batch);
  });
});

describe("speeds of earlier runs", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "narrowgauge-speed-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const device = (name: string): Device => ({ name }) as Device;

  test("are kept by device and size", () => {
    writeSpeeds(dir, device("A"), { nano: 2000 });
    writeSpeeds(dir, device("A"), { small: 500 });
    expect(readSpeeds(dir, device("A"))).toEqual({ nano: 2000, small: 500 });
    expect(readSpeeds(dir, device("B"))).toEqual({});
  });

  test("that are damaged or absent are measured anew", () => {
    expect(readSpeeds(dir, device("A"))).toEqual({});
    writeFileSync(join(dir, "speed.json"), '{"device":"A","bytesPerSecond":{"nano":-1}}');
    expect(readSpeeds(dir, device("A"))).toEqual({});
  });
});
