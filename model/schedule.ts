/**
 * The learning-rate factor and the batch as functions of the share of the run that is done, not of steps: a slow
 * device that is cut off by the clock still cools down. Warm-up, flat, down to a floor. Source: byte-models.md §4.1;
 * forms of cooling down: arXiv 2405.18392 §3.
 */
import type { ModelConfig } from "./config.ts";

const FLOOR = 0.02;

type Cooling = Pick<ModelConfig, "warmupSteps" | "cooldownFrom" | "cooldown">;

export function learningRateFactor(o: { step: number; done: number }, c: Cooling): number {
  const warm = c.warmupSteps === 0 ? 1 : Math.min(1, (o.step + 1) / c.warmupSteps);
  if (o.done < c.cooldownFrom) return warm;
  const left = c.cooldownFrom >= 1 ? 1 : Math.max(0, (1 - o.done) / (1 - c.cooldownFrom));
  return warm * Math.max(FLOOR, cooled(left, c.cooldown));
}

/** 1 at the beginning of the cool-down (left = 1), 0 at its end. */
function cooled(left: number, kind: ModelConfig["cooldown"]): number {
  if (kind === "cosine") return (1 - Math.cos(Math.PI * left)) / 2;
  if (kind === "sqrt") return 1 - Math.sqrt(1 - left);
  return left;
}

type Ramp = Pick<ModelConfig, "batch" | "batchStart" | "batchRampUntil">;

/** Batches that a run takes, rising: `batchStart`, its doubles, `batch`. */
export function batchSizes(c: Ramp): number[] {
  const sizes: number[] = [];
  if (c.batchStart > 0) for (let b = c.batchStart; b < c.batch; b *= 2) sizes.push(b);
  return [...sizes, c.batch];
}

/** Windows of the next step: every size below `batch` gets an equal share of the ramp. */
export function batchAt(done: number, c: Ramp): number {
  const sizes = batchSizes(c);
  const rising = sizes.length - 1;
  if (rising === 0 || done >= c.batchRampUntil) return c.batch;
  return sizes[Math.min(rising, Math.floor((done / c.batchRampUntil) * rising))]!;
}

/** Steps that a run of so many bytes takes. */
export function stepsFor(bytes: number, c: Ramp & Pick<ModelConfig, "context">): number {
  let steps = 0;
  for (let seen = 0; seen < bytes; steps++) seen += batchAt(seen / bytes, c) * c.context;
  return steps;
}
