/** Builds a workspace's memory while the network trains: neither needs the other before the end. In a thread of its
 *  own where the bundled worker stands beside this bundle; from sources (tests) in the calling thread, at once. */

import type { CorpusFile } from "../bytes.ts";
import { CheckpointError } from "../errors.ts";
import { runInThread, threadUrl } from "../thread.ts";
import type { CalibrationReport } from "./calibrate.ts";
import { recordMemory, type MemoryRecord } from "./record.ts";
import { SuffixMemory } from "./suffixMemory.ts";

export interface MemoryTask {
  readonly files: readonly CorpusFile[];
  /** What an earlier run serialized: its files are brought up to date, its weights kept. */
  readonly stored?: Uint8Array;
  readonly calibration: {
    readonly maxBytes: number;
    /** Learned from even where somebody waits. */
    readonly leastBytes: number;
    readonly seed: number;
    readonly budgetMs: number;
  };
  /** Beginnings of files that were held out: what the memory says of them is recorded. */
  readonly scored: readonly CorpusFile[];
  /** Files that the memory holds once that is done. */
  readonly absorbed: readonly CorpusFile[];
}

/** stop: end with what there is, record nothing. enough: calibrate no longer than need be. */
export interface MemorySignals extends Readonly<Record<string, AbortSignal>> {
  readonly stop: AbortSignal;
  readonly enough: AbortSignal;
}

export interface BuiltMemory {
  /** SuffixMemory.serialize, before and after the held-out files were absorbed. */
  readonly bytes: Uint8Array;
  readonly whole: Uint8Array;
  /** Of every file to be scored; of none where the task was stopped. */
  readonly records: readonly MemoryRecord[];
  /** Undefined where stored weights were taken over. */
  readonly report: CalibrationReport | undefined;
}

/** A memory of an earlier version is no loss: the files are at hand. */
function stored(task: MemoryTask): SuffixMemory | undefined {
  if (task.stored === undefined) return undefined;
  try {
    return SuffixMemory.deserialize(task.stored);
  } catch (error) {
    if (error instanceof CheckpointError && error.code === "NG_MEMORY_OLD") return undefined;
    throw error;
  }
}

/** The task itself, in the calling thread. */
export async function runMemoryTask(
  task: MemoryTask,
  signals: MemorySignals,
): Promise<BuiltMemory> {
  const memory = stored(task) ?? new SuffixMemory();
  const current = new Set(task.files.map((f) => f.path));
  for (const path of memory.files()) if (!current.has(path)) memory.removeFile(path);
  for (const f of task.files) memory.setFile(f.path, f.bytes);
  const report =
    memory.calibratedBytes > 0
      ? undefined
      : await memory.calibrate({
          ...task.calibration,
          signal: signals.stop,
          enough: signals.enough,
        });
  const bytes = memory.serialize();
  const records: MemoryRecord[] = [];
  for (const f of task.scored) {
    // A stop reaches this thread between files.
    await new Promise((resolve) => setImmediate(resolve));
    if (signals.stop.aborted) return { bytes, whole: bytes, records: [], report };
    records.push(recordMemory(memory, f));
  }
  for (const f of task.absorbed) memory.setFile(f.path, f.bytes);
  return { bytes, whole: memory.serialize(), records, report };
}

/** Throws CheckpointError where `stored` is damaged or the thread ends early. A stopped calibration ends with what it
 *  has learned so far. */
export async function buildMemory(task: MemoryTask, signals: MemorySignals): Promise<BuiltMemory> {
  const url = threadUrl("memoryWorker.mjs");
  if (url === undefined) return runMemoryTask(task, signals);
  try {
    return await runInThread<BuiltMemory>(url, task, signals);
  } catch (cause) {
    throw new CheckpointError(
      "NG_MEMORY_BUILD",
      `the workspace's memory could not be built: ${cause instanceof Error ? cause.message : String(cause)}`,
      "train again; without --resume if the model folder is damaged",
      { cause },
    );
  }
}
