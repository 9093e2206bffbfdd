/**
 * What suggestions would have saved: lines are typed key by key behind their indentation, at every key the product is
 * asked as the editor asks it (its context, its confidence, its clean-up, its cache), and a suggestion that is right as
 * far as it goes is taken with one key. Nothing of the file behind the cursor is shown to anyone.
 */
import { contextAround, CONTEXT_BUDGET } from "../context.ts";
import { byteOffset } from "../documents.ts";
import { suggestionFrom } from "../postprocess/suggestion.ts";
import { SETTINGS } from "../settings.ts";
import { quantile } from "./scoring.ts";

/** The shipped defaults: what somebody has who changed nothing. */
export const SHIPPED = {
  minConfidence: SETTINGS["completion.minConfidence"].default,
  maxBytes: SETTINGS["completion.maxBytes"].default,
} as const;

export type Ask = (o: {
  readonly path: string;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly maxBytes: number;
  readonly singleLine: 1;
}) => Promise<{
  readonly text: string;
  readonly confidence: number;
  readonly perByte: ArrayLike<number>;
  readonly ms: number;
}>;

export interface TypingResult {
  readonly lines: number;
  /** Characters of the lines, and keys pressed for them: one a character typed, one a suggestion taken. */
  readonly characters: number;
  readonly keys: number;
  readonly keystrokes_saved: number | null;
  readonly shown: number;
  readonly taken: number;
  /** Share of the suggestions shown that were wrong somewhere. */
  readonly shown_wrong: number | null;
  readonly min_confidence: number;
  readonly ms_median: number | null;
  readonly ms_p95: number | null;
}

export class TypingFigures {
  readonly #ask: Ask;
  readonly #signal: AbortSignal;
  #lines = 0;
  #characters = 0;
  #keys = 0;
  #shown = 0;
  #taken = 0;
  readonly #ms: number[] = [];

  constructor(ask: Ask, signal: AbortSignal) {
    this.#ask = ask;
    this.#signal = signal;
  }

  /** Types bytes[start, end), a line without its indentation and its break. */
  async typeLine(
    file: { readonly path: string; readonly bytes: Uint8Array },
    start: number,
    end: number,
  ): Promise<void> {
    const line = Buffer.from(file.bytes.subarray(start, end)).toString("utf8");
    // Bytes that are no text cannot be typed.
    if (line.includes("\ufffd")) return;
    const indentAt = file.bytes.subarray(0, start).lastIndexOf(10) + 1;
    const indent = Buffer.from(file.bytes.subarray(indentAt, start)).toString("utf8");
    this.#lines++;
    this.#characters += Array.from(line).length;
    let typed = "";
    /** What is left of the suggestion that was shown last, as far as it was typed along. */
    let ahead = "";
    while (typed.length < line.length) {
      this.#signal.throwIfAborted();
      if (ahead === "") {
        const offset = start + Buffer.byteLength(typed);
        ahead = await this.#shownAt(file.path, file.bytes.subarray(0, offset), indent + typed);
        if (ahead !== "") this.#shown++;
      }
      this.#keys++;
      if (ahead !== "" && line.startsWith(ahead, typed.length)) {
        this.#taken++;
        typed += ahead;
        ahead = "";
        continue;
      }
      const character = String.fromCodePoint(line.codePointAt(typed.length)!);
      ahead = ahead.startsWith(character) ? ahead.slice(character.length) : "";
      typed += character;
    }
  }

  /** What is shown at the end of `text`; empty where nothing is. */
  async #shownAt(path: string, text: Uint8Array, linePrefix: string): Promise<string> {
    const { before } = contextAround({ bytes: text }, byteOffset(text.length), CONTEXT_BUDGET);
    const { maxBytes, minConfidence } = SHIPPED;
    const after = new Uint8Array(0);
    const answer = await this.#ask({ path, before, after, maxBytes, singleLine: 1 });
    this.#ms.push(answer.ms);
    const around = { linePrefix, lineSuffix: "", following: "", multiLine: false };
    const suggestion = suggestionFrom(
      { ...answer, perByte: Array.from(answer.perByte) },
      around,
      SHIPPED,
    );
    return suggestion.confidence < minConfidence ? "" : suggestion.text;
  }

  result(): TypingResult {
    return {
      lines: this.#lines,
      characters: this.#characters,
      keys: this.#keys,
      keystrokes_saved: this.#characters === 0 ? null : 1 - this.#keys / this.#characters,
      shown: this.#shown,
      taken: this.#taken,
      shown_wrong: this.#shown === 0 ? null : 1 - this.#taken / this.#shown,
      min_confidence: SHIPPED.minConfidence,
      ms_median: quantile(this.#ms, 0.5),
      ms_p95: quantile(this.#ms, 0.95),
    };
  }
}
