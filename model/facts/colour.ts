/**
 * Spectral colours: definitions that the same files speak of get the same colour, or one near it. The first Laplacian
 * eigenvectors of the symbol graph, each weighted by how smooth it is, are projected on a few fixed pseudo-random
 * signals (signs from the identities), which no eigenvector's sign or order can change; each coordinate is cut into
 * quantiles, and the cell is the colour. A file's colours come from the graph without its fold (folds.ts).
 */
import { hash32 } from "../random.ts";
import { smoothest, symbolGraph, type SymbolReferences } from "../symbolGraph.ts";
import { colourOf, FACT_CHANNELS, type ColourKind } from "./channels.ts";
import { answerFor, FOLDS, foldwise } from "./folds.ts";
import { NearColours, type SerializedNearColours } from "./nearColours.ts";

/** How the definitions of a workspace become colours. */
export interface Colours {
  readonly kind: ColourKind;
  /** Colour of an identity for a file, which may not depend on what that file says; 0 stays unknown. */
  of(identity: number, path: string | undefined): number;
  /** Puts a colour into its channel, out[at], and those behind it. */
  write(colour: number, path: string | undefined, out: Uint16Array, at: number): void;
  serialize(): SerializedColours;
}

const EIGENVECTORS = 12;
/** An eigenvector counts by this power of its eigenvalue: the steps of a random walk. */
const WALK = 8;
const COORDINATES = 3;
const LEVELS = 4;
/** COLOUR_CELLS. */
const CELLS = LEVELS ** COORDINATES;

/** Cell of each identity, 0 … CELLS − 1. */
type Cells = ReadonlyMap<number, number>;

export type SerializedColours = SerializedCells | SerializedNearColours;

/** JSON-able: identities and cells, one after another, for each fold left out, and at last for all files. */
export interface SerializedCells {
  /** Absent: spectral. */
  readonly kind?: "both";
  readonly files: readonly string[];
  readonly tables: readonly (readonly number[])[];
}

function cellsOf(files: readonly SymbolReferences[]): Cells {
  const graph = symbolGraph(files);
  const n = graph.identities.length;
  const cells = new Map<number, number>();
  if (n < CELLS / LEVELS) return cells;
  const { values, vectors, degree } = smoothest(graph, EIGENVECTORS);
  const cell = new Uint32Array(n);
  for (let c = 0; c < COORDINATES; c++) {
    const x = new Float64Array(n);
    vectors.forEach((u, k) => {
      let along = 0;
      for (let i = 0; i < n; i++) along += u[i]! * (hash32(graph.identities[i]!, c) & 1 ? 1 : -1);
      const scale = along * Math.max(0, values[k]!) ** WALK;
      for (let i = 0; i < n; i++) x[i]! += scale * u[i]!;
    });
    // From the symmetric form to the walk's: neighbours of any degree are alike.
    for (let i = 0; i < n; i++) x[i]! /= Math.sqrt(degree[i]!);
    const order = Array.from(x.keys()).sort((i, j) => x[i]! - x[j]! || i - j);
    order.forEach((i, rank) => {
      cell[i] = cell[i]! * LEVELS + Math.floor((rank * LEVELS) / n);
    });
  }
  graph.identities.forEach((identity, i) => cells.set(identity, cell[i]!));
  return cells;
}

/** Where a colour that has more than one channel is put together: the hash below, the cell above. */
const CELL_SHIFT = 12;

export class SpectralColours implements Colours {
  readonly kind: "spectral" | "both";
  readonly #files: ReadonlySet<string>;
  readonly #tables: readonly Cells[];

  private constructor(
    kind: "spectral" | "both",
    files: ReadonlySet<string>,
    tables: readonly Cells[],
  ) {
    this.kind = kind;
    this.#files = files;
    this.#tables = tables;
  }

  static build(
    files: readonly SymbolReferences[],
    kind: "spectral" | "both" = "spectral",
  ): SpectralColours {
    const paths = new Set(files.map((f) => f.path));
    return new SpectralColours(kind, paths, foldwise(files, cellsOf));
  }

  /** Colour of an identity for a file: 1 … CELLS for cells, above them a hash where the graph has no such node;
   *  0 stays unknown. Of both: the hash, and 1 + the cell by CELL_SHIFT higher. */
  of(identity: number, path: string | undefined): number {
    if (identity === 0) return 0;
    const cell = this.#tables[answerFor(path, this.#files)]!.get(identity);
    if (this.kind === "both")
      return colourOf(identity) | ((cell === undefined ? 0 : 1 + cell) << CELL_SHIFT);
    if (cell !== undefined) return 1 + cell;
    return 1 + CELLS + (colourOf(identity) % (FACT_CHANNELS[4].size - 1 - CELLS));
  }

  write(colour: number, _path: string | undefined, out: Uint16Array, at: number): void {
    if (this.kind === "both") {
      out[at] = colour & ((1 << CELL_SHIFT) - 1);
      out[at + 1] = colour >>> CELL_SHIFT;
    } else out[at] = colour;
  }

  serialize(): SerializedCells {
    return {
      ...(this.kind === "both" ? { kind: "both" } : {}),
      files: [...this.#files].sort(),
      tables: this.#tables.map((t) => [...t].flat()),
    };
  }

  /** The inverse of serialize(); undefined for anything that it cannot have written. */
  static deserialize(
    kind: "spectral" | "both",
    files: readonly string[],
    tables: readonly number[][],
  ): SpectralColours | undefined {
    if (tables.length !== FOLDS + 1) return undefined;
    const made: Cells[] = [];
    for (const numbers of tables) {
      const cells = new Map<number, number>();
      for (let i = 0; i + 1 < numbers.length; i += 2) {
        const cell = numbers[i + 1]!;
        if (!Number.isInteger(cell) || cell < 0 || cell >= CELLS) return undefined;
        cells.set(numbers[i]!, cell);
      }
      made.push(cells);
    }
    return new SpectralColours(kind, new Set(files), made);
  }
}

/** Colours by the symbol graph, or undefined for the kinds that need none. */
export function graphColours(
  kind: ColourKind,
  files: () => readonly SymbolReferences[],
): Colours | undefined {
  if (kind === "spectral" || kind === "both") return SpectralColours.build(files(), kind);
  return kind === "resolvent" ? NearColours.build(files()) : undefined;
}

/** The inverse of Colours.serialize(); undefined for anything that it cannot have written. */
export function readColours(value: unknown): Colours | undefined {
  const { kind, files, tables } = (value ?? {}) as Record<string, unknown>;
  const isList = (list: unknown, type: string): boolean =>
    Array.isArray(list) && list.every((item) => typeof item === type);
  if (!isList(files, "string") || !Array.isArray(tables)) return undefined;
  if (!tables.every((table) => isList(table, "number"))) return undefined;
  const [paths, lists] = [files as string[], tables as number[][]];
  if (kind === "resolvent") return NearColours.deserialize(paths, lists);
  if (kind !== undefined && kind !== "both") return undefined;
  return SpectralColours.deserialize(kind ?? "spectral", paths, lists);
}
