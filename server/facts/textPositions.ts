/** Byte columns to UTF-16 characters, line by line; lines without multi-byte characters cost nothing. */

export class TextPositions {
  readonly #bytes: Uint8Array;
  readonly #starts: number[] = [0];
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1))
      this.#starts.push(at + 1);
  }

  character(line: number, column: number): number {
    const start = this.#starts[line] ?? 0;
    const end = start + column;
    for (let at = start; at < end; at++)
      if (this.#bytes[at]! >= 0x80)
        return this.#decoder.decode(this.#bytes.subarray(start, end)).length;
    return column;
  }

  /** The text of a line without its end; empty for a line that does not exist. */
  lineText(line: number): string {
    const start = this.#starts[line];
    if (start === undefined) return "";
    const next = this.#starts[line + 1];
    const text = this.#decoder.decode(
      this.#bytes.subarray(start, next === undefined ? this.#bytes.length : next - 1),
    );
    return text.endsWith("\r") ? text.slice(0, -1) : text;
  }
}
