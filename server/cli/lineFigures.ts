/** How well the rests of lines were completed, summed up over lines. */
import { commonPrefix, editSimilarity, firstLine, quantile } from "./scoring.ts";

export interface LineResult {
  readonly lines: number;
  /** Share of lines of which the whole rest was written, and nothing else. */
  readonly exact: number | null;
  /** Mean number of bytes that were right before the first wrong one, and their share of all bytes wanted. */
  readonly prefix_bytes: number | null;
  readonly prefix_share: number | null;
  /** Mean of 1 − edit distance ⁄ longer length. */
  readonly edit_similarity: number | null;
  readonly ms_median: number | null;
  readonly ms_p95: number | null;
}

export class LineFigures {
  #lines = 0;
  #exact = 0;
  #prefix = 0;
  #wanted = 0;
  #similarity = 0;
  readonly #ms: number[] = [];

  add(completed: Uint8Array, rest: Uint8Array, ms: number): void {
    const written = firstLine(completed);
    const prefix = commonPrefix(written, rest);
    this.#lines++;
    if (prefix === rest.length && written.length === rest.length) this.#exact++;
    this.#prefix += prefix;
    this.#wanted += rest.length;
    this.#similarity += editSimilarity(written, rest);
    this.#ms.push(ms);
  }

  result(): LineResult {
    const mean = (sum: number): number | null => (this.#lines === 0 ? null : sum / this.#lines);
    return {
      lines: this.#lines,
      exact: mean(this.#exact),
      prefix_bytes: mean(this.#prefix),
      prefix_share: this.#wanted === 0 ? null : this.#prefix / this.#wanted,
      edit_similarity: mean(this.#similarity),
      ms_median: quantile(this.#ms, 0.5),
      ms_p95: quantile(this.#ms, 0.95),
    };
  }
}
