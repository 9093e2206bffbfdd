/** Fits mixers on several sets of files at once, each in a thread of its own where the bundled worker is there. */
import { availableParallelism } from "node:os";
import { fitMixer, type Recorded } from "./fitMixer.ts";
import { mixerFromJSON, RankedMixer, type RankedMixerJson } from "./memory/rankedMixer.ts";
import { invariant } from "./errors.ts";
import { runInThread, threadUrl } from "./thread.ts";

/** One mixer per set of records, in their order; what is recorded is shared with the threads, not copied. */
export async function fitMixers(sets: readonly (readonly Recorded[])[]): Promise<RankedMixer[]> {
  const url = threadUrl("mixerWorker.mjs");
  if (url === undefined) return sets.map((records) => fitMixer(records));
  const fitted: RankedMixer[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < sets.length) {
      const i = next++;
      const mixer = mixerFromJSON(await runInThread<RankedMixerJson>(url, sets[i]));
      invariant(mixer instanceof RankedMixer, "a fitted mixer is a ranked one");
      fitted[i] = mixer;
    }
  };
  const threads = Math.min(sets.length, availableParallelism());
  await Promise.all(Array.from({ length: threads }, work));
  return fitted;
}
