/**
 * Whole identifiers guessed: of names in code (no keywords, nothing in strings or comments) of at least three bytes of
 * ASCII letters, digits, _ and $, the share whose exact text is the most probable whole name, or among the five most
 * probable, with 0, 1 and 2 of its bytes typed. The text before the name is all that is known. A whole name's
 * probability is that of its bytes and of no byte of a name behind them; names are ranked by a best-first search.
 */
import { byteKinds, isCode, KIND } from "../../model/index.ts";
import type { Model, RankedName } from "../../model/index.ts";
import { OfferedFigures, type LanguageServerResult } from "./offeredFigures.ts";
import type { OfferedLists } from "./offeredLists.ts";
import { quantile } from "./scoring.ts";

export interface IdentifierSpot {
  readonly fileIdx: number;
  readonly start: number;
  readonly end: number;
}

export const SHORTEST_IDENTIFIER = 3;
export const TYPED = [0, 1, 2] as const;
const MOST = 5;

const isAscii = (byte: number): boolean =>
  (byte >= 97 && byte <= 122) ||
  (byte >= 65 && byte <= 90) ||
  (byte >= 48 && byte <= 57) ||
  byte === 95 ||
  byte === 36;

/** The identifiers of a file, in order; none in files of prose, data or markup. With `keywords` these as well. */
export function identifierSpots(
  file: { readonly path: string; readonly bytes: Uint8Array },
  fileIdx: number,
  keywords: 0 | 1 = 0,
): IdentifierSpot[] {
  if (!isCode(file.path)) return [];
  const kinds = byteKinds(file.path, file.bytes);
  const spots: IdentifierSpot[] = [];
  for (let at = 0; at < kinds.length;) {
    const kind = kinds[at];
    if (kind !== KIND.identifier && !(keywords === 1 && kind === KIND.keyword)) {
      at++;
      continue;
    }
    const start = at;
    while (at < kinds.length && kinds[at] === kind) at++;
    const isLong = at - start >= SHORTEST_IDENTIFIER;
    if (isLong && file.bytes.subarray(start, at).every(isAscii))
      spots.push({ fileIdx, start, end: at });
  }
  return spots;
}

export interface TypedResult {
  readonly typed: number;
  readonly top1: number | null;
  readonly top5: number | null;
  /** Without names in scope as candidates; null where the model has no weights for them. */
  readonly top1_without_candidates: number | null;
  readonly top5_without_candidates: number | null;
  /** With what a language server offers as well; null where none is asked. */
  readonly top1_with_list: number | null;
  readonly top5_with_list: number | null;
  readonly ms_median: number | null;
  readonly ms_p95: number | null;
}

export interface IdentifierResult {
  readonly sampled: number;
  /** Share that stood before in the file or stands in the lexicon of other files: what candidates can know. */
  readonly in_scope: number | null;
  readonly typed: readonly TypedResult[];
  readonly language_server: LanguageServerResult | null;
}

type Namer = Pick<Model, "names" | "lexicon" | "hasCandidates">;

/** All bytes are ASCII. */
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

class Hits {
  top1 = 0;
  top5 = 0;

  add(rank: number): void {
    if (rank === 0) this.top1++;
    if (rank >= 0) this.top5++;
  }
}

export class IdentifierFigures {
  readonly #model: Namer;
  readonly #candidates: "on" | "off";
  readonly #signal: AbortSignal;
  #sampled = 0;
  #inScope = 0;
  readonly #whole = TYPED.map(() => new Hits());
  readonly #without = TYPED.map(() => new Hits());
  readonly #listed = TYPED.map(() => new Hits());
  readonly #lists: OfferedLists | undefined;
  readonly #offered = new OfferedFigures();
  readonly #ms = TYPED.map((): number[] => []);

  constructor(
    model: Namer,
    o: { candidates: "on" | "off"; lists?: OfferedLists | undefined; signal: AbortSignal },
  ) {
    this.#model = model;
    this.#lists = o.lists;
    this.#candidates = o.candidates === "on" && model.hasCandidates ? "on" : "off";
    this.#signal = o.signal;
  }

  /** Guesses at some spots of a file, given in order. */
  async guessIn(
    file: { readonly path: string; readonly bytes: Uint8Array },
    spots: readonly IdentifierSpot[],
  ): Promise<void> {
    if (spots.length === 0) return;
    const all = identifierSpots(file, 0);
    const before = new Set<string>();
    let read = 0;
    for (const spot of spots) {
      for (; read < all.length && all[read]!.end <= spot.start; read++)
        before.add(textOf(file.bytes.subarray(all[read]!.start, all[read]!.end)));
      await this.#guess(file, spot, before);
    }
  }

  async #guess(
    file: { readonly path: string; readonly bytes: Uint8Array },
    spot: IdentifierSpot,
    namesBefore: ReadonlySet<string>,
  ): Promise<void> {
    const wanted = file.bytes.subarray(spot.start, spot.end);
    const text = textOf(wanted);
    this.#sampled++;
    if (
      namesBefore.has(text) ||
      this.#model.lexicon.lookup(text, { exclude: file.path }) !== undefined
    )
      this.#inScope++;
    for (const [i, typed] of TYPED.entries()) {
      const offered = await this.#lists?.at(file.path, file.bytes.subarray(0, spot.start + typed));
      const list = offered?.list;
      const { names, unlisted, without, ms } = await this.#model.names({
        path: file.path,
        before: file.bytes.subarray(0, spot.start),
        typed: wanted.subarray(0, typed),
        most: MOST,
        candidates: this.#candidates,
        compare: 1,
        ...(list === undefined ? {} : { list }),
        signal: this.#signal,
      });
      const rankIn = (ranked: readonly RankedName[]): number =>
        ranked.findIndex(({ bytes }) => Buffer.compare(bytes, wanted) === 0);
      this.#whole[i]!.add(rankIn(unlisted ?? names));
      if (without !== undefined) this.#without[i]!.add(rankIn(without));
      this.#ms[i]!.push(ms);
      if (offered === undefined) continue;
      this.#offered.add(offered, text);
      this.#listed[i]!.add(rankIn(names));
    }
  }

  result(): IdentifierResult {
    const share = (n: number): number | null => (this.#sampled === 0 ? null : n / this.#sampled);
    const without = (n: number): number | null => (this.#candidates === "on" ? share(n) : null);
    const listed = (n: number): number | null => (this.#lists === undefined ? null : share(n));
    return {
      sampled: this.#sampled,
      in_scope: share(this.#inScope),
      typed: TYPED.map((typed, i) => ({
        typed,
        top1: share(this.#whole[i]!.top1),
        top5: share(this.#whole[i]!.top5),
        top1_without_candidates: without(this.#without[i]!.top1),
        top5_without_candidates: without(this.#without[i]!.top5),
        top1_with_list: listed(this.#listed[i]!.top1),
        top5_with_list: listed(this.#listed[i]!.top5),
        ms_median: quantile(this.#ms[i]!, 0.5),
        ms_p95: quantile(this.#ms[i]!, 0.95),
      })),
      language_server: this.#lists === undefined ? null : this.#offered.result(this.#lists.name),
    };
  }
}
