/**
 * What kind of token comes next, for every byte: the class (TOKEN_TYPES) of the token that holds the byte behind it,
 * or of the next one where a blank is behind it. Looks ahead, so it is a target to learn from and never an input.
 */
import { N_FACT_CHANNELS } from "./channels.ts";
import { FactScanner } from "./scanner.ts";

/** A scanner that says where tokens end and what they are: 1 = before the byte at hand, 0 = with it. */
class TokenEnds extends FactScanner {
  readonly #onEnd: (type: number, before: 0 | 1) => void;
  readonly #facts = new Uint16Array(N_FACT_CHANNELS);

  /** Other files are not asked: all names that this one does not declare are of one class. */
  constructor(path: string, onEnd: (type: number, before: 0 | 1) => void) {
    super(path, () => 0);
    this.#onEnd = onEnd;
  }

  override word(name: string, next: number): boolean {
    const answer = super.word(name, next);
    this.write(this.#facts, 0);
    this.#onEnd(this.#facts[0]!, 1);
    return answer;
  }

  override ended(type: number): void {
    super.ended(type);
    this.#onEnd(type, 1);
  }

  override closes(type: number): void {
    super.closes(type);
    this.#onEnd(type, 0);
  }
}

/** [bytes.length]: the class of the token behind each byte; 0 where the file ends first. */
export function nextTokenClasses(path: string, bytes: Uint8Array): Uint8Array {
  const classes = new Uint8Array(bytes.length);
  let t = 0;
  let from = 0;
  const scanner = new TokenEnds(path, (type, before) => {
    const last = t - before;
    // Bytes before the token's last one look at it, or through blanks to it.
    if (last > from) classes.fill(type, from, last);
    from = Math.max(from, last);
  });
  for (; t < bytes.length; t++) scanner.push(bytes[t]!);
  return classes;
}
