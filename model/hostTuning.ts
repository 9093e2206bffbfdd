/** When the model host tunes matrix products: some time after a training, in the first minute in which nobody needs the
 *  machine. The next training has the gain, and no training waits for it. */
import { currentManifest } from "./promote.ts";
import { readConfig } from "./checkpoint.ts";
import { concatenate } from "./corpus.ts";
import type { CorpusFile } from "./bytes.ts";
import type { Device } from "./device.ts";
import type { Logger } from "./logger.ts";
import { trainingPatches } from "./trainingPatches.ts";
import { canTune, tune, type TuneRequest } from "./tune.ts";

/** The loaded model prepares its first completion meanwhile. */
const REST_MS = 60_000;

export interface IdleTuningParts {
  /** Whether nothing else is at work and nobody types. */
  idle(): boolean;
  /** Tunes for what was trained; "stopped" where something more important came. */
  run(trained: Trained): Promise<"done" | "stopped">;
}

/** What a run's products depend on. */
export type Trained = TuneRequest["runs"][number];

/** Of the model in this folder, should it be trained on these files; undefined where there is none. */
export function trainedRun(dir: string, files: readonly CorpusFile[]): Trained | undefined {
  const manifest = currentManifest(dir);
  if (manifest === undefined) return undefined;
  const config = readConfig(dir, manifest);
  return { config, patches: trainingPatches(config, concatenate(files)) };
}

export class IdleTuning {
  readonly #parts: IdleTuningParts;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: IdleTuningParts) {
    this.#parts = parts;
  }

  /** A training ended. */
  trained(run: Trained): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(run), REST_MS).unref();
  }

  async #look(run: Trained): Promise<void> {
    if (!this.#parts.idle() || (await this.#parts.run(run)) === "stopped") this.trained(run);
  }
}

/** Never rejects: what fails here costs nothing but the gain. */
export async function tuneHere(
  run: Trained,
  device: Device,
  o: { readonly signal: AbortSignal; readonly logger: Logger },
): Promise<"done" | "stopped"> {
  if (!canTune(device)) return "done";
  try {
    const { entries, left, seconds, path } = await tune({ device, runs: [run], ...o });
    if (entries.length > 0)
      o.logger.info(
        `${entries.length} matrix products measured in ${seconds.toFixed(1)} s, ${entries.filter((e) => e.choice !== null).length} of them are faster with other kernels from the next training on (${path})`,
      );
    return left > 0 && o.signal.aborted ? "stopped" : "done";
  } catch (error) {
    o.logger.warn(`matrix products were not tuned: ${String(error)}`);
    return "done";
  }
}
