/** The thread that fits one mixer (fitThreads.ts): one task, one answer. */
import { parentPort, workerData } from "node:worker_threads";
import { fitMixer, type Recorded } from "./fitMixer.ts";
import type { RankedMixerJson } from "./memory/rankedMixer.ts";
import type { ThreadAnswer } from "./thread.ts";

let answer: ThreadAnswer<RankedMixerJson>;
try {
  answer = { kind: "done", result: fitMixer(workerData as readonly Recorded[]).toJSON() };
} catch (error) {
  answer = { kind: "failed", message: error instanceof Error ? error.message : String(error) };
}
parentPort!.postMessage(answer);
