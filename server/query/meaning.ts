/**
 * Search by meaning without a model: BM25 over chunks, where names defined in a chunk and the words of its
 * path weigh more, question words also look for what programmers write instead, and a chunk that covers more
 * of the question beats one that repeats a single word. Source of the formula: Robertson & Zaragoza 2009.
 */
import type { IndexedChunk, IndexedFile, TextIndex } from "./textIndex.ts";
import { questionTerms } from "./terms.ts";
import type { QuestionTerms } from "./terms.ts";

export interface MeaningHit {
  readonly chunk: IndexedChunk;
  readonly chunkId: number;
  readonly score: number;
  /** Words of the question that the chunk (or its path) contains, in question order. */
  readonly words: readonly string[];
}

const K1 = 1.2;
const B = 0.6;
/** What the best chunks of the same file add: a file that is about the question holds more of its words. */
const FILE_SHARE = 0.35;
const REPEAT_PENALTY = 0.75;
const BARREL_PRIOR = 0.5;
/** Share of all chunks above which a term is not looked up on its own. */
const COMMON_SHARE = 0.15;

/** What kind of file people ask about, all else equal. A word of the question lifts the penalty. */
const PRIORS: readonly {
  readonly path: RegExp;
  readonly prior: number;
  readonly lifted: RegExp;
}[] = [
  {
    path: /(^|\/)(changelog|history|news|releases?)(\.[a-z]+)?$/i,
    prior: 0.5,
    lifted: /change|release|histor|news|version/i,
  },
  {
    // Among them commonTest/ (Kotlin), App.Tests/ (C#), OwnerTests.java; a contest/ is none.
    path: /(^|\/)([Tt]ests?|TESTS?|[Ss]pecs?|__tests__|__mocks__|[Ff]ixtures?|testdata)\/|(^|\/)[\w.-]*[a-z.]Tests?\/|[._-]([Tt]est|[Ss]pec|[Ss]tories)\.[A-Za-z]+$|(^|\/)[Tt]est_[^/]*$|[a-z0-9](Tests?|TestCase|Spec|IT)\.[a-z]+$/,
    prior: 0.55,
    lifted: /\b(test|spec|fixture|mock|story)/i,
  },
  {
    path: /\.(json|ya?ml|toml|csv|lock|svg|xml|snap)$/i,
    prior: 0.6,
    lifted: /json|yaml|toml|config|locale|translat/i,
  },
  { path: /\.(css|scss|sass|less)$/i, prior: 0.65, lifted: /style|css|theme|layout|colou?r/i },
  { path: /\.(md|mdx|rst|txt)$/i, prior: 0.85, lifted: /doc|readme|guide|licen/i },
  {
    path: /(^|\/)(examples?|demos?|samples?|docs?)\//i,
    prior: 0.8,
    lifted: /example|demo|sample|doc/i,
  },
  {
    path: /(^|\/)(locales?|i18n|translations?)\//i,
    prior: 0.5,
    lifted: /locale|translat|language/i,
  },
];

/** Which rules a path falls under never changes, and a query asks for thousands of chunks. */
const rulesOf = new WeakMap<IndexedFile, readonly number[]>();

/** How likely a file is what the question asks for, before its words are looked at. */
export function priorOf(file: IndexedFile, lifted: ReadonlySet<number> = NONE_LIFTED): number {
  let rules = rulesOf.get(file);
  if (rules === undefined) {
    rules = PRIORS.flatMap((rule, at) => (rule.path.test(file.path) ? [at] : []));
    rulesOf.set(file, rules);
  }
  let prior = 1;
  for (const at of rules) if (!lifted.has(at)) prior *= PRIORS[at]!.prior;
  return prior;
}

const NONE_LIFTED: ReadonlySet<number> = new Set();

/** The rules that a word of the question suspends: who asks about tests wants tests. */
function liftedBy(question: string): ReadonlySet<number> {
  return new Set(PRIORS.flatMap((rule, at) => (rule.lifted.test(question) ? [at] : [])));
}

export function searchMeaning(
  index: TextIndex,
  question: string,
  o: { limit: number },
): { hits: MeaningHit[]; terms: QuestionTerms } {
  const terms = questionTerms(question);
  if (terms.terms.length === 0 || index.livingChunks === 0) return { hits: [], terms };
  const nWords = terms.words.length;
  const lifted = liftedBy(question);
  const meanLength = index.totalLength / index.livingChunks;
  /** Per chunk, the best evidence for each word: synonyms and joined forms do not add up. */
  const evidence = new Map<number, Float64Array>();
  const rarity = new Float64Array(nWords);
  const found = terms.terms
    .map((term) => ({ ...term, id: index.termId(term.term) ?? -1 }))
    .map((term) => ({ ...term, inChunks: index.chunkCounts[term.id] ?? 0 }))
    .filter((term) => term.inChunks > 0)
    .sort((a, b) => a.inChunks - b.inChunks);
  for (const { id, inChunks, weight, wordIdx } of found) {
    const idf = Math.log(1 + (index.livingChunks - inChunks + 0.5) / (inChunks + 0.5));
    if (weight === 1) rarity[wordIdx] = idf;
    // A word that is everywhere only refines what rarer words have found.
    const refine = inChunks > COMMON_SHARE * index.livingChunks && evidence.size >= o.limit;
    const joined = weight > 1;
    const postings = index.postings[id]!;
    for (let i = 0; i < postings.length; i += 2) {
      const chunkId = postings[i]!;
      const chunk = index.chunks[chunkId]!;
      if (!chunk.alive) continue;
      const tf = postings[i + 1]!;
      const norm = K1 * (1 - B + (B * chunk.length) / meanLength);
      const gain = weight * idf * ((tf * (K1 + 1)) / (tf + norm));
      let row = evidence.get(chunkId);
      if (row === undefined) {
        if (refine) continue;
        // Last slot: the bonus of words found side by side.
        row = new Float64Array(nWords + 1);
        evidence.set(chunkId, row);
      }
      if (joined) row[nWords]! += gain * 0.5;
      else row[wordIdx] = Math.max(row[wordIdx]!, gain);
    }
  }
  // A word that occurs nowhere as typed still has to count as missing.
  const known = rarity.filter((idf) => idf > 0);
  const typical = known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : 1;
  let possible = 0;
  for (let w = 0; w < nWords; w++) possible += rarity[w]! > 0 ? rarity[w]! : typical;

  const scored: { chunkId: number; score: number }[] = [];
  const bestOfFile = new Map<string, number[]>();
  for (const [chunkId, row] of evidence) {
    let sum = row[nWords]!;
    let covered = 0;
    for (let w = 0; w < nWords; w++) {
      sum += row[w]!;
      if (row[w]! > 0) covered += rarity[w]! > 0 ? rarity[w]! : typical;
    }
    const { file, barrel } = index.chunks[chunkId]!;
    const prior = priorOf(file, lifted) * (barrel ? BARREL_PRIOR : 1);
    const score = sum * Math.sqrt(covered / possible) * prior;
    scored.push({ chunkId, score });
    const best = bestOfFile.get(file.path);
    if (best === undefined) bestOfFile.set(file.path, [score]);
    else best.push(score);
  }
  for (const scores of bestOfFile.values()) scores.sort((a, b) => b - a);
  for (const one of scored) {
    const scores = bestOfFile.get(index.chunks[one.chunkId]!.file.path)!;
    // The file's next best chunks, halving: 1/2 of the first, 1/4 of the second…
    let others = 0;
    for (let i = 0; i < 3 && i < scores.length; i++) others += scores[i]! / 2 ** (i + 1);
    one.score += FILE_SHARE * others;
  }
  scored.sort((a, b) => b.score - a.score || a.chunkId - b.chunkId);

  // Spread over files: each further chunk of a file has to be clearly better.
  const seen = new Map<string, number>();
  const spread = scored.slice(0, o.limit * 8).map(({ chunkId, score }) => {
    const { path } = index.chunks[chunkId]!.file;
    const n = seen.get(path) ?? 0;
    seen.set(path, n + 1);
    return { chunkId, score: score * REPEAT_PENALTY ** n };
  });
  spread.sort((a, b) => b.score - a.score || a.chunkId - b.chunkId);
  const hits = spread.slice(0, o.limit).map(({ chunkId, score }) => {
    const row = evidence.get(chunkId)!;
    const words = terms.words.filter((_, w) => row[w]! > 0);
    return { chunk: index.chunks[chunkId]!, chunkId, score, words };
  });
  return { hits, terms };
}
