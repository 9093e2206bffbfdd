/**
 * `preset auto`: which size, batch and how many bytes, from what the workspace holds, what this device was measured to
 * do and how long the run may take. A pure function of these figures, and it says why. The rules come from measured runs
 * (LOG.md): six to seven epochs pay, small steps learn more from the same bytes, and a large model that cannot see its
 * epochs in time loses to a smaller one that can.
 */
import { PRESETS, type ModelConfig, type Preset } from "./config.ts";

/** How long the whole run takes where nothing else is asked for. */
export const AUTO_SECONDS = 180;
/** More passes over the same bytes were not worth their time. */
export const PAYING_EPOCHS = 6.8;
/** Below this share of the paying bytes a smaller model is taken. */
const WORTH_SHARE = 0.5;
/** Bytes that a size needs to be worth its time, whatever the workspace. */
const LEAST_BYTES: Readonly<Record<Preset, number>> = { nano: 0, small: 1e6, base: 1e8 };
/** A run of fewer steps than this takes smaller ones: 468 kB of `nano` end at 3.09 bpb in steps of 4 kB, 2.33 of 512 bytes. */
const GOOD_STEPS = 700;
/** Many passes over a small workspace overfit: there weights decay faster. Held-out bpb of `small` at 0.3 against 0.1:
 *  httpx (0.5 MB) −3.5 %, gin (0.7) −0.1, fmt (1.0) −1.1; ripgrep (1.9) +1.2, excalidraw (6, fewer passes) +1.3. */
const SMALL_WORKSPACE = { bytes: 1.2e6, passes: 4, weightDecay: 0.3 } as const;
/** Warm-up in its share of a short run. */
const WARMUP_SHARE = 0.08;
/** A score reads so many bytes per second besides the network's work. */
const SCORE_RATE = 40e3;
/** Overlapping windows, forward only: what scoring a byte costs of training on one. */
const SCORE_COST = 1.4;
/** Training gets at least this share of the time, whatever came before. */
const LEAST_SHARE = 0.4;

export interface AutoFigures {
  /** Bytes that the workspace gives to learn from. */
  readonly workspaceBytes: number;
  /** For training steps and the score afterwards. */
  readonly seconds: number;
  /** Bytes per second that training was measured at, for one size or more. */
  readonly measured: Readonly<Partial<Record<Preset, number>>>;
  /** Bytes of held-out files that are scored at the end. */
  readonly scoredBytes: number;
  /** Bytes that were asked for, in place of what pays. */
  readonly bytes?: number;
}

export interface AutoChoice {
  readonly preset: Preset;
  readonly batch: number;
  readonly warmupSteps: number;
  readonly weightDecay: number;
  /** Training ends at these bytes or at these seconds, whichever comes first. */
  readonly bytes: number;
  readonly seconds: number;
  readonly bytesPerSecond: number;
  /** Plain sentences. */
  readonly why: readonly string[];
}

/** Multiply-adds per byte of one forward pass, roughly: a block has 12 C² weights; the trunk runs once per patch. */
export function costPerByte(c: ModelConfig): number {
  const block = (channels: number): number => 12 * channels ** 2;
  const perPatch = c.patching === "flat" ? 1 : c.stride;
  return (
    (c.encoderLayers + c.decoderLayers) * block(c.localChannels) +
    (c.trunkLayers * block(c.trunkChannels)) / perPatch
  );
}

/** Bytes per second of a size: measured, or by its cost from the size nearest to it. */
function speedOf(preset: Preset, measured: AutoFigures["measured"]): number {
  const own = measured[preset];
  if (own !== undefined) return own;
  const cost = costPerByte(PRESETS[preset]);
  let nearest = { distance: Infinity, speed: 0 };
  for (const [other, speed] of Object.entries(measured)) {
    const ratio = costPerByte(PRESETS[other as Preset]) / cost;
    const distance = Math.abs(Math.log(ratio));
    if (distance < nearest.distance) nearest = { distance, speed: speed * ratio };
  }
  return nearest.speed;
}

/** Seconds that are left for steps when the score has had its share. */
function trainingSeconds(f: AutoFigures, speed: number): number {
  const score = (f.scoredBytes * SCORE_COST) / speed + f.scoredBytes / SCORE_RATE;
  return Math.max(f.seconds * LEAST_SHARE, f.seconds - score);
}

/** Windows per step: halved until the run has enough steps to learn in. */
export function batchFor(bytes: number, c: Pick<ModelConfig, "batch" | "context">): number {
  let batch = c.batch;
  while (batch > 1 && bytes / (batch * c.context) < GOOD_STEPS) batch = Math.ceil(batch / 2);
  return batch;
}

/** Windows per step and steps of warm-up for a run of so many bytes. */
export function stepsOf(
  bytes: number,
  c: Pick<ModelConfig, "batch" | "context">,
): Pick<ModelConfig, "batch" | "warmupSteps"> {
  const batch = batchFor(bytes, c);
  const steps = bytes / (batch * c.context);
  return { batch, warmupSteps: Math.max(1, Math.min(40, Math.round(steps * WARMUP_SHARE))) };
}

function size(bytes: number): string {
  if (bytes < 1e3) return `${Math.round(bytes)} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function chooseAuto(f: AutoFigures): AutoChoice {
  const pays = f.bytes ?? f.workspaceBytes * PAYING_EPOCHS;
  const why: string[] = [];
  let preset: Preset = "nano";
  for (const candidate of ["base", "small"] as const) {
    const speed = speedOf(candidate, f.measured);
    const possible = Math.min(pays, speed * trainingSeconds(f, speed));
    const rate = `${size(speed)}/s${f.measured[candidate] === undefined ? " (estimated)" : ""}`;
    if (pays < LEAST_BYTES[candidate])
      why.push(`not ${candidate}: it needs ${size(LEAST_BYTES[candidate])} of training`);
    else if (possible < pays * WORTH_SHARE || possible < LEAST_BYTES[candidate])
      why.push(`not ${candidate}: at ${rate} only ${size(possible)} fit into the time`);
    else {
      preset = candidate;
      break;
    }
  }
  const bytesPerSecond = speedOf(preset, f.measured);
  const seconds = trainingSeconds(f, bytesPerSecond);
  const bytes = Math.max(1, Math.min(pays, f.bytes ?? bytesPerSecond * seconds));
  const { batch, warmupSteps } = stepsOf(bytes, PRESETS[preset]);
  why.unshift(
    `${preset} at ${size(bytesPerSecond)}/s, ${size(bytes)} of training in steps of ${size(batch * PRESETS[preset].context)}`,
  );
  const epochs = bytes / Math.max(1, f.workspaceBytes);
  const overfits =
    preset !== "nano" &&
    f.workspaceBytes < SMALL_WORKSPACE.bytes &&
    epochs >= SMALL_WORKSPACE.passes;
  const { weightDecay } = overfits ? SMALL_WORKSPACE : PRESETS[preset];
  why.push(
    bytes < pays
      ? `${Math.round(seconds)} s of training are ${epochs.toFixed(2)} passes over ${size(f.workspaceBytes)}`
      : f.bytes !== undefined
        ? `${size(bytes)} were asked for`
        : `more than ${epochs.toFixed(1)} passes over ${size(f.workspaceBytes)} were not worth their time`,
  );
  return { preset, batch, warmupSteps, weightDecay, bytes, seconds, bytesPerSecond, why };
}
