/**
 * A byte trie of names with weights. Every node holds, per channel, the sum of the weights of the names that begin with
 * its bytes and the weight of the name that ends there, so the share of each next byte after any beginning is one look
 * at the node's children.
 */

export const ROOT = 0;
export const NOWHERE = -1;

export class NameTrie {
  readonly channels: number;
  #nodes = 1;
  #byte = new Uint8Array(64);
  #child = new Int32Array(64);
  #sibling = new Int32Array(64);
  #sum: Float64Array;
  #end: Float64Array;

  constructor(channels: number) {
    this.channels = channels;
    this.#sum = new Float64Array(64 * channels);
    this.#end = new Float64Array(64 * channels);
  }

  get nodeCount(): number {
    return this.#nodes;
  }

  /** Adds to a name's weight in one channel; what was never added weighs 0. */
  add(name: Uint8Array, channel: number, weight: number): void {
    const { channels } = this;
    let node = ROOT;
    this.#sum[channel]! += weight;
    for (const byte of name) {
      let next = this.step(node, byte);
      if (next === NOWHERE) next = this.#grow(node, byte);
      node = next;
      this.#sum[node * channels + channel]! += weight;
    }
    this.#end[node * channels + channel]! += weight;
  }

  /** Multiplies all weights of a channel, so that growing weights stay in range. */
  scale(channel: number, factor: number): void {
    for (let at = channel; at < this.#nodes * this.channels; at += this.channels) {
      this.#sum[at]! *= factor;
      this.#end[at]! *= factor;
    }
  }

  /** The node one byte further; NOWHERE where no name goes on so. */
  step(node: number, byte: number): number {
    if (node === NOWHERE) return NOWHERE;
    let child = this.#child[node]!;
    while (child !== 0 && this.#byte[child] !== byte) child = this.#sibling[child]!;
    return child === 0 ? NOWHERE : child;
  }

  /** Weight of all names from here on. */
  sum(node: number, channel: number): number {
    return node === NOWHERE ? 0 : this.#sum[node * this.channels + channel]!;
  }

  /** Weight of the name that ends here. */
  end(node: number, channel: number): number {
    return node === NOWHERE ? 0 : this.#end[node * this.channels + channel]!;
  }

  /** Calls visit with each next byte and the weight of the names behind it, where there is any. */
  spread(node: number, channel: number, visit: (byte: number, weight: number) => void): void {
    if (node === NOWHERE) return;
    for (let child = this.#child[node]!; child !== 0; child = this.#sibling[child]!) {
      const weight = this.#sum[child * this.channels + channel]!;
      if (weight > 0) visit(this.#byte[child]!, weight);
    }
  }

  copy(): NameTrie {
    const copy = new NameTrie(this.channels);
    copy.#nodes = this.#nodes;
    copy.#byte = this.#byte.slice();
    copy.#child = this.#child.slice();
    copy.#sibling = this.#sibling.slice();
    copy.#sum = this.#sum.slice();
    copy.#end = this.#end.slice();
    return copy;
  }

  #grow(parent: number, byte: number): number {
    const node = this.#nodes++;
    if (node === this.#byte.length) {
      const wider = <T extends Uint8Array | Int32Array | Float64Array>(from: T, to: T): T => {
        to.set(from);
        return to;
      };
      const size = node * 2;
      this.#byte = wider(this.#byte, new Uint8Array(size));
      this.#child = wider(this.#child, new Int32Array(size));
      this.#sibling = wider(this.#sibling, new Int32Array(size));
      this.#sum = wider(this.#sum, new Float64Array(size * this.channels));
      this.#end = wider(this.#end, new Float64Array(size * this.channels));
    }
    this.#byte[node] = byte;
    this.#sibling[node] = this.#child[parent]!;
    this.#child[parent] = node;
    return node;
  }
}
