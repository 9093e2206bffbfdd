/**
 * Consolidation: a trained model learns what changed since, in a few steps at a low rate. Changed files are chosen by
 * the surprise of their new lines (bits per byte under the model as it is), half of every step is other files, and the
 * result takes the model's place only if held-out files that did not change are predicted no worse, and new lines that
 * were held back of the changed files better: than before, and than after as many steps on older files alone, for any
 * further step improves a model that was not trained to its end. The version before is kept.
 * Source: rehearsal against forgetting (Robins 1995); replay by surprise after prioritized replay (arXiv 1511.05952 §3).
 */
import { changedText, type ChangedText } from "./changedText.ts";
import type { CorpusFile } from "./bytes.ts";
import { readManifest, readModelFile, saveModel, type Manifest } from "./checkpoint.ts";
import { ConsolidationRun, type ConsolidationProgress, type Replay } from "./consolidationRun.ts";
import type { Device, DeviceChoice } from "./device.ts";
import { CheckpointError, CorpusError } from "./errors.ts";
import { pairedDifference, type Difference } from "./heldout.ts";
import { silentLogger, type Logger } from "./logger.ts";
import { decodeMemory, encodeMemory } from "./memory/memoryFile.ts";
import { openDevice } from "./openDevice.ts";
import { keepVersion } from "./promote.ts";
import { encodeSafetensors } from "./safetensors.ts";

export interface ConsolidateOptions {
  /** The model's folder. */
  readonly dir: string;
  /** The workspace as it is now. */
  readonly files: readonly CorpusFile[];
  /** Paths that changed since the model learned; by default those that its memory holds otherwise, or not at all. */
  readonly changed?: ReadonlySet<string>;
  readonly device: DeviceChoice;
  readonly seed: number;
  /** Of the training rates; default 0.3. */
  readonly rate?: number;
  /** With fewer new bytes than this, in files to learn from, nothing is done; default 0. */
  readonly worthBytes?: number;
  readonly onProgress?: (p: ConsolidationProgress) => void;
  readonly control?: { paused: boolean };
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  readonly on?: { device: Device; reason: string };
}

export interface Consolidation {
  readonly outcome: "accepted" | "refused" | "nothing" | "aborted";
  /** Files that were replayed, the most surprising first, with the bits per byte of their new lines before. */
  readonly replayed: readonly { readonly path: string; readonly bpb: number }[];
  readonly steps: number;
  /** Held-out bits per byte of the network, before and after; null where nothing was measured. */
  readonly before: number | null;
  readonly after: number | null;
  /** The same of the new lines that were held back of the replayed files. */
  readonly changedBefore: number | null;
  readonly changedAfter: number | null;
  /** And after as many steps on older files alone. */
  readonly changedControl: number | null;
}

/** What one way of replaying did, from one and the same model. */
export interface ReplayComparison {
  readonly replay: Replay;
  readonly heldout: Difference;
  readonly changed: Difference;
  /** The lines held back, against the replay of older files alone. */
  readonly learned: Difference;
}

export interface ConsolidationControl {
  readonly replayed: Consolidation["replayed"];
  readonly steps: number;
  readonly comparisons: readonly ReplayComparison[];
}

const NOTHING = {
  replayed: [],
  steps: 0,
  before: null,
  after: null,
  changedBefore: null,
  changedAfter: null,
  changedControl: null,
} as const;

export async function consolidate(o: ConsolidateOptions): Promise<Consolidation> {
  const outcome = await onModel(o, async (run, parts) => {
    const before = await run.heldoutBits("measuring");
    const changedBefore = await run.changedBits();
    await run.replay("older");
    const control = await run.changedBits();
    const steps = await run.replay("changed");
    const heldout = pairedDifference(before, await run.heldoutBits("checking"));
    const bits = await run.changedBits();
    const changed = pairedDifference(changedBefore, bits);
    const learned = pairedDifference(control, bits);
    const accepted = isBetter({ heldout, changed, learned });
    o.signal?.throwIfAborted();
    if (accepted) await save(o, parts, { run, steps, heldout: heldout.after });
    (o.logger ?? silentLogger).info(
      `consolidation ${accepted ? "accepted" : "refused"} after ${steps} steps on ${run.replayed.length} changed files: ` +
        `held-out ${figures(heldout)}, held back of the changed files ${figures(changed)} ` +
        `(${learned.before.toFixed(4)} without them) bits per byte`,
    );
    return {
      outcome: accepted ? ("accepted" as const) : ("refused" as const),
      replayed: run.replayed,
      steps,
      before: heldout.before,
      after: heldout.after,
      changedBefore: changed.before,
      changedAfter: changed.after,
      changedControl: learned.before,
    };
  });
  return typeof outcome === "string" ? { outcome, ...NOTHING } : outcome;
}

/** Held-out files are predicted no worse, and the changed ones were learned, beyond the noise of what is measured. */
export function isBetter(o: Omit<ReplayComparison, "replay">): boolean {
  return (
    o.heldout.difference <= 0 && o.changed.difference < 0 && o.learned.difference < -o.learned.error
  );
}

/**
 * What the replay of changed files does, beside as many steps on older files alone: only what the first does and the
 * other does not was learned from the changed files. Saves nothing.
 */
export async function compareReplays(
  o: ConsolidateOptions,
): Promise<ConsolidationControl | "nothing" | "aborted"> {
  return onModel(o, async (run) => {
    const heldoutBefore = await run.heldoutBits("measuring");
    const changedBefore = await run.changedBits();
    const comparisons: ReplayComparison[] = [];
    let steps = 0;
    let control: Float32Array[] | undefined;
    for (const replay of ["older", "changed"] as const) {
      steps = await run.replay(replay);
      const heldout = pairedDifference(heldoutBefore, await run.heldoutBits("checking"));
      const bits = await run.changedBits();
      control ??= bits;
      comparisons.push({
        replay,
        heldout,
        changed: pairedDifference(changedBefore, bits),
        learned: pairedDifference(control, bits),
      });
    }
    return { replayed: run.replayed, steps, comparisons };
  });
}

interface ModelParts {
  readonly manifest: Manifest;
  /** What the model's memory holds of each file. */
  readonly remembered: ReadonlyMap<string, Uint8Array>;
  readonly memoryWeights: Uint8Array;
  readonly changed: readonly CorpusFile[];
}

/** Opens the model, chooses what is replayed and does something with it. */
async function onModel<T>(
  o: ConsolidateOptions,
  act: (run: ConsolidationRun, parts: ModelParts) => Promise<T>,
): Promise<T | "nothing" | "aborted"> {
  const manifest = readManifest(o.dir);
  const memory = readModelFile(o.dir, manifest, "memory.bin");
  if (memory === undefined || !manifest.finished) throw notResumable(o.dir, manifest);
  const { files: remembered, weights: memoryWeights } = decodeMemory(memory);
  const changed = o.files.filter(
    (f) => o.changed?.has(f.path) ?? !equal(remembered.get(f.path), f.bytes),
  );
  const paths = new Set(changed.map((f) => f.path));
  const heldoutPaths = new Set(manifest.saw.heldout);
  const older = o.files.filter((f) => !heldoutPaths.has(f.path) && !paths.has(f.path));
  const heldout = o.files.filter((f) => heldoutPaths.has(f.path) && !paths.has(f.path));
  const texts = changed
    .filter((f) => !heldoutPaths.has(f.path))
    .map((f, i) => changedText(f, remembered.get(f.path), o.seed + manifest.step + i))
    .filter((text) => text !== undefined);
  if (!worthIt(texts, o.worthBytes ?? 0) || older.length === 0) return "nothing";
  if (heldout.length === 0)
    throw new CorpusError(
      "NG_NO_HELDOUT",
      "every held-out file changed, so nothing can say whether the model became worse",
      "train anew",
    );
  const optimizer = readModelFile(o.dir, manifest, "optimizer.safetensors");
  if (optimizer === undefined) throw notResumable(o.dir, manifest);
  const { device } =
    o.on ?? (await openDevice(o.device, o.logger === undefined ? {} : { logger: o.logger }));
  const run = await ConsolidationRun.create(o, { device, manifest, heldout, older, optimizer });
  try {
    if (!(await run.choose(texts))) return "nothing";
    return await act(run, { manifest, remembered, memoryWeights, changed });
  } catch (error) {
    // Whatever a run that nobody wants any more fails with.
    if (o.signal?.aborted === true) return "aborted";
    throw error;
  } finally {
    await run.dispose();
    if (o.on === undefined) await device.dispose();
  }
}

const notResumable = (dir: string, manifest: Manifest): CheckpointError =>
  new CheckpointError(
    "NG_NOT_RESUMABLE",
    `the model in ${dir} cannot go on learning: it ${manifest.finished ? "holds no optimizer state or no memory" : "is not finished"}`,
    "train a model first",
  );

/** Enough is new, and some of it can be held back. */
function worthIt(texts: readonly ChangedText[], bytes: number): boolean {
  const fresh = texts.reduce((sum, text) => sum + text.freshBytes, 0);
  return fresh >= bytes && texts.some((text) => text.heldBack !== undefined);
}

/** The model takes the place of the one before, which is kept; the memory takes over all changed files. */
async function save(
  o: ConsolidateOptions,
  { manifest, remembered, memoryWeights, changed }: ModelParts,
  done: { readonly run: ConsolidationRun; readonly steps: number; readonly heldout: number },
): Promise<void> {
  const { steps, run } = done;
  const { format: _f, version: _v, createdAt: _c, files: _files, ...fields } = manifest;
  // What is no longer in the workspace is forgotten.
  const now = new Set(o.files.map((f) => f.path));
  const files = new Map([
    ...[...remembered].filter(([path]) => now.has(path)),
    ...changed.map((f) => [f.path, f.bytes] as const),
  ]);
  const contents = {
    "weights.safetensors": encodeSafetensors(await run.trainer.averaged()),
    "optimizer.safetensors": encodeSafetensors(await run.trainer.state()),
    "memory.bin": encodeMemory({ files, weights: memoryWeights }),
  };
  o.signal?.throwIfAborted();
  keepVersion(o.dir);
  saveModel(
    o.dir,
    {
      ...fields,
      step: manifest.step + steps,
      steps: manifest.steps + steps,
      bytesSeen: manifest.bytesSeen + steps * manifest.config.batch * manifest.config.context,
      heldout: { ...manifest.heldout, network: done.heldout },
    },
    contents,
  );
}

const figures = (o: Difference): string => `${o.before.toFixed(4)} → ${o.after.toFixed(4)}`;

const equal = (a: Uint8Array | undefined, b: Uint8Array): boolean =>
  a !== undefined && Buffer.compare(a, b) === 0;
