/**
 * What language servers said about names, kept per file, so that a file's own evidence can be left out of
 * the answers it gets: `lookup(name, { exclude })` depends on all other files and on nothing else.
 * Every limit here is counted per file or by the number of files, never by what another file holds in a way
 * that its own text could change.
 */

import { CheckpointError } from "../errors.ts";
import { graphColours, readColours, type Colours, type SerializedColours } from "./colour.ts";
import { colourOf, FACT_CHANNELS, packFact, TOKEN_MODIFIERS } from "./channels.ts";
import type { ColourKind, PackedFact } from "./channels.ts";

/** What one file says of one name. A name may have several, one for each thing it stands for there. */
export interface NameEvidence {
  readonly name: string;
  /** Id from TOKEN_TYPES, 0 = not known. */
  readonly tokenType: number;
  /** Flags from TOKEN_MODIFIERS. */
  readonly modifiers: number;
  /** From identityOf(), 0 = not resolved. */
  readonly identity: number;
  /** How often the name stands for this in the file. */
  readonly count: number;
}

export interface LexiconAnswer {
  readonly tokenType: number;
  readonly modifiers: number;
  /** 0 where no definition has a clear majority. */
  readonly identity: number;
  readonly colour: number;
  /** Occurrences in other files that the answer rests on. */
  readonly count: number;
}

/** JSON-able. `evidence` holds name index, token type, modifiers, identity, count, one after another. */
export interface SerializedLexicon {
  readonly format: "narrowgauge-lexicon";
  readonly version: 1;
  readonly names: readonly string[];
  readonly files: readonly { readonly path: string; readonly evidence: readonly number[] }[];
  /** How identities become colours; absent: by their hash. */
  readonly colours?: "off" | SerializedColours;
}

/** A definition is named if it has at least this share of the resolved occurrences. */
const CLEAR_MAJORITY = 2 / 3;
const MAX_EVIDENCE_PER_FILE = 2048;
const MAX_EVIDENCE = 2_000_000;
const MAX_FILES = 200_000;
const MAX_NAME_LENGTH = 128;
const MAX_COUNT = 0xffff;
const NUMBERS_PER_EVIDENCE = 5;

interface Evidence {
  readonly type: number;
  readonly modifiers: number;
  readonly identity: number;
  readonly count: number;
}

/** Occurrences by type and modifiers, and by identity, over all files. */
interface Tally {
  readonly types: Map<number, number>;
  readonly identities: Map<number, number>;
  readonly files: Map<string, readonly Evidence[]>;
}

const add = (counts: Map<number, number>, key: number, amount: number): void => {
  const sum = (counts.get(key) ?? 0) + amount;
  if (sum === 0) counts.delete(key);
  else counts.set(key, sum);
};

export class FactLexicon {
  readonly #tallies = new Map<string, Tally>();
  readonly #namesOf = new Map<string, readonly string[]>();
  #version = 0;
  #colours: Colours | "off" | undefined;

  /** Changes with every change of content, so that answers may be cached. */
  get version(): number {
    return this.#version;
  }

  /** Decides how identities become colours, from what the files say now; later changes of them move no colour. */
  useColours(kind: ColourKind): void {
    const referencesOf = (path: string): (readonly [number, number])[] =>
      this.evidenceOf(path).map((one) => [one.identity, one.count] as const);
    this.#colours =
      kind === "off"
        ? "off"
        : graphColours(kind, () =>
            this.files().map((path) => ({ path, references: referencesOf(path) })),
          );
    this.#version++;
  }

  /** The colour that a definition has for a file, which may not depend on what that file itself says. */
  colourOf(identity: number, path: string | undefined): number {
    if (this.#colours === "off") return 0;
    return this.#colours?.of(identity, path) ?? colourOf(identity);
  }

  get colourKind(): ColourKind {
    return this.#colours === "off" ? "off" : (this.#colours?.kind ?? "hash");
  }

  /** Puts what colourOf() gave into the colour's channel, out[at], and those behind it. */
  writeColour(colour: number, path: string | undefined, out: Uint16Array, at: number): void {
    if (this.#colours === "off" || this.#colours === undefined) out[at] = colour;
    else this.#colours.write(colour, path, out, at);
  }

  get nameCount(): number {
    return this.#tallies.size;
  }

  files(): string[] {
    return [...this.#namesOf.keys()];
  }

  names(): Iterable<string> {
    return this.#tallies.keys();
  }

  /** Replaces what `path` is known to say. The rarest evidence goes where it is more than a file may hold. */
  setFile(path: string, evidence: readonly NameEvidence[]): void {
    this.removeFile(path);
    if (this.#namesOf.size >= MAX_FILES) return;
    const valid = evidence.filter(isValid);
    const kept =
      valid.length <= MAX_EVIDENCE_PER_FILE
        ? valid
        : valid.toSorted((a, b) => b.count - a.count).slice(0, MAX_EVIDENCE_PER_FILE);
    const byName = new Map<string, Evidence[]>();
    for (const one of kept) {
      const item: Evidence = {
        type: one.tokenType,
        // Where a name is declared is seen by the scanner; elsewhere it is no property of the name.
        modifiers: one.modifiers & ~TOKEN_MODIFIERS.declaration,
        identity: one.identity,
        count: Math.min(one.count, MAX_COUNT),
      };
      const items = byName.get(one.name);
      if (items) items.push(item);
      else byName.set(one.name, [item]);
    }
    for (const [name, items] of byName) {
      let tally = this.#tallies.get(name);
      if (!tally) {
        tally = { types: new Map(), identities: new Map(), files: new Map() };
        this.#tallies.set(name, tally);
      }
      tally.files.set(path, items);
      count(tally, items, 1);
    }
    this.#namesOf.set(path, [...byName.keys()]);
    this.#version++;
  }

  removeFile(path: string): void {
    const names = this.#namesOf.get(path);
    if (!names) return;
    this.#namesOf.delete(path);
    for (const name of names) {
      const tally = this.#tallies.get(name)!;
      count(tally, tally.files.get(path)!, -1);
      tally.files.delete(path);
      if (tally.files.size === 0) this.#tallies.delete(name);
    }
    this.#version++;
  }

  /** What all files but `exclude` say of a name; undefined where they say nothing. */
  lookup(
    name: string,
    o: { readonly exclude?: string | undefined } = {},
  ): LexiconAnswer | undefined {
    const tally = this.#tallies.get(name);
    if (!tally) return undefined;
    const own = o.exclude === undefined ? undefined : tally.files.get(o.exclude);
    if (own && tally.files.size === 1) return undefined;
    const types = own ? new Map(tally.types) : tally.types;
    const identities = own ? new Map(tally.identities) : tally.identities;
    if (own) count({ types, identities, files: tally.files }, own, -1);

    const type = mostFrequent(types);
    const identity = mostFrequent(identities);
    const isClear = identity.count >= identity.total * CLEAR_MAJORITY;
    const resolved = isClear ? identity.key : 0;
    return {
      tokenType: type.key & 31,
      modifiers: type.key >>> 5,
      identity: resolved,
      colour: this.colourOf(resolved, o.exclude),
      count: type.total,
    };
  }

  /** lookup() in the scanner's form. */
  packed(name: string, exclude: string | undefined): PackedFact {
    const answer = this.lookup(name, { exclude });
    return answer ? packFact(answer.tokenType, answer.modifiers, answer.colour) : 0;
  }

  evidenceOf(path: string): NameEvidence[] {
    const result: NameEvidence[] = [];
    for (const name of this.#namesOf.get(path) ?? [])
      for (const one of this.#tallies.get(name)!.files.get(path)!)
        result.push({
          name,
          tokenType: one.type,
          modifiers: one.modifiers,
          identity: one.identity,
          count: one.count,
        });
    return result;
  }

  serialize(): SerializedLexicon {
    const index = new Map<string, number>();
    // The number of files alone decides how much each may keep: see the header.
    const perFile = Math.floor(MAX_EVIDENCE / Math.max(1, this.#namesOf.size));
    const files = [...this.#namesOf.keys()].sort().map((path) => {
      const evidence: number[] = [];
      const all = this.evidenceOf(path);
      const kept =
        all.length <= perFile ? all : all.sort((a, b) => b.count - a.count).slice(0, perFile);
      for (const one of kept) {
        let at = index.get(one.name);
        if (at === undefined) index.set(one.name, (at = index.size));
        evidence.push(at, one.tokenType, one.modifiers, one.identity, one.count);
      }
      return { path, evidence };
    });
    const colours = this.#colours === "off" ? "off" : this.#colours?.serialize();
    return {
      format: "narrowgauge-lexicon",
      version: 1,
      names: [...index.keys()],
      files,
      ...(colours === undefined ? {} : { colours }),
    };
  }

  /** The inverse of serialize(). Throws CheckpointError for anything that serialize() cannot have written. */
  static deserialize(value: unknown): FactLexicon {
    const { names, files, colours } = checked(value);
    const lexicon = new FactLexicon();
    if (colours !== undefined) lexicon.#colours = colours === "off" ? "off" : readColours(colours);
    if (colours !== undefined && lexicon.#colours === undefined) throw damaged("the colours");
    for (const { path, evidence } of files) {
      const items: NameEvidence[] = [];
      for (let at = 0; at < evidence.length; at += NUMBERS_PER_EVIDENCE) {
        const [nameIndex, tokenType, modifiers, identity, occurrences] = evidence.slice(
          at,
          at + NUMBERS_PER_EVIDENCE,
        ) as [number, number, number, number, number];
        const name = names[nameIndex];
        const one = { name: name ?? "", tokenType, modifiers, identity, count: occurrences };
        if (!isValid(one)) throw damaged(`entry ${at / NUMBERS_PER_EVIDENCE} of ${path}`);
        items.push(one);
      }
      lexicon.setFile(path, items);
    }
    return lexicon;
  }
}

function count(tally: Tally, items: readonly Evidence[], sign: 1 | -1): void {
  for (const one of items) {
    if (one.type !== 0) add(tally.types, one.type | (one.modifiers << 5), sign * one.count);
    if (one.identity !== 0) add(tally.identities, one.identity, sign * one.count);
  }
}

/** Ties go to the smaller key, so that the order in which files came does not matter. */
function mostFrequent(counts: Map<number, number>): { key: number; count: number; total: number } {
  let key = 0;
  let best = 0;
  let total = 0;
  for (const [candidate, occurrences] of counts) {
    total += occurrences;
    if (occurrences > best || (occurrences === best && candidate < key)) {
      key = candidate;
      best = occurrences;
    }
  }
  return { key, count: best, total };
}

const isWithin = (value: unknown, limit: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value < limit;

function isValid(one: NameEvidence): boolean {
  return (
    one.name.length > 0 &&
    one.name.length <= MAX_NAME_LENGTH &&
    isWithin(one.tokenType, FACT_CHANNELS[0].size) &&
    isWithin(one.modifiers, FACT_CHANNELS[1].size) &&
    isWithin(one.identity, 2 ** 32) &&
    isWithin(one.count, 2 ** 31) &&
    one.count > 0
  );
}

const damaged = (where: string): CheckpointError =>
  new CheckpointError(
    "NG_LEXICON_DAMAGED",
    `the stored facts are damaged: ${where} is not what was written`,
    "train again, or delete the lexicon file to go on without facts",
  );

function checked(value: unknown): SerializedLexicon {
  if (typeof value !== "object" || value === null) throw damaged("the whole");
  const it = value as Partial<Record<keyof SerializedLexicon, unknown>>;
  if (it.format !== "narrowgauge-lexicon") throw damaged("the format");
  if (it.version !== 1)
    throw new CheckpointError(
      "NG_LEXICON_VERSION",
      `the stored facts have version ${String(it.version)}, and this program reads version 1`,
      "train again with this version",
    );
  if (!Array.isArray(it.names) || !it.names.every((name) => typeof name === "string"))
    throw damaged("the list of names");
  if (!Array.isArray(it.files) || it.files.length > MAX_FILES) throw damaged("the list of files");
  let total = 0;
  for (const file of it.files as unknown[]) {
    const { path, evidence } = (file ?? {}) as { path?: unknown; evidence?: unknown };
    if (typeof path !== "string" || !Array.isArray(evidence)) throw damaged("a file's entry");
    if (evidence.length % NUMBERS_PER_EVIDENCE !== 0) throw damaged(`the evidence of ${path}`);
    if (!evidence.every((number) => typeof number === "number"))
      throw damaged(`the evidence of ${path}`);
    total += evidence.length / NUMBERS_PER_EVIDENCE;
  }
  if (total > MAX_EVIDENCE) throw damaged(`the size, ${total} entries,`);
  return value as SerializedLexicon;
}
