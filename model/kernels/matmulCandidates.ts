/** What a matrix product may be made with besides the model's choice: what the tuner measures, and what a file of its
 *  results may say. */
import { storedAs, type GpuCaps, type Stored } from "../graph.ts";
import type { Product, ProductChoice } from "../products.ts";
import { FEW, fitsFew, holdsHalves, modelSplits, partsOf } from "./matmul.ts";
import { EPILOGUES } from "./matmulOutput.ts";
import { holdsTile, rankTiles } from "./matmulRegisterTiles.ts";
import { fitsRows, SLICED } from "./matmulRows.ts";
import { matrixTileAllowed, matrixTiles, MOST_PARTS, rankMatrixTiles } from "./matmulTiles.ts";

/** Tiles that are measured besides the model's; a software GPU compiles one for seconds. */
const OTHER_TILES = 3;
const OTHER_TILES_SOFTWARE = 1;
/** Parts of k, as multiples of the model's number: a GPU of other size wants more or fewer, and 0 stands for none. */
const OTHER_PARTS = [0.5, 2, 0];
/** A shorter range of k is not worth a workgroup's start. */
const SHORTEST_RANGE = 128;

interface Form {
  readonly stored: readonly Stored[];
  /** Whether matrix units make it. */
  readonly matrices: boolean;
  /** Ranges that the model cuts k into. */
  readonly splits: number;
}

function formOf(p: Product, caps: GpuCaps): Form {
  const held = (dtype: "f32" | "f16"): Stored => storedAs({ dtype }, caps);
  const stored = [held(p.a), held(p.b), held(p.out)];
  const { splits } = partsOf(p.k, p.transposeA === 1 ? modelSplits(holdsHalves(p.a, p.b), p) : 1);
  return { stored, matrices: caps.subgroupMatrix && stored.includes("f16"), splits };
}

/** A product's parameters as its kernel is chosen by. */
const paramsOf = (p: Product, splits: number): Record<string, number> => ({
  ...{ m: p.m, k: p.k, n: p.n, batch: p.batch, splits },
  ...{ transposeA: p.transposeA, transposeB: p.transposeB },
  epilogue: EPILOGUES.indexOf(p.epilogue),
});

/** Tiles in the order in which the model would take them. */
function ranked(p: Product, splits: number, form: Form, caps: GpuCaps): Partial<ProductChoice>[] {
  const layers = p.batch * splits;
  if (form.matrices) {
    const { chunk } = partsOf(p.k, splits);
    return rankMatrixTiles(p.m, chunk, p.n, layers, { ...p, ...caps }).map(({ index }) => ({
      matrixTile: index,
    }));
  }
  const params = paramsOf(p, splits);
  const plain = [
    ...(fitsRows(params, caps, form.stored) ? [SLICED] : []),
    ...(fitsFew(params) ? [FEW] : []),
  ];
  return [...plain, ...rankTiles(p.m, p.n, layers, caps)].map((tile) => ({ tile }));
}

/** What the model ranks best after its own choice, and other numbers of parts where k is cut. */
export function candidates(p: Product, caps: GpuCaps): ProductChoice[] {
  const form = formOf(p, caps);
  const { splits } = form;
  const others = ranked(p, splits, form, caps)
    // On a software GPU the model takes no tile.
    .slice(caps.software ? 0 : 1)
    .slice(0, caps.software ? OTHER_TILES_SOFTWARE : OTHER_TILES)
    .map((tile) => ({ ...tile, splits }));
  const most = Math.min(MOST_PARTS, Math.floor(p.k / SHORTEST_RANGE));
  const parts = OTHER_PARTS.map((times) => {
    const wanted = Math.max(1, Math.min(most, Math.round(splits * times)));
    return partsOf(p.k, wanted).splits;
  });
  const distinct = p.transposeA === 1 ? new Set(parts.filter((n) => n !== splits)) : [];
  return [...others, ...[...distinct].map((n) => ({ splits: n }))];
}

/** Whether a product can be made so on this device. */
export function allowed(p: Product, choice: ProductChoice, caps: GpuCaps): boolean {
  const { tile, matrixTile, splits } = choice;
  const form = formOf(p, caps);
  if (splits !== partsOf(p.k, splits).splits || splits > MOST_PARTS) return false;
  if (splits > 1 && p.transposeA === 0) return false;
  if (tile !== undefined && matrixTile !== undefined) return false;
  if (matrixTile !== undefined)
    return form.matrices && matrixTileAllowed(matrixTile, { ...p, ...caps });
  if (tile === undefined) return true;
  if (form.matrices) return false;
  const params = paramsOf(p, splits);
  if (tile === SLICED) return fitsRows(params, caps, form.stored);
  return tile === FEW ? fitsFew(params) : holdsTile(tile, caps);
}

const KERNELS = new Map([
  [SLICED, "slices of k"],
  [FEW, "a thread per entry"],
]);

/** For reports. */
export function choiceName(choice: ProductChoice): string {
  const t = choice.matrixTile === undefined ? undefined : matrixTiles[choice.matrixTile];
  const tile =
    t !== undefined
      ? `${t.tileM}×${t.tileN}×${t.tileK}`
      : choice.tile === undefined
        ? "the model's tile"
        : (KERNELS.get(choice.tile) ?? `register tile ${choice.tile}`);
  return choice.splits === 1 ? tile : `${tile} in ${choice.splits} parts`;
}
