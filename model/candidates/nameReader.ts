/**
 * Reads one file from left to right and changes the mixture's distribution over the next byte by what names are in
 * scope: names that stood in this file before, what the lexicon says of other files, and a completion list where one is
 * given. Inside a name the events are each byte that continues it and its end, whose mass keeps the mixture's
 * proportions; before a name only the bytes that begin one are moved among themselves. So the 256 probabilities keep
 * their sum, and nothing depends on bytes that were not pushed.
 */
import { nameBytes } from "../facts/byteKinds.ts";
import { isCommentMode, isStringMode } from "../facts/lexerState.ts";
import { FactScanner, type ScannerSnapshot } from "../facts/scanner.ts";
import { INPUTS, type CandidateWeights } from "./candidateWeights.ts";
import { END, EVENTS, FIRST_HIGH, HIGH, LOWEST, NameInputs } from "./nameInputs.ts";
import { NameTrie, ROOT } from "./nameTrie.ts";
import { Offer, type NameList } from "./offer.ts";

/** Places, in the order of the weights. */
export const CODE = 0;
export const MEMBER = 1;
const TEXT = 2;
/** A name counts half as much after this many others, in each channel of this file's trie; two for each place in code. */
const HALF_LIVES = [150, 15] as const;
const GROWTH = HALF_LIVES.map((names) => 2 ** (1 / names));
const SPEEDS = HALF_LIVES.length;
const RESCALE_AT = 1e200;
const SHORTEST_NAME = 2;
const LONGEST_NAME = 64;
const DOT = 46;
const ARROW = 0x2d3e;
const COLONS = 0x3a3a;
const NOTHING: readonly number[] = [];

/** Names of the workspace's other files, [plain, member] counts. */
export interface NameSources {
  readonly lexicon: NameTrie;
}

export class NameReader {
  readonly #weights: CandidateWeights;
  readonly #sources: NameSources;
  readonly #path: string;
  readonly #isName: Uint8Array;
  readonly #scanner: FactScanner;
  #local = new NameTrie(2 * SPEEDS);
  /** Weight of a name that stands here, by speed: growing instead of letting all others fade. */
  readonly #now = HALF_LIVES.map(() => 1);
  #word: number[] = [];
  /** What stands before the word is a dot. */
  #afterDot: 0 | 1 = 0;
  #last = 0;
  /** The two bytes before the word or the blanks before it, where they are no blank: `->` and `::` are two. */
  #pair = 0;
  #isNumber: 0 | 1 = 0;
  /** What is offered for the name at hand or the next one, and for no later one. */
  #offer: Offer | undefined;
  // Of the last adjust, for learn.
  #events: readonly number[] = NOTHING;
  readonly #first: readonly number[];
  readonly #inside: readonly number[];
  readonly #inputs = new NameInputs();
  readonly #after = new Float64Array(EVENTS);
  /** 1 for what some name that is offered goes on with. */
  readonly #supported = new Uint8Array(EVENTS);
  /** −ln(1 + rank) of the first name that goes on so, where a byte of the name is known. */
  readonly #order = new Float64Array(EVENTS);
  #mass = 0;
  #at = 0;
  /** Where the weight of an offer stands that has a say. */
  #offeredAt: number | undefined;

  constructor(o: { path: string; weights: CandidateWeights; sources: NameSources }) {
    this.#path = o.path;
    this.#weights = o.weights;
    this.#sources = o.sources;
    const isName = nameBytes(o.path);
    const ascii = [...isName.keys()].filter((byte) => byte < FIRST_HIGH && isName[byte] === 1);
    this.#isName = isName;
    this.#first = [...ascii.filter((byte) => !isDigit(byte)), HIGH];
    this.#inside = [...ascii, HIGH, END];
    this.#scanner = new FactScanner(o.path, () => 0);
  }

  /** A second reader at the same place; neither sees what the other is shown from here on. */
  fork(): NameReader {
    const fork = new NameReader({
      path: this.#path,
      weights: this.#weights,
      sources: this.#sources,
    });
    const snapshot: ScannerSnapshot = this.#scanner.snapshot();
    fork.#scanner.restore(snapshot);
    fork.#local = this.#local.copy();
    this.#now.forEach((weight, speed) => (fork.#now[speed] = weight));
    fork.#word = [...this.#word];
    fork.#afterDot = this.#afterDot;
    fork.#last = this.#last;
    fork.#pair = this.#pair;
    fork.#isNumber = this.#isNumber;
    fork.#offer = this.#offer;
    return fork;
  }

  /** Takes in what a language server offers for the name at hand or the next one, and for no later one. With a complete
   *  list nothing else may follow. */
  offer(list: NameList | undefined): void {
    this.#offer = list === undefined ? undefined : new Offer(list);
  }

  #place(): number {
    const isMember = this.#word.length > 0 ? this.#afterDot === 1 : this.#last === DOT;
    return this.#isText() ? TEXT : isMember ? MEMBER : CODE;
  }

  push(byte: number): void {
    if (this.#isName[byte] === 1) {
      if (this.#word.length === 0) {
        this.#afterDot = this.#last === DOT ? 1 : 0;
        this.#isNumber = isDigit(byte) ? 1 : 0;
      }
      this.#word.push(byte);
      this.#scanner.push(byte);
      return;
    }
    const isBlank = byte === 32 || byte === 9 || byte === 10 || byte === 13;
    if (this.#word.length > 0 || !isBlank) this.#offer = undefined;
    if (this.#word.length > 0) this.#keep();
    this.#word.length = 0;
    this.#scanner.push(byte);
    if (isBlank) return;
    this.#pair = (this.#last << 8) | byte;
    this.#last = byte;
  }

  /** The name that has just ended is known from here on. */
  #keep(): void {
    const { length } = this.#word;
    this.#last = this.#word[length - 1]!;
    if (this.#isNumber === 1 || length < SHORTEST_NAME || length > LONGEST_NAME || this.#isText())
      return;
    const name = Uint8Array.from(this.#word);
    const place = this.#afterDot === 1 ? MEMBER : CODE;
    for (let speed = 0; speed < SPEEDS; speed++) {
      this.#local.add(name, place * SPEEDS + speed, this.#now[speed]!);
      this.#now[speed]! *= GROWTH[speed]!;
      if (this.#now[speed]! < RESCALE_AT) continue;
      for (const one of [CODE, MEMBER])
        this.#local.scale(one * SPEEDS + speed, 1 / this.#now[speed]!);
      this.#now[speed] = 1;
    }
  }

  #isText(): boolean {
    const { mode } = this.#scanner;
    return isStringMode(mode) || isCommentMode(mode);
  }

  /** Changes the distribution of the next byte in place; `more` are bytes of the name behind those pushed. */
  adjust(p: Float64Array, more: readonly number[] = []): void {
    const word = more.length === 0 ? this.#word : [...this.#word, ...more];
    const isInside = word.length > 0;
    this.#events = NOTHING;
    if (isInside && isDigit(word[0]!)) return;
    const events = isInside ? this.#inside : this.#first;
    const { before } = this.#inputs;
    let high = 0;
    for (let byte = FIRST_HIGH; byte < 256; byte++) high += p[byte]!;
    before[HIGH] = high;
    let mass = high;
    for (const event of events) if (event < FIRST_HIGH) mass += before[event] = p[event]!;
    const end = Math.max(LOWEST, 1 - mass);
    if (isInside) {
      before[END] = end;
      mass = 1;
    }
    if (mass < LOWEST) return;
    this.#events = events;
    this.#mass = mass;
    const place = this.#place();
    this.#at = this.#weights.at(place, word.length);
    this.#gather(word, place);
    // A server knows what stands inside of what, however that is written.
    const isPart = place === CODE && (this.#pair === ARROW || this.#pair === COLONS);
    this.#offeredAt = this.#gatherOffered(word)
      ? this.#weights.offeredAt(isPart ? MEMBER : place, word.length)
      : undefined;
    this.#pool();
    if (this.#offeredAt !== undefined && this.#offer?.complete === 1) this.#constrain();
    const after = this.#after;
    for (const event of events) if (event < FIRST_HIGH) p[event] = after[event]!;
    // What moves together keeps its proportions.
    const highScale = high > 0 ? after[HIGH]! / high : 0;
    for (let byte = FIRST_HIGH; byte < 256; byte++) p[byte]! *= highScale;
    if (!isInside) return;
    const endScale = after[END]! / end;
    for (let byte = 0; byte < FIRST_HIGH; byte++)
      if (this.#isName[byte] === 0) p[byte]! *= endScale;
  }

  #gather(word: readonly number[], place: number): void {
    const inputs = this.#inputs;
    inputs.begin(this.#events, this.#mass);
    const own = place === MEMBER ? MEMBER : CODE;
    const other = own === MEMBER ? CODE : MEMBER;
    const local = this.#local;
    const { lexicon } = this.#sources;
    const here = walk(local, word);
    const there = walk(lexicon, word);
    const [slow, fast] = this.#now as unknown as readonly [number, number];
    inputs.say(1, local, here, own * SPEEDS, 1 / slow);
    inputs.say(2, local, here, own * SPEEDS + 1, 1 / fast);
    inputs.say(3, local, here, other * SPEEDS, 1 / slow);
    inputs.say(4, lexicon, there, own, 1);
    inputs.say(5, lexicon, there, other, 1);
  }

  /** Which events a name that is offered goes on with; false where none begins with the word. */
  #gatherOffered(word: readonly number[]): boolean {
    if (this.#offer === undefined) return false;
    const supported = this.#supported.fill(0);
    const order = this.#order.fill(0);
    const support = (event: number, first: number): void => {
      // With nothing typed the order of names says little of first bytes.
      if (word.length > 0) order[event] = supported[event] === 1 ? Math.max(order[event]!, first) : first; // prettier-ignore
      supported[event] = 1;
    };
    return this.#offer.visit(
      word,
      (byte, first) => support(byte < FIRST_HIGH ? byte : HIGH, first),
      (first) => support(END, first),
    );
  }

  #pool(): void {
    const { weight, offered, order } = this.#weights;
    const input = this.#inputs.values;
    const after = this.#after;
    const at = this.#at;
    const offeredAt = this.#offeredAt;
    let highest = -Infinity;
    for (const event of this.#events) {
      const from = event * INPUTS;
      let score = input[from]!;
      for (let i = 0; i < INPUTS; i++) score += weight[at + i]! * input[from + i]!;
      if (offeredAt !== undefined)
        score += offered[offeredAt]! * this.#supported[event]! + order[0]! * this.#order[event]!;
      after[event] = score;
      if (score > highest) highest = score;
    }
    let sum = 0;
    for (const event of this.#events) sum += after[event] = Math.exp(after[event]! - highest);
    for (const event of this.#events) after[event] = (after[event]! / sum) * this.#mass;
  }

  /** With a complete list only its names may be written. */
  #constrain(): void {
    const after = this.#after;
    let sum = 0;
    for (const event of this.#events) sum += after[event]! *= this.#supported[event]!;
    if (sum === 0) this.#pool();
    else for (const event of this.#events) after[event]! *= this.#mass / sum;
  }

  /** Moves the weights towards what came after the last adjust; does nothing where it changed nothing. */
  learn(o: { byte: number; rate: number }): void {
    const came = o.byte >= FIRST_HIGH ? HIGH : this.#isName[o.byte] === 1 ? o.byte : END;
    const events = this.#events;
    this.#events = NOTHING;
    if (!events.includes(came)) return;
    const { weight, offered, order } = this.#weights;
    const input = this.#inputs.values;
    // Where a list is offered its weights learn, and the others stay what they are without one.
    if (this.#offeredAt !== undefined) {
      let supported = 0;
      let ordered = 0;
      for (const event of events) {
        supported += this.#after[event]! * this.#supported[event]!;
        ordered += this.#after[event]! * this.#order[event]!;
      }
      offered[this.#offeredAt]! += o.rate * (this.#supported[came]! - supported / this.#mass);
      order[0]! += o.rate * (this.#order[came]! - ordered / this.#mass);
      return;
    }
    for (let i = 0; i < INPUTS; i++) {
      let expected = 0;
      for (const event of events) expected += this.#after[event]! * input[event * INPUTS + i]!;
      weight[this.#at + i]! += o.rate * (input[came * INPUTS + i]! - expected / this.#mass);
    }
    this.#weights.fittedOn++;
  }
}

function walk(trie: NameTrie, word: readonly number[]): number {
  let node = ROOT;
  for (const byte of word) node = trie.step(node, byte);
  return node;
}

const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;
