/** The exact memory of a workspace: which bytes followed every context of up to 32 bytes in its files. Files are
 *  replaced in place; a reader may leave one file out (the one that it reads), and then sees exactly the counts of an
 *  index built without it. `calibrate` learns, leaving each file out in turn, how far which counts can be believed. */

import { BlendWeights } from "./blendWeights.ts";
import { calibrateWeights, type CalibrationOptions, type CalibrationReport } from "./calibrate.ts";
import { WalkCursor, type MemoryCursor } from "./memoryCursor.ts";
import { decodeMemory, encodeMemory } from "./memoryFile.ts";
import { SegmentSet } from "./segmentSet.ts";
import { TokenReader } from "./tokenReader.ts";

export interface CursorOptions {
  /** Path of a file whose bytes must not be counted; unknown paths are allowed. */
  readonly exclude?: string;
  /** 1 (default): the bytes pushed so far count too. */
  readonly absorbOwn?: 0 | 1;
  /** 1 (default): after each byte that was predicted, this cursor corrects its own blend weights. */
  readonly adapt?: 0 | 1;
}

export class SuffixMemory {
  private readonly bytes = new Map<string, Uint8Array>();
  private readonly segments = new SegmentSet();
  private weights = new BlendWeights();
  /** Counts changes: cursors made at different values may read different files. */
  version = 0;
  /** How long the index took to build after `deserialize`. */
  buildMs = 0;

  /** Adds a file or replaces it. The bytes are copied. */
  setFile(path: string, bytes: Uint8Array): void {
    const known = this.bytes.get(path);
    if (known !== undefined) {
      if (equalBytes(known, bytes)) return;
      this.segments.remove(path);
    }
    this.version++;
    const copy = bytes.slice();
    this.bytes.set(path, copy);
    this.segments.add(path, copy);
  }

  removeFile(path: string): void {
    if (!this.bytes.delete(path)) return;
    this.version++;
    this.segments.remove(path);
  }

  files(): string[] {
    return [...this.bytes.keys()].sort();
  }

  /** The files below a folder, in no order. */
  filesBelow(folder: string): string[] {
    return [...this.bytes.keys()].filter((path) => path.startsWith(`${folder}/`));
  }

  /** The file as the memory knows it; not to be written to. */
  bytesOf(path: string): Uint8Array | undefined {
    return this.bytes.get(path);
  }

  /** A reader at the beginning of a file. Indexes what has changed since the last call. */
  cursor(o: CursorOptions = {}): MemoryCursor {
    const absorbOwn = o.absorbOwn ?? 1;
    return new WalkCursor({
      walks: this.segments.walks(o.exclude),
      weights: this.weights,
      absorbOwn,
      adapt: o.adapt ?? 1,
      ...(absorbOwn === 0
        ? {}
        : { tokens: new TokenReader(this.segments.tokenSources(o.exclude)) }),
    });
  }

  /** Indexes what has changed now instead of at the next `cursor`. */
  settle(): void {
    this.segments.settle();
  }

  /** Learns the blend weights from the files themselves, each read as if it were not in the memory. */
  async calibrate(o: CalibrationOptions): Promise<CalibrationReport> {
    this.segments.settle();
    const { weights, report } = await calibrateWeights(
      {
        files: this.bytes,
        walks: (path) => this.segments.walks(path),
        tokenSources: (path) => this.segments.tokenSources(path),
      },
      o,
    );
    this.weights = weights;
    this.version++;
    return report;
  }

  get calibratedBytes(): number {
    return this.weights.calibratedBytes;
  }

  /** Memory in use: files, index and tables. */
  get sizeBytes(): number {
    let size = this.segments.sizeBytes;
    for (const bytes of this.bytes.values()) size += bytes.length;
    return size;
  }

  /** Files, compressed, and blend weights; the index is rebuilt on load. */
  serialize(): Uint8Array {
    return encodeMemory({ files: this.bytes, weights: this.weights.serialize() });
  }

  /** Throws CheckpointError where `data` is not what `serialize` wrote. */
  static deserialize(data: Uint8Array): SuffixMemory {
    const { files, weights } = decodeMemory(data);
    const memory = new SuffixMemory();
    memory.weights = BlendWeights.deserialize(weights);
    for (const [path, bytes] of files) {
      memory.bytes.set(path, bytes);
      memory.segments.add(path, bytes);
    }
    const begin = performance.now();
    memory.segments.settle();
    memory.buildMs = performance.now() - begin;
    return memory;
  }
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
