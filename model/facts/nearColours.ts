/**
 * Colours with their neighbourhood: besides its own hashed colour a definition shows those of the definitions that the
 * resolvent of the symbol graph relates to it most closely. The network adds up their table rows, so what it learns of
 * one definition reaches those near it: an embedding E' = R·E with fixed sparse R, whose gradient is Rᵀ's.
 */
import { nearest, symbolGraph, type SymbolReferences } from "../symbolGraph.ts";
import type { Colours } from "./colour.ts";
import { colourOf, FACT_CHANNELS, NEAR_COLOURS } from "./channels.ts";
import { answerFor, FOLDS, foldwise } from "./folds.ts";

/** Colours that stand above these are numbers of entries in a table. */
const TABLE_FROM = FACT_CHANNELS[4].size;

interface Table {
  readonly at: ReadonlyMap<number, number>;
  /** [entries, NEAR_COLOURS + 1]: colours, each definition's own first. */
  readonly colours: Uint16Array;
}

/** JSON-able: an identity and its neighbours' colours, one after another, for each fold left out, and for all files. */
export interface SerializedNearColours {
  readonly kind: "resolvent";
  readonly files: readonly string[];
  readonly tables: readonly (readonly number[])[];
}

const WIDTH = NEAR_COLOURS + 1;

function tableOf(entries: readonly (readonly number[])[]): Table {
  const colours = new Uint16Array(entries.length * WIDTH);
  entries.forEach(([identity, ...near], i) => {
    colours.set([colourOf(identity!), ...near], i * WIDTH);
  });
  return { at: new Map(entries.map(([identity], i) => [identity!, i])), colours };
}

function relate(files: readonly SymbolReferences[]): Table {
  const graph = symbolGraph(files);
  const { identities } = graph;
  const near = nearest(graph, NEAR_COLOURS);
  return tableOf(
    Array.from(identities, (identity, i) => [
      identity,
      ...Array.from(near.subarray(i * NEAR_COLOURS, (i + 1) * NEAR_COLOURS), (j) =>
        j === i ? 0 : colourOf(identities[j]!),
      ),
    ]),
  );
}

export class NearColours implements Colours {
  readonly kind = "resolvent";
  readonly #files: ReadonlySet<string>;
  readonly #tables: readonly Table[];

  private constructor(files: ReadonlySet<string>, tables: readonly Table[]) {
    this.#files = files;
    this.#tables = tables;
  }

  static build(files: readonly SymbolReferences[]): NearColours {
    return new NearColours(new Set(files.map((f) => f.path)), foldwise(files, relate));
  }

  /** The hash, or TABLE_FROM and the entry of a definition that is in the graph which the file may know. */
  of(identity: number, path: string | undefined): number {
    const entry = this.#tables[answerFor(path, this.#files)]!.at.get(identity);
    return entry === undefined ? colourOf(identity) : TABLE_FROM + entry;
  }

  write(colour: number, path: string | undefined, out: Uint16Array, at: number): void {
    if (colour < TABLE_FROM) {
      out[at] = colour;
      return;
    }
    const { colours } = this.#tables[answerFor(path, this.#files)]!;
    const from = (colour - TABLE_FROM) * WIDTH;
    for (let k = 0; k < WIDTH; k++) out[at + k] = colours[from + k]!;
  }

  serialize(): SerializedNearColours {
    return {
      kind: "resolvent",
      files: [...this.#files].sort(),
      tables: this.#tables.map(({ at, colours }) =>
        [...at].flatMap(([identity, i]) => [
          identity,
          ...colours.subarray(i * WIDTH + 1, (i + 1) * WIDTH),
        ]),
      ),
    };
  }

  /** The inverse of serialize(); undefined for anything that it cannot have written. */
  static deserialize(
    files: readonly string[],
    lists: readonly number[][],
  ): NearColours | undefined {
    if (lists.length !== FOLDS + 1) return undefined;
    const tables: Table[] = [];
    for (const list of lists) {
      if (list.length % WIDTH !== 0) return undefined;
      const entries: number[][] = [];
      for (let i = 0; i < list.length; i += WIDTH) entries.push(list.slice(i, i + WIDTH));
      const isColour = (c: number): boolean => Number.isInteger(c) && c >= 0 && c < TABLE_FROM;
      if (!entries.every(([, ...near]) => near.every(isColour))) return undefined;
      tables.push(tableOf(entries));
    }
    return new NearColours(new Set(files), tables);
  }
}
