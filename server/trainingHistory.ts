/**
 * The curves of a training that this process did not see from its start: read back from the figures that the host
 * keeps beside the model, one JSON object a line. A line that cannot be read is passed over.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { CONSOLIDATIONS } from "../model/protocol.ts";
import type { ConsolidationReport, TrainingPoint } from "./protocol.ts";

const METRICS = "metrics.jsonl";
/** Where the host keeps a training that is not finished, inside the model's folder. */
const CANDIDATE = "candidate";
const MAX_POINTS = 4000;
const MAX_CONSOLIDATIONS = 20;

const figure = z.number().nullable();
const reportSchema = z.object({
  outcome: z.enum(["accepted", "refused", "nothing", "aborted", "restored"]),
  at: z.string(),
  files: z.number(),
  steps: z.number(),
  seconds: z.number(),
  heldoutBefore: figure,
  heldoutAfter: figure,
  changedBefore: figure,
  changedAfter: figure,
  changedControl: figure,
});

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

/** The last consolidations of a model's folder, oldest first. */
export async function readConsolidations(directory: string): Promise<ConsolidationReport[]> {
  const text = await readFile(join(directory, CONSOLIDATIONS), "utf8").catch(() => "");
  return text
    .split("\n")
    .map((line) => reportSchema.safeParse(jsonOf(line)).data)
    .filter((report) => report !== undefined)
    .slice(-MAX_CONSOLIDATIONS);
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
  const value = jsonOf(line);
  if (typeof value !== "object" || value === null) return undefined;
  const read = value as Readonly<Record<string, unknown>>;
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

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
