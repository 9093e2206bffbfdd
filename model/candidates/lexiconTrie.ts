/** The lexicon's names as a trie of [plain, member] occurrence counts, without what one file says. */
import { isMemberType } from "../facts/scannerState.ts";
import type { FactLexicon } from "../facts/lexicon.ts";
import { NameTrie } from "./nameTrie.ts";
import { CODE, MEMBER } from "./nameReader.ts";

const encoder = new TextEncoder();

export function lexiconTrie(lexicon: FactLexicon, exclude: string): NameTrie {
  const trie = new NameTrie(2);
  for (const name of lexicon.names()) {
    const answer = lexicon.lookup(name, { exclude });
    if (answer === undefined) continue;
    const channel = isMemberType(answer.tokenType) ? MEMBER : CODE;
    trie.add(encoder.encode(name), channel, Math.max(1, answer.count));
  }
  return trie;
}
