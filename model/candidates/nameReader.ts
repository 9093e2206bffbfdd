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
import { INPUTS, OFFERED_INPUTS, type CandidateWeights } from "./candidateWeights.ts";
import { NameTrie, NOWHERE, ROOT } from "./nameTrie.ts";
import { ALIKE, BY_RANK, IN_SCOPE, offerOf, type NameList, type Offer } from "./offer.ts";

/** Places, in the order of the weights. */
export const CODE = 0;
export const MEMBER = 1;
const TEXT = 2;
/** A name counts half as much after this many others, in each channel of this file's trie; two for each place in code. */
const HALF_LIVES = [150, 15] as const;
const GROWTH = HALF_LIVES.map((names) => 2 ** (1 / names));
const SPEEDS = HALF_LIVES.length;
const RESCALE_AT = 1e200;
/** Weight of the mixture within each source's opinion: so many occurrences speak as loud as it does. */
const PRIOR = [1, 1, 1, 2, 4, 0, 0, 1] as const;
/** Inputs of an offer, behind those of the other sources; the last is 1 for what some name of it goes on with. */
const OFFERED = INPUTS;
const SUPPORT = OFFERED + 3;
const SHORTEST_NAME = 2;
const LONGEST_NAME = 64;
const LOWEST = 1e-9;
const DOT = 46;
/** Events beside the ASCII bytes of names: no byte of the name follows; a byte of a multi-byte character does, all of
 *  which move together. */
const END = 256;
const HIGH = 257;
const FIRST_HIGH = 128;
const EVENTS = 258;
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
  #isNumber: 0 | 1 = 0;
  /** What is offered for the name at hand or the next one, and for no later one. */
  #offer: Offer | undefined;
  // Of the last adjust, for learn.
  #events: readonly number[] = NOTHING;
  readonly #first: readonly number[];
  readonly #inside: readonly number[];
  readonly #input = new Float64Array(EVENTS * OFFERED_INPUTS);
  readonly #before = new Float64Array(EVENTS);
  readonly #after = new Float64Array(EVENTS);
  #mass = 0;
  #at = 0;
  /** Where the weights of an offer stand that has a say. */
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
    fork.#isNumber = this.#isNumber;
    fork.#offer = this.#offer;
    return fork;
  }

  /** Takes in what a language server offers behind the bytes pushed and `more` of the name. With a complete list nothing
   *  else may follow. It holds for one name. */
  offer(list: NameList | undefined, more: readonly number[] = []): void {
    this.#offer = undefined;
    if (list === undefined) return;
    const own = this.#place() === MEMBER ? MEMBER : CODE;
    const other = own === MEMBER ? CODE : MEMBER;
    const { lexicon } = this.#sources;
    const slow = 1 / this.#now[0]!;
    this.#offer = offerOf(list, [...this.#word, ...more], (name) => {
      const here = walk(this.#local, name);
      const there = walk(lexicon, name);
      return (
        this.#local.end(here, own * SPEEDS) * slow +
        (this.#local.end(here, other * SPEEDS) * slow + lexicon.end(there, own)) / 4
      );
    });
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
    if (!isBlank) this.#last = byte;
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
    const before = this.#before;
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
    const offered = this.#gatherOffer(word);
    this.#offeredAt = offered ? this.#weights.offeredAt(place, word.length) : undefined;
    this.#pool();
    this.#constrain(word);
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

  /** The inputs of every event: the logarithm of its probability, and how each source raises it. */
  #gather(word: readonly number[], place: number): void {
    const input = this.#input;
    for (const event of this.#events) {
      const at = event * OFFERED_INPUTS;
      input[at] = Math.log(Math.max(LOWEST, this.#before[event]! / this.#mass));
      input.fill(0, at + 1, at + OFFERED_INPUTS);
    }
    const own = place === MEMBER ? MEMBER : CODE;
    const other = own === MEMBER ? CODE : MEMBER;
    const local = this.#local;
    const { lexicon } = this.#sources;
    const here = walk(local, word);
    const there = walk(lexicon, word);
    const [slow, fast] = this.#now as unknown as readonly [number, number];
    this.#say(1, local, here, own * SPEEDS, 1 / slow);
    this.#say(2, local, here, own * SPEEDS + 1, 1 / fast);
    this.#say(3, local, here, other * SPEEDS, 1 / slow);
    this.#say(4, lexicon, there, own, 1);
    this.#say(5, lexicon, there, other, 1);
  }

  /** The inputs of what is offered; false where that has nothing to say. */
  #gatherOffer(word: readonly number[]): boolean {
    if (this.#offer === undefined) return false;
    const { names } = this.#offer;
    const node = walk(names, word);
    if (names.sum(node, ALIKE) === 0) return false;
    for (const channel of [ALIKE, BY_RANK, IN_SCOPE])
      this.#say(OFFERED + channel, names, node, channel, 1);
    const input = this.#input;
    for (const event of this.#events)
      input[event * OFFERED_INPUTS + SUPPORT] = input[event * OFFERED_INPUTS + OFFERED]! > 0 ? 1 : 0; // prettier-ignore
    return true;
  }

  /** One source's inputs: ln(1 + share ⁄ p), the share being that of its names that go on with the event. */
  #say(source: number, trie: NameTrie, node: number, channel: number, unit: number): void {
    const total = trie.sum(node, channel) * unit;
    if (total === 0) return;
    const input = this.#input;
    const before = this.#before;
    const scale = (unit * this.#mass) / (total + PRIOR[source - 1]!);
    const raise = (event: number, weight: number): void => {
      input[event * OFFERED_INPUTS + source] = Math.log1p(
        (weight * scale) / Math.max(LOWEST, before[event]!),
      );
    };
    let high = 0;
    trie.spread(node, channel, (byte, weight) => {
      if (byte < FIRST_HIGH) raise(byte, weight);
      else high += weight;
    });
    if (high > 0) raise(HIGH, high);
    const end = trie.end(node, channel);
    if (end > 0 && this.#events === this.#inside) raise(END, end);
  }

  #pool(): void {
    const { weight, offered } = this.#weights;
    const input = this.#input;
    const after = this.#after;
    const at = this.#at;
    const offeredAt = this.#offeredAt;
    let highest = -Infinity;
    for (const event of this.#events) {
      const from = event * OFFERED_INPUTS;
      let score = input[from]!;
      for (let i = 0; i < INPUTS; i++) score += weight[at + i]! * input[from + i]!;
      if (offeredAt !== undefined)
        for (let i = 0; i < OFFERED_INPUTS; i++)
          score += offered[offeredAt + i]! * input[from + i]!;
      after[event] = score;
      if (score > highest) highest = score;
    }
    let sum = 0;
    for (const event of this.#events) sum += after[event] = Math.exp(after[event]! - highest);
    for (const event of this.#events) after[event] = (after[event]! / sum) * this.#mass;
  }

  /** With a complete list only its names may be written, unless the bytes so far are the beginning of none. */
  #constrain(word: readonly number[]): void {
    if (this.#offer?.complete !== 1) return;
    const { names } = this.#offer;
    const node = walk(names, word);
    if (node === NOWHERE) return;
    const after = this.#after;
    let hasHigh = false;
    names.spread(node, ALIKE, (byte) => (hasHigh ||= byte >= FIRST_HIGH));
    let sum = 0;
    for (const event of this.#events) {
      const may =
        event === END
          ? names.end(node, ALIKE) > 0
          : event === HIGH
            ? hasHigh
            : names.step(node, event) !== NOWHERE;
      if (!may) after[event] = 0;
      sum += after[event]!;
    }
    if (sum === 0) this.#pool();
    else for (const event of this.#events) after[event]! *= this.#mass / sum;
  }

  /** Moves the weights towards what came after the last adjust; does nothing where it changed nothing. */
  learn(o: { byte: number; rate: number }): void {
    const came = o.byte >= FIRST_HIGH ? HIGH : this.#isName[o.byte] === 1 ? o.byte : END;
    const events = this.#events;
    this.#events = NOTHING;
    if (!events.includes(came)) return;
    const { weight, offered } = this.#weights;
    const input = this.#input;
    // Where a list is offered its own weights learn, and the others stay what they are without one.
    const isOffered = this.#offeredAt !== undefined;
    const [learning, at] = isOffered ? [offered, this.#offeredAt!] : [weight, this.#at];
    for (let i = 0; i < (isOffered ? OFFERED_INPUTS : INPUTS); i++) {
      let expected = 0;
      for (const event of events)
        expected += this.#after[event]! * input[event * OFFERED_INPUTS + i]!;
      learning[at + i]! += o.rate * (input[came * OFFERED_INPUTS + i]! - expected / this.#mass);
    }
    this.#weights.fittedOn++;
  }
}

function walk(trie: NameTrie, word: ArrayLike<number> & Iterable<number>): number {
  let node = ROOT;
  for (const byte of word) node = trie.step(node, byte);
  return node;
}

const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;
