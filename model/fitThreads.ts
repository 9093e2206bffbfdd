/** Fits mixers on several sets of files at once, each in a thread of its own where the bundled worker is there. */
import { availableParallelism } from "node:os";
import { invariant } from "./errors.ts";
import {
  foldTasks,
  runFitTask,
  type FitTask,
  type Fitted,
  type MixedRecord,
  type Recorded,
} from "./fitMixer.ts";
import { mixerFromJSON, RankedMixer } from "./memory/rankedMixer.ts";
import { runInThread, threadUrl } from "./thread.ts";

/** One answer per task, in their order; what is recorded is shared with the threads, not copied. */
async function runAll(tasks: readonly FitTask[]): Promise<Fitted[]> {
  const url = threadUrl("mixerWorker.mjs");
  if (url === undefined) return tasks.map(runFitTask);
  const fitted: Fitted[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < tasks.length) {
      const i = next++;
      fitted[i] = await runInThread<Fitted>(url, tasks[i]);
    }
  };
  const threads = Math.min(tasks.length, availableParallelism());
  await Promise.all(Array.from({ length: threads }, work));
  return fitted;
}

/** A mixer fitted on all files, and every file under one that was fitted on the other folds. */
export async function crossFit(
  records: readonly Recorded[],
): Promise<{ readonly mixer: RankedMixer; readonly scored: readonly MixedRecord[] }> {
  const [whole, ...folds] = await runAll([{ fit: records, score: [] }, ...foldTasks(records)]);
  const mixer = mixerFromJSON(whole!.mixer);
  invariant(mixer instanceof RankedMixer, "a fitted mixer is a ranked one");
  const scored = records.map(
    (_, i) => folds[i % folds.length]!.scored[Math.floor(i / folds.length)]!,
  );
  return { mixer, scored };
}
