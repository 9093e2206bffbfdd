/**
 * One order out of two kinds of evidence: BM25's order and the model's similarity are fused by reciprocal rank
 * (Cormack et al. 2009), since ranks are comparable where scores are not. The model is asked in small batches
 * and only while the rest fits into the time; without it, or when it is too slow, BM25's order stands.
 */
import type { MeaningHit } from "./meaning.ts";
import { bytesOfLines } from "./textIndex.ts";

/** Mean-pooled, unit-length vectors of the model's trunk, one per text. */
export type Embed = (texts: readonly Uint8Array[]) => Promise<readonly Float32Array[]>;

/** Damping of reciprocal rank fusion: how little the very first ranks differ. */
const DAMPING = 10;
/** The narrow model's say beside BM25's; it learned to continue code, not to answer questions. */
const MODEL_WEIGHT = 0.35;
/** How many of BM25's first answers the model may reorder. */
const CANDIDATES = 16;
/** How much of a chunk the model reads. */
const EMBED_BYTES = 512;
/** Texts per call: what the runtime computes at once anyway. */
const BATCH = 8;
const MAX_VECTORS = 20_000;
/** A network that predicts held-out code worse than this has no view of what code means. */
const USEFUL_NETWORK_BPB = 2;

/** Whether a model's similarity is worth asking for, from its held-out bits per byte without memory. */
export function canRank(networkBpb: number | null): boolean {
  return networkBpb !== null && networkBpb <= USEFUL_NETWORK_BPB;
}

export interface FusedHit extends MeaningHit {
  /** The model's similarity of question and chunk, where it was asked. */
  readonly similarity: number | undefined;
}

export class ModelRanker {
  readonly #embed: Embed;
  readonly #budgetMs: number;
  #vectors = new Map<number, Float32Array>();
  /** The shortest time per text seen; the first call also compiles and says little. */
  #paceMs = 0;
  /** A call that missed its deadline still runs: another one would only wait behind it. */
  #late = false;

  constructor(o: { embed: Embed; budgetMs: number }) {
    this.#embed = o.embed;
    this.#budgetMs = o.budgetMs;
  }

  /** Chunk ids have changed their meaning. */
  forget(): void {
    this.#vectors.clear();
  }

  /** Reorders the first hits. Any failure, slowness or abort of the model leaves BM25's order. */
  async fuse(
    hits: readonly MeaningHit[],
    question: string,
    signal: AbortSignal | undefined,
  ): Promise<FusedHit[]> {
    const plain = hits.map((hit) => ({ ...hit, similarity: undefined }));
    const first = hits.slice(0, CANDIDATES);
    if (first.length < 2) return plain;
    const vector = await this.#question(question, first, signal);
    if (vector === undefined) return plain;
    const similarities = first.map((hit) => dot(vector, this.#vectors.get(hit.chunkId)!));
    const byModel = similarities
      .map((similarity, at) => ({ similarity, at }))
      .sort((a, b) => b.similarity - a.similarity || a.at - b.at);
    const modelRank = new Map(byModel.map(({ at }, rank) => [at, rank] as const));
    const fused = first
      .map((hit, rank) => ({
        hit: { ...hit, similarity: similarities[rank]! },
        weight: 1 / (DAMPING + rank) + MODEL_WEIGHT / (DAMPING + modelRank.get(rank)!),
      }))
      .sort((a, b) => b.weight - a.weight)
      .map(({ hit }) => hit);
    return [...fused, ...plain.slice(CANDIDATES)];
  }

  /** The question's vector, once every candidate has one too; undefined when time, model or caller says no. */
  async #question(
    question: string,
    candidates: readonly MeaningHit[],
    signal: AbortSignal | undefined,
  ): Promise<Float32Array | undefined> {
    const deadline = performance.now() + this.#budgetMs;
    const missing = candidates.filter((hit) => !this.#vectors.has(hit.chunkId));
    if (this.#vectors.size + missing.length > MAX_VECTORS) this.#vectors.clear();
    const texts = [
      new TextEncoder().encode(question),
      ...missing.map(({ chunk }) =>
        bytesOfLines(chunk.file, chunk.startLine, chunk.endLine).subarray(0, EMBED_BYTES),
      ),
    ];
    let vector: Float32Array | undefined;
    for (let at = 0; at < texts.length; at += BATCH) {
      const needed = (texts.length - at) * this.#paceMs;
      if (this.#late || signal?.aborted === true || performance.now() + needed > deadline)
        return undefined;
      const vectors = await this.#ask(texts.slice(at, at + BATCH), deadline);
      if (vectors === undefined) return undefined;
      vectors.forEach((one, i) => {
        const hit = missing[at + i - 1];
        if (hit === undefined) vector = one;
        else this.#vectors.set(hit.chunkId, one);
      });
    }
    return candidates.every((hit) => this.#vectors.has(hit.chunkId)) ? vector : undefined;
  }

  async #ask(
    texts: readonly Uint8Array[],
    deadline: number,
  ): Promise<readonly Float32Array[] | undefined> {
    const started = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      const stop = (): void => {
        this.#late = true;
        resolve(undefined);
      };
      timer = setTimeout(stop, Math.max(0, deadline - started));
    });
    const work = this.#embed(texts)
      .finally(() => (this.#late = false))
      .then(
        (vectors) => {
          const pace = (performance.now() - started) / texts.length;
          this.#paceMs = this.#paceMs === 0 ? pace : Math.min(this.#paceMs, pace);
          return vectors.length === texts.length ? vectors : undefined;
        },
        () => undefined,
      );
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * (b[i] ?? 0);
  return sum;
}
