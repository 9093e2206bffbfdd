/**
 * Embeddings for the query, a few texts at a time, so that completions are not kept waiting, and remembered by
 * text: on a CPU the first question may be over before its candidates are embedded, and the next one finds them.
 * A newer question ends the work for an older one.
 */
import { LRUCache } from "lru-cache";
import { NarrowError } from "../model/index.ts";

const BATCH = 2;
const MAX_ENTRIES = 8000;

export class Embedder {
  private readonly ask: (texts: readonly string[]) => Promise<readonly (readonly number[])[]>;
  private readonly known = new LRUCache<string, Float32Array>({ max: MAX_ENTRIES });
  private newest = 0;
  private model = 0;

  constructor(ask: (texts: readonly string[]) => Promise<readonly (readonly number[])[]>) {
    this.ask = ask;
  }

  /** Another model was loaded: its space is another one. */
  forget(): void {
    this.model++;
    this.known.clear();
  }

  async embed(texts: readonly Uint8Array[]): Promise<readonly Float32Array[]> {
    const mine = ++this.newest;
    const { model } = this;
    const words = texts.map((text) => new TextDecoder().decode(text));
    const missing = [...new Set(words)].filter((text) => !this.known.has(text));
    for (let first = 0; first < missing.length; first += BATCH) {
      const batch = missing.slice(first, first + BATCH);
      const vectors = await this.ask(batch);
      if (vectors.length !== batch.length)
        throw new NarrowError("NG_EMBED", `${batch.length} texts gave ${vectors.length} vectors`);
      if (model !== this.model) throw new NarrowError("NG_SUPERSEDED", "another model answers now");
      batch.forEach((text, index) => this.known.set(text, Float32Array.from(vectors[index]!)));
      if (mine !== this.newest)
        throw new NarrowError("NG_SUPERSEDED", "a newer question is being answered");
    }
    return words.map((text) => this.known.get(text)!);
  }
}
