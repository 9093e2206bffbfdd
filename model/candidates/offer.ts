/** What a language server offers for one name, as a byte trie. */
import { NameTrie } from "./nameTrie.ts";

/** Names that a language server offers at the cursor: whole ones, without what is typed of them being taken off. */
export interface NameList {
  readonly names: readonly string[];
  /** 1: nothing else can stand here. */
  readonly complete: 0 | 1;
}

export interface Offer {
  /** Of one channel, in which every name weighs 1. */
  readonly names: NameTrie;
  readonly complete: 0 | 1;
}

const encoder = new TextEncoder();

export function offerOf(list: NameList): Offer {
  const names = new NameTrie(1);
  for (const name of list.names) names.add(encoder.encode(name), 0, 1);
  return { names, complete: list.complete };
}
