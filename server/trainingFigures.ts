/** What the figures of a training say to a person: how far it is, on what, for how long. */
import { AUTO_SECONDS } from "../model/index.ts";
import type { DeviceSummary, TrainingPoint } from "./protocol.ts";
import type { Settings } from "./settings.ts";

/** A preset that is chosen by itself does not make anybody wait. */
export function minutesOf(settings: Settings): number {
  const budget = settings["training.budgetMinutes"];
  return settings["model.preset"] === "auto" ? Math.min(AUTO_SECONDS / 60, budget) : budget;
}

export const NOT_STARTED: DeviceSummary = {
  kind: "cpu",
  name: "not started",
  reason: "",
  safeMode: false,
};

/** Before the first step. Saving and evaluating in between are part of training. */
export function isPreparing(point: TrainingPoint | undefined): boolean {
  return point === undefined || point.phase === "facts" || point.phase === "indexing";
}

/** The host names its device in one line; the CPU twin says so first. */
export function deviceFromLabel(label: string, safeMode: boolean): DeviceSummary {
  const kind = /^cpu\b/i.test(label) ? "cpu" : "gpu";
  return { kind, name: label, reason: safeMode ? "after repeated crashes" : "", safeMode };
}

/** The host's own estimate of time says more than bytes: a run may be bounded by either. */
export function percentOf(point: TrainingPoint): number {
  if (point.phase === "evaluating") return 100;
  const share =
    point.secondsLeft > 0
      ? point.seconds / (point.seconds + point.secondsLeft)
      : point.bytes / Math.max(1, point.totalBytes);
  return Math.max(0, Math.min(100, Math.floor(share * 100)));
}
