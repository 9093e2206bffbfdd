/**
 * Keeps the model's memory and the query index in step with the files: edits in the editor (unsaved too) and
 * changes on disk are collected, and each file is passed on once it has rested.
 */
import type { Logger } from "../model/index.ts";
import { REPOSITORY_FOLDERS } from "./corpus/classify.ts";

export interface FileSink {
  setFile(path: string, bytes: Uint8Array): void;
  /** A file, or all that was known below a folder. */
  removeFile(path: string): void;
}

export interface FileChangesParts {
  readonly sinks: () => readonly FileSink[];
  /** The file as training would read it from disk; undefined when gone or left out. */
  readonly read: (path: string) => Promise<{ readonly bytes: Uint8Array } | undefined>;
  /** Files of the corpus below a folder on disk; none where the path is no folder. */
  readonly inside: (path: string) => Promise<readonly string[]>;
  /** Bytes of the open document, or undefined when it is not open. */
  readonly open: (path: string) => Uint8Array | undefined;
  readonly logger: Logger;
  readonly restMs?: number;
}

const REST_MS = 700;

export class FileChanges {
  private readonly parts: FileChangesParts;
  /** Files that changed, with when they will have rested. */
  private readonly waiting = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;
  private passing = false;
  private disposed = false;

  constructor(parts: FileChangesParts) {
    this.parts = parts;
  }

  /** Something happened to the file; what it was is found out when it rests. */
  touched(path: string): void {
    if (this.disposed || path.split("/").some((folder) => REPOSITORY_FOLDERS.has(folder))) return;
    this.waiting.set(path, Date.now() + (this.parts.restMs ?? REST_MS));
    this.schedule();
  }

  dispose(): void {
    this.disposed = true;
    clearTimeout(this.timer);
    this.waiting.clear();
  }

  private schedule(): void {
    if (this.passing || this.disposed || this.waiting.size === 0) return;
    clearTimeout(this.timer);
    const due = Math.min(...this.waiting.values());
    this.timer = setTimeout(
      () => {
        this.passing = true;
        void this.passRested().finally(() => {
          this.passing = false;
          this.schedule();
        });
      },
      Math.max(0, due - Date.now()),
    );
  }

  /** One file after the other: changing a branch touches thousands. */
  private async passRested(): Promise<void> {
    for (const [path, due] of this.waiting) {
      if (this.disposed || due > Date.now()) continue;
      this.waiting.delete(path);
      try {
        await this.pass(path);
      } catch (error) {
        this.parts.logger.warn("a changed file could not be read", { path, error: String(error) });
      }
    }
  }

  private async pass(path: string): Promise<void> {
    const sinks = this.parts.sinks();
    if (sinks.length === 0) return;
    // The file on disk decides whether it belongs to the corpus; the open document says what it holds now.
    const file = await this.parts.read(path);
    // A folder that was moved here or came with another branch is told alone, without its files.
    if (file === undefined) for (const one of await this.parts.inside(path)) this.touched(one);
    for (const sink of sinks) {
      if (file === undefined) sink.removeFile(path);
      else sink.setFile(path, this.parts.open(path) ?? file.bytes);
    }
  }
}
