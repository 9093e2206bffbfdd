/**
 * A CPU worker thread: receives programs once, then replays one whole program per message; between the nodes
 * of a program the threads meet at a barrier in shared memory, so nothing is sent per op.
 */
import { parentPort, workerData } from "node:worker_threads";
import { ops } from "../ops.ts";
import { invariant } from "../errors.ts";
import { bindSimd, memoryBuffer } from "./simd/bind.ts";
import {
  barrier,
  bindBuffer,
  COMMAND,
  FAILED,
  INTERRUPTED,
  runShare,
  waitWhileHeld,
  type BoundNode,
  type ProgramMessage,
} from "./runner.ts";

interface WorkerData {
  readonly memory: WebAssembly.Memory;
  readonly control: Int32Array;
  readonly thread: number;
  readonly threads: number;
}

const { memory, control, thread, threads } = workerData as WorkerData;
const port = parentPort!;
const programs = new Map<number, BoundNode[]>();
bindSimd(memory, thread);

port.on(
  "message",
  (message: ProgramMessage | { kind: "go"; generation: number } | { kind: "drop"; id: number }) => {
    if (message.kind === "drop") {
      programs.delete(message.id);
      return;
    }
    if (message.kind === "program") {
      programs.set(
        message.id,
        message.nodes.map((n) => {
          const op = ops.get(n.op);
          invariant(op !== undefined, `worker knows no op named ${n.op}`);
          return {
            op,
            params: n.params,
            units: op.units(n.params),
            buffers: n.buffers.map((b) => bindBuffer(memoryBuffer(memory), b)),
          };
        }),
      );
      port.postMessage({ kind: "ready", id: message.id });
      return;
    }
    serve(message.generation);
  },
);

function serve(generation: number): void {
  const id = Atomics.load(control, COMMAND);
  const program = programs.get(id);
  if (program === undefined) {
    Atomics.store(control, FAILED, 1);
  } else {
    for (const node of program) {
      waitWhileHeld(control);
      try {
        if (Atomics.load(control, INTERRUPTED) === 0) runShare(node, thread, threads);
      } catch (error) {
        Atomics.store(control, FAILED, 1);
        port.postMessage({ kind: "failed", op: node.op.name, message: String(error) });
      }
      barrier(control, threads);
    }
  }
  if (thread === 0) port.postMessage({ kind: "done", generation });
}
