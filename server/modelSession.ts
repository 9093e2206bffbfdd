/**
 * The loaded model: loads it when the host starts and there is one on disk, answers completions through it, and
 * says whether it can. Registration of the completion capability follows `onAvailability`, so that the editor never
 * asks a provider that cannot answer.
 */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { NarrowError, type Logger } from "../model/index.ts";
import type { LoadedModel } from "./hostCalls.ts";
import type { CompletionEngine } from "./inlineCompletion.ts";
import type { ModelProcess } from "./modelProcess.ts";

export interface ModelSessionParts {
  readonly host: Pick<ModelProcess, "request" | "safeMode">;
  readonly logger: Logger;
  directory(): string;
  device(): Promise<"auto" | "gpu" | "cpu">;
  onAvailability(available: boolean): void;
}

export type LoadOutcome =
  | { readonly outcome: "loaded"; readonly model: LoadedModel }
  | { readonly outcome: "none" }
  | { readonly outcome: "failed"; readonly error: NarrowError };

export class ModelSession {
  private readonly parts: ModelSessionParts;
  private model: LoadedModel | undefined;
  readonly engine: CompletionEngine;

  constructor(parts: ModelSessionParts) {
    this.parts = parts;
    this.engine = {
      complete: (request, signal) =>
        parts.host.request(
          "complete",
          {
            path: request.path,
            before: Buffer.from(request.before).toString("base64"),
            after: Buffer.from(request.after).toString("base64"),
            maxBytes: request.maxBytes,
            singleLine: request.singleLine,
            ...(request.list === undefined ? {} : { list: request.list }),
          },
          signal,
        ),
    };
  }

  get loaded(): LoadedModel | undefined {
    return this.model;
  }

  /** True when there is a model on disk to load. */
  async exists(): Promise<boolean> {
    try {
      await access(join(this.parts.directory(), "manifest.json"));
      return true;
    } catch {
      return false;
    }
  }

  async load(): Promise<LoadOutcome> {
    if (!(await this.exists())) {
      this.set(undefined);
      return { outcome: "none" };
    }
    try {
      const device = this.parts.host.safeMode ? "cpu" : await this.parts.device();
      const { loaded } = await this.parts.host.request("load", {
        dir: this.parts.directory(),
        device,
      });
      this.set(loaded ?? undefined);
      return loaded === null ? { outcome: "none" } : { outcome: "loaded", model: loaded };
    } catch (error) {
      this.set(undefined);
      const known =
        error instanceof NarrowError ? error : new NarrowError("NG_LOAD", String(error));
      this.parts.logger.warn("the model could not be loaded", {
        code: known.code,
        message: known.message,
      });
      return { outcome: "failed", error: known };
    }
  }

  /** The host died: nothing answers until it is loaded again. */
  lost(): void {
    this.set(undefined);
  }

  private set(model: LoadedModel | undefined): void {
    const changed = (model === undefined) !== (this.model === undefined);
    this.model = model;
    if (changed) this.parts.onAvailability(model !== undefined);
  }
}
