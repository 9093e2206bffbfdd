/** Every model state has a text, an action that exists and words to be read aloud. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { duration, renderState, size } from "../../extension/stateText.ts";
import type { DeviceSummary, ModelState } from "../../server/protocol.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const cpu: DeviceSummary = {
  kind: "cpu",
  name: "CPU, 8 threads",
  reason: "no GPU",
  safeMode: false,
};
const gpu: DeviceSummary = { kind: "gpu", name: "Some GPU", reason: "found", safeMode: false };

const states: readonly ModelState[] = [
  { kind: "starting" },
  { kind: "notTrained", reason: "no model of this workspace yet" },
  { kind: "preparing", phase: "reading files" },
  {
    kind: "training",
    percent: 42,
    secondsLeft: 130,
    device: gpu,
    heldoutBpb: 2.345,
    answers: true,
  },
  { kind: "paused", work: "training", why: "you asked", percent: 42, device: cpu },
  { kind: "recovering", message: "the model host stopped (signal SIGKILL)", resumesTraining: true },
  { kind: "ready", device: gpu, model: { params: 2_100_000, heldoutBpb: 2.1, preset: "nano" } },
  { kind: "noGpu", reason: "no GPU was found" },
  { kind: "error", code: "NG_X", message: "the disk is full", hint: "make room" },
  { kind: "consolidating", percent: 12, device: cpu },
  { kind: "paused", work: "consolidation", why: "you asked", percent: 12, device: gpu },
];

describe("the status text", () => {
  test.each(states.map((state) => [state.kind, state] as const))(
    "of %s is complete",
    (_, state) => {
      const shown = renderState(state);
      expect(shown.text).toMatch(/^\$\([a-z~-]+\) Narrowgauge/);
      expect(shown.spoken).not.toContain("$(");
      expect(shown.tooltip.length).toBeGreaterThan(0);
      const source = readFileSync(join(root, "extension", "commands.ts"), "utf8");
      expect(source).toContain(`"${shown.command}"`);
    },
  );

  test("says how far, why and on what", () => {
    const [training, paused, ready] = [states[3]!, states[4]!, states[6]!].map(renderState);
    expect(training!.text).toContain("training 42 %");
    expect(training!.tooltip.join("\n")).toContain("2.345 bits per byte");
    expect(paused!.text).toContain("paused: you asked");
    expect(paused!.command).toBe("narrowgauge.resumeTraining");
    const [learning, held] = [states[9]!, states[10]!].map(renderState);
    expect(learning!.text).toContain("learning changes 12 %");
    expect(learning!.tooltip.join("\n")).toContain("as soon as you type");
    expect(held!.tooltip.join("\n")).toContain("Learning changed files is paused");
    expect(ready!.text).toBe("$(check) Narrowgauge: ready");
    expect(ready!.tooltip.join("\n")).toContain("Some GPU");
  });

  test("says so when there is no GPU or the engine is in safe mode", () => {
    const model = { params: 1, heldoutBpb: null, preset: "nano" };
    expect(renderState({ kind: "ready", device: cpu, model }).text).toContain("(CPU)");
    expect(
      renderState({ kind: "ready", device: { ...cpu, safeMode: true }, model }).tooltip.join(" "),
    ).toContain("Safe mode");
  });
});

describe("figures", () => {
  test("are short", () => {
    expect([size(12), size(12_345), size(12_345_678)]).toEqual(["12 bytes", "12.3 kB", "12.3 MB"]);
    expect([duration(12), duration(600), duration(7200), duration(Number.NaN)]).toEqual([
      "12 s",
      "10 min",
      "2.0 h",
      "an unknown time",
    ]);
  });
});
