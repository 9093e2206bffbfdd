/**
 * Words of code and of questions, made comparable: identifiers are split at case changes, underscores and
 * digits, words are lowered and lightly stemmed, and an identifier of several words is also one joined term,
 * so that the question "follow redirects" meets `followRedirects` and `follow_redirects`.
 */

/** Only in questions; code keeps every word, rarity decides there. */
const STOP_WORDS = new Set(
  (
    "a about all am an and any are as at be been being by can code could did do does doing done find for from " +
    "function has have how i if in into is it its let like locate looking me my of on one or our place see shall " +
    "should show so some than that the their them then there these they this those through to us was we were what " +
    "when where whether which while who why will with would you your"
  ).split(" "),
);

/** Words that programmers shorten. Each row is one meaning; a question word also searches for the others. */
const SAME_MEANING: readonly string[] = [
  "auth authentication authorization authorize authenticate login",
  "config configuration settings options preferences",
  "param parameter argument arg",
  "conn connection connect",
  "req request",
  "res resp response reply",
  "msg message",
  "err error exception failure",
  "init initialize initialise setup",
  "dir directory folder",
  "ctx context",
  "btn button",
  "img image picture",
  "str string",
  "num number",
  "fn func function callback",
  "db database",
  "env environment",
  "doc document documentation",
  "id identifier",
  "max maximum limit",
  "min minimum",
  "del delete remove",
  "tmp temp temporary",
  "elem element el",
  "pos position coords coordinate location",
  "attr attribute",
  "prop property",
  "val value",
  "idx index",
  "calc calculate compute computation",
  "url uri link",
  "ext extension",
  "lib library",
  "ws websocket socket",
  "async asynchronous",
  "sync synchronize synchronous",
  "desc description",
  "prev previous",
  "cur curr current",
  "src source",
  "dst dest destination target",
  "encode encoding serialize",
  "decode decoding deserialize parse",
  "save store persist write",
  "load read open",
  "create make build",
  "intersect intersection collision hit",
  "bbox bounds bounding box",
  "color colour",
];

/** A word's common stem: plural, -ing, -ed, -ion and the final e go. Light on purpose, and total. */
export function stem(word: string): string {
  if (word.length < 4 || !/^[a-z]+$/.test(word)) return word;
  let w = word;
  if (w.endsWith("sses")) w = w.slice(0, -2);
  else if (w.endsWith("ies")) w = `${w.slice(0, -3)}y`;
  else if (/[^su]s$/.test(w) && !w.endsWith("is")) w = w.slice(0, -1);
  const root = /(?:ing|ed)$/.exec(w);
  if (root !== null) {
    const cut = w.slice(0, -root[0].length);
    // A stem has a vowel: "string" and "red" are whole words.
    if (cut.length >= 3 && /[aeiouy]/.test(cut))
      w = /([bdgmnprt])\1$/.test(cut) ? cut.slice(0, -1) : cut;
  } else if (w.length >= 7 && /[st]ion$/.test(w)) {
    w = w.slice(0, -3);
  }
  if (w.length > 4 && w.endsWith("e")) w = w.slice(0, -1);
  return w;
}

const PARTS = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+/g;
/** The same for all scripts, which is slower; writing without cases stays together. */
const UNICODE_PARTS =
  /\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{M}]+|\p{N}+|[\p{Lo}\p{Lm}\p{Lt}\p{M}]+|[^ -~\p{L}\p{N}\p{M}]+/gu;

/** `getHTTPResponse_2` → ["get", "http", "response", "2"]. */
export function splitIdentifier(identifier: string): string[] {
  const parts = identifier.match(/[^ -~]/.test(identifier) ? UNICODE_PARTS : PARTS);
  return parts === null ? [] : parts.map((part) => part.toLowerCase());
}

export const JOINED = "+";

/** Terms that stand for an identifier in the index: its stemmed words, and all of them joined. */
export function identifierTerms(identifier: string): string[] {
  const words = splitIdentifier(identifier)
    .filter((word) => word.length > 1 || !/[a-z0-9]/.test(word))
    .map(stem);
  if (words.length > 1 && words.length < 6) words.push(JOINED + words.join(""));
  return words;
}

export interface QueryTerm {
  readonly term: string;
  readonly weight: number;
  /** Which word of the question it stands for. */
  readonly wordIdx: number;
}

export interface QuestionTerms {
  /** Words of the question that carry meaning, as typed. */
  readonly words: readonly string[];
  readonly terms: readonly QueryTerm[];
}

const SYNONYM_WEIGHT = 0.45;
const JOINED_WEIGHT = 1.3;

const synonymRows = new Map<string, Set<string>>();
for (const row of SAME_MEANING) {
  const stems = [...new Set(row.split(" ").map(stem))];
  for (const one of stems) {
    const others = synonymRows.get(one) ?? new Set<string>();
    for (const other of stems) if (other !== one) others.add(other);
    synonymRows.set(one, others);
  }
}

/** A question as weighted index terms: its words, what programmers write for them, and neighbours joined. */
export function questionTerms(question: string): QuestionTerms {
  const words: string[] = [];
  const stems: string[] = [];
  for (const match of question.matchAll(/[\p{L}\p{N}_$]+/gu))
    for (const word of splitIdentifier(match[0])) {
      if (STOP_WORDS.has(word) || (word.length < 2 && /[a-z0-9]/.test(word))) continue;
      const one = stem(word);
      if (stems.includes(one)) continue;
      words.push(word);
      stems.push(one);
    }
  const terms: QueryTerm[] = stems.map((term, wordIdx) => ({ term, weight: 1, wordIdx }));
  stems.forEach((one, wordIdx) => {
    for (const other of synonymRows.get(one) ?? [])
      if (!stems.includes(other)) terms.push({ term: other, weight: SYNONYM_WEIGHT, wordIdx });
  });
  for (let n = 2; n <= 3; n++)
    for (let i = 0; i + n <= stems.length; i++)
      terms.push({
        term: JOINED + stems.slice(i, i + n).join(""),
        weight: JOINED_WEIGHT,
        wordIdx: i,
      });
  return { words, terms };
}
