/**
 * The alphabet: 256 byte values and a few markers. A document is presented as BOS path PATH_END content EOF;
 * with text after the cursor as BOS path PATH_END SUF suffix PRE prefix+middle EOM, so that prefix and middle
 * stay contiguous while the user types. Source: byte-level fill in the middle, SPM order (arXiv 2207.14255 §3).
 */
export const BOS = 256;
export const PATH_END = 257;
export const SUF = 258;
export const PRE = 259;
export const EOM = 260;
export const EOF = 261;
/** V: byte values + markers, padded so that the unembedding is a whole number of tiles. */
export const VOCAB = 272;

export interface CorpusFile {
  /** Workspace-relative, separators are '/'. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** A path is presented by its last bytes: what tells files apart stands at the end. */
const MAX_PATH_BYTES = 96;
const encoder = new TextEncoder();

export function pathBytes(path: string): Uint8Array {
  const bytes = encoder.encode(path);
  return bytes.length <= MAX_PATH_BYTES ? bytes : bytes.subarray(bytes.length - MAX_PATH_BYTES);
}

/** BOS path PATH_END. */
export function headerSymbols(path: string): number[] {
  return [BOS, ...pathBytes(path), PATH_END];
}
