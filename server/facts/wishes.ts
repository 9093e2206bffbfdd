/**
 * What is worth asking a language server: a name that several files use helps in all of them, and after a
 * few answers it is known.
 */

import { wordsOf } from "../../model/index.ts";
import type { EvidenceBudget, SourceFile } from "./source.ts";
import { inStretches } from "./stretches.ts";

/** A name that was asked about in so many files is known, or known to be ambiguous. */
const MAX_ASKED_PER_NAME = 8;

/** Which names are worth a question. What several files use comes first; what one file alone uses, only
 *  while there is more time than the other files need. */
export class Wishes {
  readonly #frequency = new Map<string, number>();
  readonly #asked = new Map<string, number>();

  add(file: SourceFile): void {
    for (const name of new Set(wordsOf(file.path, file.bytes).map((word) => word.name)))
      this.#frequency.set(name, (this.#frequency.get(name) ?? 0) + 1);
  }

  forFile(o: { readonly isAhead: boolean }): Pick<EvidenceBudget, "priority" | "asked"> {
    return {
      priority: (name) => {
        if ((this.#asked.get(name) ?? 0) >= MAX_ASKED_PER_NAME) return 0;
        const files = this.#frequency.get(name) ?? 0;
        return files > 1 || o.isAhead ? files : 0;
      },
      asked: (name) => {
        this.#asked.set(name, (this.#asked.get(name) ?? 0) + 1);
      },
    };
  }
}

/** Counts in how many files each name occurs; what is not counted in time is asked last. */
export async function countFiles(
  groups: ReadonlyMap<string, readonly SourceFile[]>,
  deadline: number,
  signal: AbortSignal,
): Promise<Wishes> {
  const wishes = new Wishes();
  await inStretches(
    [...groups.values()].flat(),
    (file) => wishes.add(file),
    () => signal.aborted || performance.now() > deadline,
  );
  return wishes;
}
