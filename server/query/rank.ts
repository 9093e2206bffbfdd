/**
 * One list out of three kinds of evidence: exact answers first, then meaning, where BM25's order and the
 * model's similarity are fused by reciprocal rank (Cormack et al. 2009). Ranks are comparable where scores
 * are not; without a model, or when it does not answer in time, BM25 stands alone and nothing else changes.
 */
import type { MeaningHit } from "./meaning.ts";
import { bytesOfLines } from "./textIndex.ts";

/** Mean-pooled, unit-length vectors of the model's trunk, one per text. */
export type Embed = (texts: readonly Uint8Array[]) => Promise<readonly Float32Array[]>;

/** Damping of reciprocal rank fusion: how little the very first ranks differ. */
const DAMPING = 10;
/** The narrow model's say beside BM25's; it learned to continue code, not to answer questions. */
const MODEL_WEIGHT = 0.35;

/** How much of a chunk the model reads. */
const EMBED_BYTES = 512;

export interface FusedHit extends MeaningHit {
  /** The model's similarity of question and chunk, where it was asked. */
  readonly similarity: number | undefined;
}

export interface EmbeddingCache {
  get(chunkId: number): Float32Array | undefined;
  set(chunkId: number, vector: Float32Array): void;
}

/** Reorders the hits by fusing in the model. Any failure of the model leaves BM25's order. */
export async function fuseWithModel(o: {
  hits: readonly MeaningHit[];
  question: string;
  embed: Embed | undefined;
  cache: EmbeddingCache;
  budgetMs: number;
  signal?: AbortSignal | undefined;
}): Promise<FusedHit[]> {
  const plain = o.hits.map((hit) => ({ ...hit, similarity: undefined }));
  if (o.embed === undefined || o.hits.length < 2) return plain;
  const missing = o.hits.filter((hit) => o.cache.get(hit.chunkId) === undefined);
  const texts = [
    new TextEncoder().encode(o.question),
    ...missing.map(({ chunk }) =>
      bytesOfLines(chunk.file, chunk.startLine, chunk.endLine).subarray(0, EMBED_BYTES),
    ),
  ];
  const vectors = await withinBudget(o.embed(texts), o.budgetMs, o.signal);
  if (vectors === undefined || vectors.length !== texts.length) return plain;
  missing.forEach((hit, i) => o.cache.set(hit.chunkId, vectors[i + 1]!));
  const question = vectors[0]!;
  const similarities = o.hits.map((hit) => dot(question, o.cache.get(hit.chunkId)!));
  const byModel = similarities
    .map((similarity, at) => ({ similarity, at }))
    .sort((a, b) => b.similarity - a.similarity || a.at - b.at);
  const modelRank = new Map(byModel.map(({ at }, rank) => [at, rank] as const));
  return o.hits
    .map((hit, rank) => ({
      hit: { ...hit, similarity: similarities[rank]! },
      fused: 1 / (DAMPING + rank) + MODEL_WEIGHT / (DAMPING + modelRank.get(rank)!),
    }))
    .sort((a, b) => b.fused - a.fused)
    .map(({ hit }) => hit);
}

async function withinBudget<T>(
  work: Promise<T>,
  budgetMs: number,
  signal: AbortSignal | undefined,
): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const stop = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), budgetMs);
    signal?.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  try {
    return await Promise.race([work.catch(() => undefined), stop]);
  } finally {
    clearTimeout(timer);
  }
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * (b[i] ?? 0);
  return sum;
}
