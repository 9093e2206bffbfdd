/**
 * From what was said of each file to the lexicon of names and the table of symbols. Local names lose their
 * definition here, because only now it is known what each file shows to others.
 */

import { identityOf, tokenTypeOfSymbolKind } from "../../model/index.ts";
import { FactLexicon } from "../../model/index.ts";
import type { NameEvidence } from "../../model/index.ts";
import type { FileEvidence, SymbolEntry, SymbolTable } from "./source.ts";
import { inStretches } from "./stretches.ts";

/** What one source said of one file. */
export interface Answer {
  readonly evidence: FileEvidence;
  readonly source: string;
}

/** By path. */
export type Answers = Map<string, Answer>;

/** Of what lies inside functions, only what has a body of its own is worth finding. */
const BODY_KINDS = new Set([5, 6, 9, 10, 11, 12, 23]);

export async function mergeAnswers(
  answers: Answers,
): Promise<{ lexicon: FactLexicon; symbols: SymbolTable }> {
  const symbols: SymbolTable = [];
  /** Names that other files may see, by file. */
  const shared = new Map<string, Set<string>>();
  /** For names without a resolved definition: the one symbol of that name, if no other file has one. */
  const declaredIn = new Map<string, SymbolEntry | undefined>();
  for (const path of [...answers.keys()].sort()) {
    const own = new Set<string>();
    shared.set(path, own);
    for (const symbol of answers.get(path)!.evidence.symbols) {
      if (!symbol.local || BODY_KINDS.has(symbol.kind)) symbols.push(symbol);
      if (symbol.local || own.has(symbol.name)) continue;
      own.add(symbol.name);
      declaredIn.set(symbol.name, declaredIn.has(symbol.name) ? undefined : symbol);
    }
  }
  const lexicon = new FactLexicon();
  await inStretches([...answers.keys()].sort(), (path) => {
    const { evidence, source } = answers.get(path)!;
    const items: NameEvidence[] = [];
    for (const { name, tokenType: said, modifiers, definition, count } of evidence.identifiers) {
      let place = definition;
      let tokenType = said;
      // Local names mean nothing elsewhere.
      if (place?.path === path && !shared.get(path)!.has(place.name)) place = undefined;
      else if (!place && source === "tree-sitter") {
        const only = declaredIn.get(name);
        if (only) place = { path: only.path, name };
        if (only && tokenType === 0) tokenType = tokenTypeOfSymbolKind(only.kind);
      }
      const identity = place ? identityOf(place.path, place.name) : 0;
      if (tokenType !== 0 || identity !== 0)
        items.push({ name, tokenType, modifiers, identity, count });
    }
    lexicon.setFile(path, items);
  });
  return { lexicon, symbols };
}
