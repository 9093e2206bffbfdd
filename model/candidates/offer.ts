/** What a language server offers for one name, as a byte trie that knows the first of the names behind every beginning. */
import { NameTrie, NOWHERE, ROOT } from "./nameTrie.ts";

/** Names that a language server offers at the cursor: whole ones, without what is typed of them being taken off. */
export interface NameList {
  readonly names: readonly string[];
  /** How many of the names the server puts before each; where it says nothing, it puts none before another. */
  readonly ranks?: readonly number[];
  /** 1: nothing else can stand here. */
  readonly complete: 0 | 1;
}

const encoder = new TextEncoder();

export class Offer {
  readonly complete: 0 | 1;
  /** Of one channel, in which every name weighs 1. */
  readonly #names = new NameTrie(1);
  /** By node: −ln(1 + rank) of the first of the names that go through it, and of the one that ends there. */
  readonly #through: number[] = [];
  readonly #ended: number[] = [];

  constructor(list: NameList) {
    this.complete = list.complete;
    for (const [i, name] of list.names.entries()) {
      const order = -Math.log1p(list.ranks?.[i] ?? 0);
      const bytes = encoder.encode(name);
      this.#names.add(bytes, 0, 1);
      let node = ROOT;
      for (const byte of bytes) {
        node = this.#names.step(node, byte);
        this.#through[node] = Math.max(order, this.#through[node] ?? -Infinity);
      }
      this.#ended[node] = Math.max(order, this.#ended[node] ?? -Infinity);
    }
  }

  /** Whether any name begins with the bytes. Calls `goesOn` for each byte that such a name goes on with, and `ends` where
   *  they are a whole one, with −ln(1 + rank) of the first of these names. */
  visit(
    word: readonly number[],
    goesOn: (byte: number, order: number) => void,
    ends: (order: number) => void,
  ): boolean {
    let node = ROOT;
    for (const byte of word) node = this.#names.step(node, byte);
    if (node === NOWHERE) return false;
    this.#names.spread(node, 0, (byte) =>
      goesOn(byte, this.#through[this.#names.step(node, byte)]!),
    );
    if (this.#names.end(node, 0) > 0) ends(this.#ended[node]!);
    return true;
  }
}
