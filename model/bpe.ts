/**
 * Byte pair encoding of a workspace, as a control beside rule patches: its vocabulary says where patches end. Merges stay
 * inside words, runs of blanks and runs of signs, and are at most 16 bytes long.
 * Source: BPE over bytes (arXiv 1508.07909 §3.2); where a token ends is decided causally, see `TokenTrie`.
 */
import type { CorpusFile } from "./bytes.ts";

export const MAX_TOKEN_BYTES = 16;
/** More text does not change the frequent merges. */
const SAMPLE_BYTES = 4e6;
const SPACE = 32;
/** Pairs are keyed by two token ids. */
const PAIR = 1 << 16;

type ByteClass = "word" | "blank" | "line" | "sign";

function classOf(byte: number): ByteClass {
  if (byte === 10 || byte === 13) return "line";
  if (byte === SPACE || byte === 9) return "blank";
  const word =
    (byte >= 97 && byte <= 122) ||
    (byte >= 65 && byte <= 90) ||
    (byte >= 48 && byte <= 57) ||
    byte === 95 ||
    byte === 36 ||
    byte >= 128;
  return word ? "word" : "sign";
}

/** Runs of one class with how often they occur, as latin1; one space before a word belongs to it. */
function countRuns(files: readonly CorpusFile[]): Map<string, number> {
  const counts = new Map<string, number>();
  const total = files.reduce((sum, f) => sum + f.bytes.length, 0);
  const share = Math.min(1, SAMPLE_BYTES / Math.max(1, total));
  for (const f of files) {
    const bytes = f.bytes.subarray(0, Math.ceil(f.bytes.length * share));
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    let start = 0;
    for (let t = 1; t <= bytes.length; t++) {
      if (t < bytes.length) {
        const here = classOf(bytes[t]!);
        if (here === classOf(bytes[t - 1]!)) continue;
        if (here === "word" && t - start === 1 && bytes[start] === SPACE) continue;
      }
      const run = text.slice(start, t);
      counts.set(run, (counts.get(run) ?? 0) + 1);
      start = t;
    }
  }
  return counts;
}

/** Tokens of two bytes and more, as latin1, in the order of their merges; `size` counts the 256 bytes too. */
export function trainBpe(files: readonly CorpusFile[], size: number): string[] {
  const runs = [...countRuns(files)].filter(([run, n]) => run.length > 1 && n > 1);
  const words = runs.map(([run]) => [...Buffer.from(run, "latin1")]);
  const tokens = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  const counts = new Map<number, number>();
  const places = new Map<number, Set<number>>();
  const count = (word: number, by: 1 | -1): void => {
    const ids = words[word]!;
    for (let i = 1; i < ids.length; i++) {
      const key = ids[i - 1]! * PAIR + ids[i]!;
      counts.set(key, (counts.get(key) ?? 0) + by * runs[word]![1]);
      let at = places.get(key);
      if (at === undefined) places.set(key, (at = new Set()));
      at.add(word);
    }
  };
  for (let word = 0; word < words.length; word++) count(word, 1);
  while (tokens.length < size) {
    const best = mostFrequent(counts, tokens);
    if (best === undefined) break;
    const [a, b] = [Math.floor(best / PAIR), best % PAIR];
    const merged = tokens.length;
    tokens.push(tokens[a]! + tokens[b]!);
    for (const word of places.get(best)!) {
      count(word, -1);
      words[word] = merge(words[word]!, { a, b, merged });
      count(word, 1);
    }
    counts.delete(best);
    places.delete(best);
  }
  return tokens.slice(256);
}

/** The pair to merge next; of equal ones the first by its ids. */
function mostFrequent(counts: Map<number, number>, tokens: readonly string[]): number | undefined {
  let best: number | undefined;
  let most = 1;
  for (const [key, n] of counts) {
    if (n < most || (n === most && (best === undefined || key > best))) continue;
    const bytes = tokens[Math.floor(key / PAIR)]!.length + tokens[key % PAIR]!.length;
    if (bytes > MAX_TOKEN_BYTES) continue;
    best = key;
    most = n;
  }
  return best;
}

function merge(ids: readonly number[], o: { a: number; b: number; merged: number }): number[] {
  const out: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === o.a && ids[i + 1] === o.b) {
      out.push(o.merged);
      i++;
    } else out.push(ids[i]!);
  }
  return out;
}

/**
 * Where tokens end, from the bytes seen so far. From the start of a token on, the walk follows the tokens that begin
 * with what was seen. A token ends at byte t if no token goes on from there (it ends with t), or if no token has byte t
 * at this place (what was before is over, and t begins the next one). Nothing is looked ahead for and nothing is taken
 * back, so a run that follows a longer token and breaks off stays one patch.
 */
export class TokenTrie {
  /** node · 256 + byte → node; 0 is the root. */
  readonly #next = new Map<number, number>();
  /** Nodes that some token goes on from. */
  readonly #inner = new Set<number>([0]);

  constructor(tokens: readonly string[]) {
    let nodes = 1;
    const all = [...tokens, ...Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte))];
    for (const token of all) {
      let node = 0;
      for (let i = 0; i < token.length; i++) {
        const key = node * 256 + (token.charCodeAt(i) & 255);
        let next = this.#next.get(key);
        if (next === undefined) this.#next.set(key, (next = nodes++));
        this.#inner.add(node);
        node = next;
      }
    }
  }

  /** The walk after `byte`, and whether a token ended. */
  step(node: number, byte: number): { readonly node: number; readonly ended: boolean } {
    let next = this.#next.get(node * 256 + byte);
    const broken = next === undefined;
    if (next === undefined) next = this.#next.get(byte)!;
    const whole = !this.#inner.has(next);
    return { node: whole ? 0 : next, ended: broken || whole };
  }
}

const tries = new WeakMap<readonly string[], TokenTrie>();

/** One trie per vocabulary. */
export function trieOf(tokens: readonly string[]): TokenTrie {
  let trie = tries.get(tokens);
  if (trie === undefined) tries.set(tokens, (trie = new TokenTrie(tokens)));
  return trie;
}
