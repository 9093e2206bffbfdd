/** What of the text so far says what comes next, besides its last bytes: words, the line above, the open bracket, the
 *  shape of the line, bytes with gaps. One 32-bit hash per kind of context, kept up to date byte by byte; a function of
 *  the bytes pushed since the beginning of the file and of nothing else. Kinds in the manner of PAQ's text and record
 *  models (Mahoney 2005), chosen for source code. */

export const KINDS = 12;

/** Bytes of a line that the line below is compared with. */
const LINE_BYTES = 512;
const MAX_DEPTH = 64;
const LINE_END = 10;
const MAX_ARGUMENT = 3;

export const isWordByte = Uint8Array.from({ length: 256 }, (_, b) =>
  (b >= 97 && b <= 122) ||
  (b >= 65 && b <= 90) ||
  (b >= 48 && b <= 57) ||
  b === 95 ||
  b === 36 ||
  b >= 128
    ? 1
    : 0,
);

function mixed(a: number, b: number): number {
  let hash = Math.imul(a ^ (b + 0x7f4a7c15), 0x2c1b3c6d);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x297a2d39);
  return hash ^ (hash >>> 13);
}

/** Fields of the state: all integers, so that a copy is one `set`. */
const LAST = 0; // to LAST + 5: the last six bytes, newest first
const WORD = 6; // hash of the word so far
const WORD_LENGTH = 7;
const WORDS = 8; // three words before it, nearest first
const GAP = 11; // marks since the previous word
const TOKENS = 12; // three tokens, words or marks, nearest first
const INDENT = 15;
const COLUMN = 16;
const IN_INDENT = 17;
const LINE_WORD = 18; // first word of this line
const LINE_MARK = 19; // first byte of this line that is no space
const ABOVE_WORD = 20;
const ABOVE_INDENT = 21;
const ABOVE_LENGTH = 22;
const DEPTH = 23;
const BRACKETS = 24;
const ARGUMENTS = BRACKETS + MAX_DEPTH;
const STATE_SIZE = ARGUMENTS + MAX_DEPTH;

export class CodeContext {
  /** Of each kind, the context at the end of the bytes so far. */
  readonly hash = new Int32Array(KINDS);
  private readonly state = new Int32Array(STATE_SIZE);
  private line = new Uint8Array(LINE_BYTES);
  private above = new Uint8Array(LINE_BYTES);

  constructor() {
    this.state.fill(LINE_END, LAST, LAST + 6);
    this.state[IN_INDENT] = 1;
    this.update();
  }

  copyFrom(other: CodeContext): void {
    this.hash.set(other.hash);
    this.state.set(other.state);
    this.line.set(other.line);
    this.above.set(other.above);
  }

  /** The byte `back` places before the next one; a line end before the beginning of the file. */
  last(back: 1 | 2 | 3): number {
    return this.state[LAST + back - 1]!;
  }

  /** Bytes of the word that the next byte may continue. */
  get wordLength(): number {
    return this.state[WORD_LENGTH]!;
  }

  get column(): number {
    return this.state[COLUMN]!;
  }

  /** First byte of the line that is no space; 0 before it. */
  get lineMark(): number {
    return this.state[LINE_MARK]!;
  }

  push(byte: number): void {
    const { state } = this;
    // Plain moves: `copyWithin` costs more than all the rest of a byte.
    for (let i = LAST + 5; i > LAST; i--) state[i] = state[i - 1]!;
    state[LAST] = byte;
    if (isWordByte[byte] === 1) {
      state[WORD] = mixed(state[WORD]!, byte);
      state[WORD_LENGTH]!++;
    } else this.pushMark(byte);
    const column = state[COLUMN]!;
    if (column < LINE_BYTES) this.line[column] = byte;
    state[COLUMN] = column + 1;
    if (byte === LINE_END) this.endLine(column);
    else if (state[IN_INDENT] === 1 && byte !== 32 && byte !== 9) {
      state[IN_INDENT] = 0;
      state[INDENT] = column;
      state[LINE_MARK] = byte;
    }
    this.update();
  }

  private pushMark(byte: number): void {
    const { state } = this;
    if (state[WORD_LENGTH]! > 0) {
      const word = state[WORD]!;
      state[WORDS + 2] = state[WORDS + 1]!;
      state[WORDS + 1] = state[WORDS]!;
      state[WORDS] = word;
      this.pushToken(word);
      if (state[LINE_WORD] === 0) state[LINE_WORD] = word;
      state[WORD] = 0;
      state[WORD_LENGTH] = 0;
      state[GAP] = 0;
    }
    if (byte === 32 || byte === 9 || byte === LINE_END || byte === 13) return;
    state[GAP] = mixed(state[GAP]!, byte);
    this.pushToken(byte);
    const depth = state[DEPTH]!;
    if (byte === 40 || byte === 91 || byte === 123) {
      const inner = Math.min(MAX_DEPTH - 1, depth + 1);
      state[DEPTH] = inner;
      state[BRACKETS + inner] = mixed(state[WORDS]!, byte);
      state[ARGUMENTS + inner] = 0;
    } else if (byte === 41 || byte === 93 || byte === 125) {
      if (depth > 0) state[DEPTH] = depth - 1;
    } else if (byte === 44 && state[ARGUMENTS + depth]! < MAX_ARGUMENT) {
      state[ARGUMENTS + depth]!++;
    }
  }

  private pushToken(token: number): void {
    const { state } = this;
    state[TOKENS + 2] = state[TOKENS + 1]!;
    state[TOKENS + 1] = state[TOKENS]!;
    state[TOKENS] = token;
  }

  private endLine(length: number): void {
    const { state, line } = this;
    this.line = this.above;
    this.above = line;
    state[ABOVE_LENGTH] = Math.min(LINE_BYTES, length);
    state[ABOVE_WORD] = state[LINE_WORD]!;
    state[ABOVE_INDENT] = state[INDENT]!;
    state[LINE_WORD] = 0;
    state[LINE_MARK] = 0;
    state[INDENT] = 0;
    state[COLUMN] = 0;
    state[IN_INDENT] = 1;
  }

  private update(): void {
    const { state, hash, above } = this;
    const one = state[LAST]!;
    const two = state[LAST + 1]!;
    const three = state[LAST + 2]!;
    const four = state[LAST + 3]!;
    const column = state[COLUMN]!;
    const aboveLength = state[ABOVE_LENGTH]!;
    const over = column < aboveLength ? above[column]! : LINE_END;
    const overNext = column + 1 < aboveLength ? above[column + 1]! : LINE_END;
    const depth = state[DEPTH]!;
    // Between words the last byte stands for the word.
    const word = mixed(state[WORD]!, state[WORD_LENGTH] === 0 ? one + 7 : 1);
    const previous = mixed(word, state[WORDS]!);
    const start = mixed(state[INDENT]!, state[IN_INDENT]!);
    const aboveStart = mixed(state[ABOVE_WORD]!, state[ABOVE_INDENT]!);
    const bracket = mixed(state[BRACKETS + depth]!, state[ARGUMENTS + depth]!);
    const tokens = mixed(mixed(state[TOKENS]!, state[TOKENS + 1]!), state[TOKENS + 2]!);
    hash[0] = mixed(previous, 1);
    hash[1] = mixed(mixed(previous, state[WORDS + 1]!), 2);
    hash[2] = mixed(mixed(previous, state[GAP]!), 3);
    hash[3] = mixed((over << 16) | (overNext << 8) | one, 4);
    hash[4] = mixed(mixed(mixed(start, aboveStart), word), 5);
    hash[5] = mixed(mixed(bracket, word), 6);
    hash[6] = mixed(two | (three << 8) | (four << 16), 7);
    hash[7] = mixed(three | (four << 8) | (state[LAST + 4]! << 16) | (state[LAST + 5]! << 24), 8);
    hash[8] = mixed(mixed(mixed(state[LINE_WORD]!, state[LINE_MARK]!), word), 9);
    hash[9] = mixed(mixed(tokens, word), 10);
    hash[10] = mixed(mixed(mixed(state[WORDS + 1]!, state[WORDS + 2]!), word), 11);
    hash[11] = mixed(mixed(one | (three << 8) | (four << 16), state[WORD_LENGTH]!), 12);
  }
}
