/**
 * Where a graph enters the model: the spectrum and eigenvectors of a Laplacian over head-space features, built
 * from this corpus. Free query and key maps absorb the eigenvectors (tauformer.md §4.1), so a trained model
 * depends on the eigenvalues only; the basis matters for the published form, where RoPE stands in between.
 * Replace this part to try another graph.
 */
import { headLaplacian } from "./laplacian.ts";

export interface HeadSpectrum {
  /** [D] eigenvalues, ascending, scaled to mean 1. */
  values(D: number): Float32Array;
  /** [D, D] row-major: column k is the k-th eigenvector. */
  basis(D: number): Float32Array;
}

/** Neighbours per feature in the graph. */
const NEIGHBOURS = 6;
/** Corpus bytes the graph is built from. */
const SAMPLE_BYTES = 1 << 18;

export function corpusSpectrum(sample: Uint8Array): HeadSpectrum {
  const cut = sample.subarray(0, SAMPLE_BYTES);
  const cache = new Map<number, { values: Float32Array; basis: Float32Array }>();
  const of = (D: number): { values: Float32Array; basis: Float32Array } => {
    let entry = cache.get(D);
    if (entry === undefined) {
      const l = headLaplacian({ bytes: cut, nodes: D, neighbours: Math.min(NEIGHBOURS, D - 1) });
      const mean = l.eigenvalues.reduce((a, b) => a + b, 0) / D || 1;
      entry = {
        values: Float32Array.from(l.eigenvalues, (x) => Math.max(0, x) / mean),
        basis: Float32Array.from(l.eigenvectors),
      };
      cache.set(D, entry);
    }
    return entry;
  };
  return { values: (D) => of(D).values, basis: (D) => of(D).basis };
}
