/**
 * The curves of a training that this process did not see from its start: read back from the figures that the host
 * keeps beside the model, one JSON object a line. A line that cannot be read is passed over.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TrainingPoint } from "./protocol.ts";

const METRICS = "metrics.jsonl";
/** Where the host keeps a training that is not finished, inside the model's folder. */
const CANDIDATE = "candidate";
const MAX_POINTS = 4000;

/** Figures of the run at work, or of the model in use when none is. */
export async function readHistory(
  directory: string,
  run: "running" | "finished",
): Promise<TrainingPoint[]> {
  const folder = run === "running" ? join(directory, CANDIDATE) : directory;
  let text: string;
  try {
    text = await readFile(join(folder, METRICS), "utf8");
  } catch {
    return [];
  }
  const lines = text.split("\n");
  const every = Math.ceil(lines.length / MAX_POINTS);
  return lines
    .filter((line, index) => line !== "" && index % every === 0)
    .map(pointOf)
    .filter((point) => point !== undefined);
}

/** What was before the first point known here, then what is known here. */
export function joinHistory(
  before: readonly TrainingPoint[],
  seen: readonly TrainingPoint[],
): TrainingPoint[] {
  const first = seen[0]?.step ?? Number.POSITIVE_INFINITY;
  return [...before.filter((point) => point.step < first), ...seen];
}

function pointOf(line: string): TrainingPoint | undefined {
  let read: Readonly<Record<string, unknown>>;
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null) return undefined;
    read = value as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
  const figure = (name: string): number | null => {
    const value = read[name];
    return typeof value === "number" && Number.isFinite(value) ? value : null;
  };
  const step = figure("step");
  const seconds = figure("seconds");
  if (step === null || seconds === null) return undefined;
  return {
    phase: "training",
    step,
    steps: step,
    bytes: figure("bytes") ?? 0,
    totalBytes: 0,
    seconds,
    secondsLeft: 0,
    loss: figure("loss"),
    heldoutBpb: figure("heldoutBpb"),
    bytesPerSecond: 0,
    device: "",
  };
}
