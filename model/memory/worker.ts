/** The thread that builds a workspace's memory (build.ts): one task, one answer. */

import { parentPort, workerData } from "node:worker_threads";
import type { ThreadAnswer } from "../thread.ts";
import { runMemoryTask, type BuiltMemory, type MemoryTask } from "./build.ts";

const port = parentPort!;
const abort = new AbortController();
port.on("message", () => abort.abort());
let answer: ThreadAnswer<BuiltMemory>;
try {
  answer = { kind: "done", result: await runMemoryTask(workerData as MemoryTask, abort.signal) };
} catch (error) {
  answer = { kind: "failed", message: error instanceof Error ? error.message : String(error) };
}
port.postMessage(answer);
