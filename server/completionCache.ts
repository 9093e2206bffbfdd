/**
 * Suggestions already computed, so that typing along one is answered without the model. A look-up walks
 * backwards from the cursor: a suggestion made k bytes ago still holds if exactly its first k bytes were typed
 * and nothing else around the cursor changed. An empty suggestion is remembered too: silence is an answer.
 */
import { LRUCache } from "lru-cache";
import type { ByteOffset, DocumentText } from "./documents.ts";

/** Bytes compared on either side; more than any line, so that an edit nearby misses. */
const TAIL_BYTES = 512;
const HEAD_BYTES = 128;
const MAX_ENTRIES = 256;
/** How far back a suggestion can have started; the longest allowed suggestion. */
const MAX_WALK_BYTES = 1024;

interface Entry {
  readonly tail: Uint8Array;
  readonly head: Uint8Array;
  readonly suggestion: Uint8Array;
  readonly confidence: number;
}

export interface CachedSuggestion {
  readonly text: string;
  readonly confidence: number;
  /** Bytes of the suggestion that were typed since it was made. */
  readonly typedBytes: number;
}

export interface CachePlace {
  readonly uri: string;
  readonly document: DocumentText;
  readonly offset: ByteOffset;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class CompletionCache {
  private readonly entries = new LRUCache<string, Entry>({ max: MAX_ENTRIES });

  store(
    place: CachePlace,
    suggestion: { readonly text: string; readonly confidence: number },
  ): void {
    const { bytes } = place.document;
    this.entries.set(keyOf(place.uri, place.offset), {
      // Copies, so that a cached suggestion does not keep a whole old document alive.
      tail: bytes.slice(Math.max(0, place.offset - TAIL_BYTES), place.offset),
      head: bytes.slice(place.offset, place.offset + HEAD_BYTES),
      suggestion: encoder.encode(suggestion.text),
      confidence: suggestion.confidence,
    });
  }

  find(place: CachePlace): CachedSuggestion | undefined {
    const { uri, document, offset } = place;
    const { bytes } = document;
    for (let typed = 0; typed <= Math.min(offset, MAX_WALK_BYTES); typed++) {
      const entry = this.entries.get(keyOf(uri, offset - typed));
      if (entry === undefined) continue;
      const { suggestion, tail, head, confidence } = entry;
      if (typed > 0 && typed >= suggestion.length) continue;
      const start = offset - typed;
      if (!equal(suggestion.subarray(0, typed), bytes.subarray(start, offset))) continue;
      if (!equal(tail, bytes.subarray(Math.max(0, start - TAIL_BYTES), start))) continue;
      if (!equal(head, bytes.subarray(offset, offset + HEAD_BYTES))) continue;
      return { text: decoder.decode(suggestion.subarray(typed)), confidence, typedBytes: typed };
    }
    return undefined;
  }

  clear(): void {
    this.entries.clear();
  }
}

function keyOf(uri: string, offset: number): string {
  return `${offset} ${uri}`;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
