/** Threads that help with a large index, where the memory's bundled worker stands beside this bundle. */

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { threadUrl } from "../thread.ts";
import type { RowTask } from "./rowIndex.ts";

/** Below this a thread takes longer to start than it saves. */
const SHARED_BYTES = 4 * 1024 * 1024;
const MOST_HELPERS = 3;

/** What `indexRows` takes as `join`, for files of so many bytes in all. */
export function rowHelpers(bytes: number): ((task: RowTask) => void) | undefined {
  const url = bytes < SHARED_BYTES ? undefined : threadUrl("memoryWorker.mjs");
  const helpers = Math.min(MOST_HELPERS, availableParallelism() - 1);
  if (url === undefined || helpers < 1) return undefined;
  return (task) => {
    for (let i = 0; i < helpers; i++) {
      const worker = new Worker(url, { workerData: task });
      worker.unref();
      // One that does not start takes nothing, and one that ends at its work is missed by those who wait for it.
      worker.on("error", () => undefined);
    }
  };
}
