/** What needs no network, in the same harness: copying, counting, compressors, and another model's own figures. */
import { readFile } from "node:fs/promises";
import { CorpusError } from "../../model/index.ts";
import type { CorpusFile, Model } from "../../model/index.ts";
import { COMPRESSORS, primed } from "./compressors.ts";
import type { CompressorName, Primed } from "./compressors.ts";
import { LineFigures } from "./lineFigures.ts";
import type { LineResult } from "./lineFigures.ts";
import type { CutLine } from "./scoring.ts";
import { suffixCopy } from "./suffixCopy.ts";

export interface BaselineResult {
  readonly suffix_copy: LineResult;
  /** The memory alone, writing its most probable byte again and again. */
  readonly count_model: LineResult;
  readonly compressors: Readonly<Record<CompressorName, Primed>>;
  /** The line that test/bench/bytegpt.py printed, if a file of it was named. */
  readonly bytegpt: Readonly<Record<string, unknown>> | null;
}

export class Baselines {
  readonly #model: Pick<Model, "memory">;
  readonly #copy = new LineFigures();
  readonly #count = new LineFigures();

  constructor(model: Pick<Model, "memory">) {
    this.#model = model;
  }

  /** Completes lines of one file, given in order, before that file is absorbed. */
  lines(file: CorpusFile, lines: readonly CutLine[], maxBytes: (line: CutLine) => number): void {
    const { memory } = this.#model;
    const others = memory.files().filter((path) => path !== file.path);
    const workspace = others.map((path) => memory.bytesOf(path)!);
    const reader = memory.cursor({ exclude: file.path });
    let read = 0;
    const p = new Float64Array(256);
    for (const line of lines) {
      const before = file.bytes.subarray(0, line.offset);
      let started = performance.now();
      const copied = suffixCopy({ workspace, before, maxBytes: maxBytes(line) });
      this.#copy.add(copied.bytes, line.rest, performance.now() - started);

      for (; read < line.offset; read++) reader.push(file.bytes[read]!);
      started = performance.now();
      const cursor = reader.fork();
      const counted: number[] = [];
      while (counted.length < maxBytes(line)) {
        cursor.predict(p);
        let best = 0;
        for (let byte = 1; byte < 256; byte++) if (p[byte]! > p[best]!) best = byte;
        if (best === 10) break;
        counted.push(best);
        cursor.push(best);
      }
      this.#count.add(Uint8Array.from(counted), line.rest, performance.now() - started);
    }
  }

  async result(o: {
    /** The workspace as it was before any file was absorbed. */
    readonly workspace: readonly Uint8Array[];
    readonly heldout: readonly Uint8Array[];
    readonly bytegpt: string | undefined;
    readonly signal: AbortSignal;
    /** Called before each compressor: they may take minutes and say nothing. */
    readonly onCompressor?: (name: string) => void;
  }): Promise<BaselineResult> {
    const compressors = {} as Record<CompressorName, Primed>;
    for (const name of Object.keys(COMPRESSORS) as CompressorName[]) {
      o.onCompressor?.(name);
      compressors[name] = await primed(name, o, o.signal);
    }
    return {
      suffix_copy: this.#copy.result(),
      count_model: this.#count.result(),
      compressors,
      bytegpt: o.bytegpt === undefined ? null : await readBytegpt(o.bytegpt),
    };
  }
}

/** The last line of its output that is JSON. */
export async function readBytegpt(path: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new CorpusError(
      "NG_BASELINE_FILE",
      `${path} cannot be read`,
      "name a file that holds what test/bench/bytegpt.py printed",
      { cause },
    );
  });
  for (const line of text.trim().split("\n").reverse()) {
    if (!line.startsWith("{")) continue;
    try {
      return JSON.parse(line) as Record<string, unknown>;
    } catch {
      // Cut off: an earlier line may be whole.
    }
  }
  throw new CorpusError(
    "NG_BASELINE_FILE",
    `${path} holds no line of JSON`,
    "name a file that holds what test/bench/bytegpt.py printed",
  );
}
