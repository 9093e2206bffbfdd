/** Figures of every byte in a file for other programs. */
import { open, rename, rm, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";

/** float32 little-endian, files in path order, and an index beside it; appears complete or not at all. */
export class PerByteFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #index: { path: string; offset: number; length: number }[] = [];
  #offset = 0;
  #open = true;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  static async create(path: string): Promise<PerByteFile> {
    return new PerByteFile(path, await open(`${path}.partial`, "w"));
  }

  async append(path: string, bits: Float32Array): Promise<void> {
    const view = new DataView(new ArrayBuffer(bits.length * 4));
    bits.forEach((value, i) => view.setFloat32(i * 4, value, true));
    if (bits.length > 0) await this.#handle.writeFile(new Uint8Array(view.buffer));
    this.#index.push({ path, offset: this.#offset, length: bits.length });
    this.#offset += bits.length;
  }

  async finish(): Promise<void> {
    await this.#handle.close();
    this.#open = false;
    await writeFile(`${this.#path}.json`, `${JSON.stringify({ files: this.#index })}\n`);
    await rename(`${this.#path}.partial`, this.#path);
  }

  /** After a failure: leaves nothing half-written. */
  async close(): Promise<void> {
    if (!this.#open) return;
    await this.#handle.close();
    this.#open = false;
    await rm(`${this.#path}.partial`, { force: true });
  }
}
