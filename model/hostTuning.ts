/** When the model host tunes matrix products: some time after a training, in the first minute in which nobody needs the
 *  machine. The next training has the gain, and no training waits for it. */
import { currentManifest } from "./promote.ts";
import { readConfig } from "./checkpoint.ts";
import type { Device } from "./device.ts";
import type { Logger } from "./logger.ts";
import { canTune, tune } from "./tune.ts";

/** The loaded model prepares its first completion meanwhile. */
const REST_MS = 60_000;

export interface IdleTuningParts {
  /** Whether nothing else is at work and nobody types. */
  idle(): boolean;
  /** Tunes for the model in this folder; "stopped" where something more important came. */
  run(dir: string): Promise<"done" | "stopped">;
}

export class IdleTuning {
  readonly #parts: IdleTuningParts;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: IdleTuningParts) {
    this.#parts = parts;
  }

  /** A training ended. */
  trained(dir: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(dir), REST_MS).unref();
  }

  async #look(dir: string): Promise<void> {
    if (!this.#parts.idle() || (await this.#parts.run(dir)) === "stopped") this.trained(dir);
  }
}

/** Never rejects: what fails here costs nothing but the gain. */
export async function tuneHere(
  dir: string,
  device: Device,
  o: { readonly signal: AbortSignal; readonly logger: Logger },
): Promise<"done" | "stopped"> {
  const manifest = currentManifest(dir);
  if (manifest === undefined || !canTune(device)) return "done";
  try {
    const configs = [readConfig(dir, manifest)];
    const { entries, left, seconds, path } = await tune({ device, configs, ...o });
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
