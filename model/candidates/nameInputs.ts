/**
 * What the pool of names in scope is given about every event that may come next: the mixture's logarithm, and how each
 * source raises it. Events are the bytes that continue a name and its end, or before a name the bytes that begin one.
 */
import { INPUTS } from "./candidateWeights.ts";
import type { NameTrie } from "./nameTrie.ts";

/** Events beside the ASCII bytes of names: no byte of the name follows; a byte of a multi-byte character does, all of
 *  which move together. */
export const END = 256;
export const HIGH = 257;
export const FIRST_HIGH = 128;
export const EVENTS = 258;
export const LOWEST = 1e-9;
/** Weight of the mixture within each source's opinion: so many occurrences speak as loud as it does. */
const PRIOR = [1, 1, 1, 2, 4] as const;

export class NameInputs {
  /** The mixture's probability of every event. */
  readonly before = new Float64Array(EVENTS);
  /** [event, input] */
  readonly values = new Float64Array(EVENTS * INPUTS);
  #events: readonly number[] = [];
  #mass = 0;

  /** Of these events, whose probabilities sum to `mass`, nothing is said yet. */
  begin(events: readonly number[], mass: number): void {
    this.#events = events;
    this.#mass = mass;
    for (const event of events) {
      const at = event * INPUTS;
      this.values[at] = Math.log(Math.max(LOWEST, this.before[event]! / mass));
      this.values.fill(0, at + 1, at + INPUTS);
    }
  }

  /** One source's inputs: ln(1 + share ⁄ p), the share being that of its names that go on with the event. */
  say(source: number, trie: NameTrie, node: number, channel: number, unit: number): void {
    const total = trie.sum(node, channel) * unit;
    if (total === 0) return;
    const { before, values } = this;
    const scale = (unit * this.#mass) / (total + PRIOR[source - 1]!);
    const raise = (event: number, weight: number): void => {
      values[event * INPUTS + source] = Math.log1p(
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
    if (end > 0 && this.#events.includes(END)) raise(END, end);
  }
}
