/** One task in a thread of its own: the worker's bundle stands beside this bundle, gets its task as workerData and
 *  answers with one message. */
import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";

/** What a worker answers. */
export type ThreadAnswer<T> =
  | { readonly kind: "done"; readonly result: T }
  | { readonly kind: "failed"; readonly message: string };

/** Undefined where there is no bundle, as when tests run from sources: the caller then does the task itself. */
export function threadUrl(name: string): URL | undefined {
  const url = new URL(`./${name}`, import.meta.url);
  return existsSync(url) ? url : undefined;
}

/** Throws an Error where the thread fails or ends early; a signal's abort reaches the worker as its name. */
export async function runInThread<T>(
  url: URL,
  task: unknown,
  signals: Readonly<Record<string, AbortSignal>> = {},
): Promise<T> {
  const worker = new Worker(url, { workerData: task });
  const over = new AbortController();
  for (const [name, signal] of Object.entries(signals)) {
    const tell = (): void => worker.postMessage(name);
    signal.addEventListener("abort", tell, { signal: over.signal });
    if (signal.aborted) tell();
  }
  try {
    const answer = await new Promise<ThreadAnswer<T>>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", (code) =>
        resolve({ kind: "failed", message: `its thread ended with ${code}` }),
      );
    });
    if (answer.kind === "failed") throw new Error(answer.message);
    return answer.result;
  } finally {
    over.abort();
    await worker.terminate();
  }
}
