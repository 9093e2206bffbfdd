/** The thread that builds a workspace's memory (build.ts): one task, one answer. */

import { parentPort, workerData } from "node:worker_threads";
import type { ThreadAnswer } from "../thread.ts";
import { runMemoryTask, type BuiltMemory, type MemoryTask } from "./build.ts";

const port = parentPort!;
const controllers = { stop: new AbortController(), enough: new AbortController() };
port.on("message", (name: keyof typeof controllers) => controllers[name].abort());
let answer: ThreadAnswer<BuiltMemory>;
try {
  const { stop, enough } = controllers;
  const signals = { stop: stop.signal, enough: enough.signal };
  answer = { kind: "done", result: await runMemoryTask(workerData as MemoryTask, signals) };
} catch (error) {
  answer = { kind: "failed", message: error instanceof Error ? error.message : String(error) };
}
port.postMessage(answer);
