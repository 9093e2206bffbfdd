/**
 * What a language server offers for one name, as a byte trie: its names alike, by their rank, and by how often they
 * stood in scope. Only names that begin with what is typed count, as in the editor's own list.
 */
import { NameTrie } from "./nameTrie.ts";

/** Names that a language server offers at the cursor: whole ones, without what is typed of them being taken off. */
export interface NameList {
  /** The server's first choice first. */
  readonly names: readonly string[];
  /** 1: nothing else can stand here. */
  readonly complete: 0 | 1;
}

/** Channels of the trie. */
export const ALIKE = 0;
export const BY_RANK = 1;
export const IN_SCOPE = 2;
const CHANNELS = 3;

export interface Offer {
  readonly names: NameTrie;
  readonly complete: 0 | 1;
}

const encoder = new TextEncoder();

/** Undefined where no name of the list begins with `typed`: the list is of another place or another time. */
export function offerOf(
  list: NameList,
  typed: readonly number[],
  inScope: (name: Uint8Array) => number,
): Offer | undefined {
  const names = new NameTrie(CHANNELS);
  let rank = 0;
  for (const text of list.names) {
    const name = encoder.encode(text);
    if (!typed.every((byte, i) => byte === name[i])) continue;
    names.add(name, ALIKE, 1);
    names.add(name, BY_RANK, 1 / ++rank);
    const count = inScope(name);
    if (count > 0) names.add(name, IN_SCOPE, count);
  }
  return rank === 0 ? undefined : { names, complete: list.complete };
}
