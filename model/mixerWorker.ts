/** The thread that fits one mixer and scores files with it (fitThreads.ts): one task, one answer. */
import { parentPort, workerData } from "node:worker_threads";
import { runFitTask, type Fitted, type FitTask } from "./fitMixer.ts";
import type { ThreadAnswer } from "./thread.ts";

let answer: ThreadAnswer<Fitted>;
try {
  answer = { kind: "done", result: runFitTask(workerData as FitTask) };
} catch (error) {
  answer = { kind: "failed", message: error instanceof Error ? error.message : String(error) };
}
parentPort!.postMessage(answer);
