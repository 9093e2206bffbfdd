/** The thread that builds a workspace's memory (build.ts): one task, one answer. Or one that helps with the rows of an
 *  index (rowIndex.ts) until they are done. */

import { parentPort, workerData } from "node:worker_threads";
import type { ThreadAnswer } from "../thread.ts";
import { runMemoryTask, type BuiltMemory, type MemoryTask } from "./build.ts";
import { workOnRows, type RowTask } from "./rowIndex.ts";

const task = workerData as MemoryTask | RowTask;
if ("positions" in task) workOnRows(task);
else await answerTask(task);

async function answerTask(memoryTask: MemoryTask): Promise<void> {
  const port = parentPort!;
  const controllers = { stop: new AbortController(), enough: new AbortController() };
  port.on("message", (name: keyof typeof controllers) => controllers[name].abort());
  let answer: ThreadAnswer<BuiltMemory>;
  try {
    const { stop, enough } = controllers;
    const signals = { stop: stop.signal, enough: enough.signal };
    answer = { kind: "done", result: await runMemoryTask(memoryTask, signals) };
  } catch (error) {
    answer = { kind: "failed", message: error instanceof Error ? error.message : String(error) };
  }
  port.postMessage(answer);
}
