/**
 * Keeps the model's memory and the query index in step with the files: edits in the editor (unsaved too) and
 * changes on disk are collected, and each file is passed on once it has rested.
 */
import type { Logger } from "../model/index.ts";

export interface FileSink {
  setFile(path: string, bytes: Uint8Array): void;
  removeFile(path: string): void;
}

export interface FileChangesParts {
  readonly sinks: () => readonly FileSink[];
  /** The file as training would read it from disk; undefined when gone or left out. */
  readonly read: (path: string) => Promise<{ readonly bytes: Uint8Array } | undefined>;
  /** Bytes of the open document, or undefined when it is not open. */
  readonly open: (path: string) => Uint8Array | undefined;
  readonly logger: Logger;
  readonly restMs?: number;
}

const REST_MS = 700;

export class FileChanges {
  private readonly parts: FileChangesParts;
  private readonly timers = new Map<string, NodeJS.Timeout>();

  constructor(parts: FileChangesParts) {
    this.parts = parts;
  }

  /** Something happened to the file; what it was is found out when it rests. */
  touched(path: string): void {
    clearTimeout(this.timers.get(path));
    this.timers.set(
      path,
      setTimeout(() => {
        this.timers.delete(path);
        this.pass(path).catch((error: unknown) =>
          this.parts.logger.warn("a changed file could not be read", {
            path,
            error: String(error),
          }),
        );
      }, this.parts.restMs ?? REST_MS),
    );
  }

  dispose(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  private async pass(path: string): Promise<void> {
    // The file on disk decides whether it belongs to the corpus; the open document says what it holds now.
    const file = await this.parts.read(path);
    for (const sink of this.parts.sinks()) {
      if (file === undefined) sink.removeFile(path);
      else sink.setFile(path, this.parts.open(path) ?? file.bytes);
    }
  }
}
