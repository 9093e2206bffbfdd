/**
 * Dense matrix product with f32 accumulation. Operands held in f16 go to subgroup matrices where the GPU has them;
 * everything else to register tiles. The launcher picks a tile by shape; where k is long and out is small (a
 * weight's gradient) it splits k into parts that a second node adds in order. Only transposeA forms are split, so
 * a row of a forward product never depends on how many rows there are.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type GpuCaps,
  type Graph,
  type DType,
  type GpuKernel,
  type OpSpec,
  type Params,
  type Stored,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import type { Product, Real } from "../products.ts";
import { matmul as matmulTwin, sumParts as sumPartsTwin, type MatmulShape } from "../cpu/matmul.ts";
import { matrixSource, readable } from "./matmulMatrix.ts";
import { matrixTiles, pickMatrixTile, pickSplits } from "./matmulTiles.ts";
import {
  enableHalves,
  EPILOGUES,
  operandSource,
  outputSource,
  type Epilogue,
} from "./matmulOutput.ts";
import fewCode from "./matmulFew.wgsl";
import plainCode from "./matmulPlain.wgsl";
import partsCode from "./matmulParts.wgsl";
import { rankTiles, registerSplits, tiles } from "./matmulRegisterTiles.ts";
import { fitsRows, rowsKernel, SLICED } from "./matmulRows.ts";
import { tileSource, type Vectors } from "./matmulTile.ts";

/** Stands in `tile` for a thread per entry. */
export const FEW = -1;
/** Up to this many rows that beats a tile, where k is not sliced (matmulRows.ts). */
const FEW_ROWS = 8;
export const fitsFew = (p: Params): boolean => p["m"]! <= FEW_ROWS && p["splits"] === 1;
const vectors = (p: Params): Vectors => {
  const quad = (x: number): 0 | 1 => (x % 4 === 0 ? 1 : 0);
  // The other operand of a quad's row may start anywhere, so the batch stride must be a multiple too: it is, as
  // a product with the contiguous dimension. Ranges of k start at multiples of tileK.
  return {
    a: quad(p["transposeA"] === 1 ? p["m"]! : p["k"]!),
    b: quad(p["transposeB"] === 1 ? p["k"]! : p["n"]!),
    out: quad(p["n"]!),
  };
};

const epilogueOf = (p: Params): Epilogue => EPILOGUES[p["epilogue"]!] ?? "none";
const shares = (p: Params): Record<string, number> =>
  epilogueOf(p) === "blend"
    ? { hiddenShare: p["hiddenShare"]!, productShare: p["productShare"]! }
    : {};

/** Where anything is held in f16, operands may be rounded to it, and the product goes to the matrix units. */
function fitsMatrices(p: Params, caps: GpuCaps, stored: readonly Stored[]): boolean {
  if (!caps.subgroupMatrix || p["tile"] !== undefined) return false;
  return p["matrixTile"] !== undefined || stored.slice(0, 3).includes("f16");
}

function matrixKernel(p: Params, caps: GpuCaps, stored: readonly Stored[]): GpuKernel {
  const { m, k, n, batch, splits, chunk } = p as Record<string, number> as Required<MatmulSize>;
  const chosen = p["matrixTile"];
  const tile =
    chosen === undefined
      ? pickMatrixTile(m, chunk, n, batch * splits, {
          transposeA: p["transposeA"]!,
          transposeB: p["transposeB"]!,
          maxInvocations: caps.maxInvocations,
        }).tile
      : matrixTiles[chosen]!;
  const groups = Math.ceil(m / tile.tileM) * Math.ceil(n / tile.tileN) * batch * splits;
  return {
    code: matrixSource(tile, {
      transposeA: p["transposeA"]!,
      transposeB: p["transposeB"]!,
      a: stored[0]!,
      b: stored[1]!,
      out: stored[2]!,
      hidden: stored[3] ?? "f32",
      epilogue: epilogueOf(p),
      singlesA: !readable(stored[0]!, p["transposeA"] === 1 ? m : k),
      singlesB: !readable(stored[1]!, p["transposeB"] === 1 ? k : n),
      together: n % 8 === 0 ? 8 : n % 4 === 0 ? 4 : 1,
      wholeM: m % tile.tileM === 0,
      wholeN: n % tile.tileN === 0,
      wholeK: k % tile.tileK === 0 && (splits === 1 || chunk % tile.tileK === 0),
    }),
    entryPoint: "main",
    constants: shares(p),
    uniforms: [m, k, n, batch, splits, chunk],
    workgroups: gridFor(groups, 1),
  };
}

interface MatmulSize {
  m: number;
  k: number;
  n: number;
  batch: number;
  splits: number;
  chunk: number;
}

function kernel(p: Params, caps: GpuCaps, stored: readonly Stored[]): GpuKernel {
  if (fitsMatrices(p, caps, stored)) return matrixKernel(p, caps, stored);
  const { m, n, batch, splits } = p as { m: number; n: number; batch: number; splits: number };
  const constants = shares(p);
  for (const name of ["m", "k", "n", "batch", "splits", "chunk", "transposeA", "transposeB"])
    constants[name] = p[name]!;
  const [a, b, out, hidden = "f32"] = stored as [Stored, Stored, Stored, Stored | undefined];
  const output = { out, hidden, epilogue: epilogueOf(p) };
  if (p["tile"] === SLICED || fitsRows(p, caps, stored))
    return rowsKernel({ m, k: p["k"]!, n }, output, shares(p));
  const scalars = (text: string): string =>
    enableHalves(stored) +
    operandSource("a", 0, a, 1) +
    operandSource("b", 1, b, 1) +
    outputSource(output, 1) +
    text;
  // Software GPUs need tens of seconds to compile a tile; the plain kernel makes the same fma chains.
  if (caps.software && p["tile"] === undefined) {
    const workgroups = gridFor(m * n * batch * splits, 64);
    return { code: scalars(plainCode), entryPoint: "plain", constants, workgroups };
  }
  if (splits === 1 && (p["tile"] === FEW || (p["tile"] === undefined && fitsFew(p)))) {
    const workgroups = gridFor(m * n * batch, 32);
    return { code: scalars(fewCode), entryPoint: "few", constants, workgroups };
  }
  const tile = tiles[p["tile"] ?? rankTiles(m, n, batch * splits, caps)[0]!]!;
  const groups = Math.ceil(m / tile.tileM) * Math.ceil(n / tile.tileN) * batch * splits;
  return {
    code: tileSource(tile, { ...output, a, b, vectors: vectors(p) }),
    entryPoint: "main",
    constants,
    workgroups: gridFor(groups, 1),
  };
}

const shape = (p: Params): MatmulShape => p as unknown as MatmulShape;

export const matmulOp: OpSpec = {
  name: "matmul",
  access: ["read", "read", "write"],
  halves: [0, 1, 2],
  units: (p) => p["batch"]! * p["m"]!,
  flop: (p) => 2 * p["batch"]! * p["m"]! * p["k"]! * p["n"]!,
  cpu: (b, p, start, end) => {
    const [x, y, out, hidden] = b as readonly Floats[];
    const kind = epilogueOf(p);
    const epilogue =
      kind === "none" || kind === "accumulate"
        ? undefined
        : { kind, hidden, hiddenShare: p["hiddenShare"]!, productShare: p["productShare"]! };
    matmulTwin(x!, y!, out!, shape(p), start, end, epilogue);
  },
  gpu: kernel,
};

/** Params: the twin adds where `accumulate` is 1, the kernels where `epilogue` is 1. */
export const matmulAccumulateOp: OpSpec = {
  ...matmulOp,
  name: "matmulAccumulate",
  access: ["read", "read", "readWrite"],
};

/** out = op(a)·op(b)·2·√hidden: the gradient of squared ReLU's input, from its output. */
export const matmulReluSquaredBackwardOp: OpSpec = {
  ...matmulOp,
  name: "matmulReluSquaredBackward",
  access: ["read", "read", "write", "read"],
  halves: [0, 1, 2, 3],
  gpu: (p, caps, stored) =>
    kernel({ ...p, epilogue: EPILOGUES.indexOf("reluSquaredBackward") }, caps, stored),
};

/** out = hiddenShare·hidden + productShare·op(a)·op(b). */
export const matmulBlendOp: OpSpec = {
  ...matmulReluSquaredBackwardOp,
  name: "matmulBlend",
  gpu: (p, caps, stored) => kernel({ ...p, epilogue: EPILOGUES.indexOf("blend") }, caps, stored),
};

/** Parts [splits, batch, m, n]. The CPU needs no split: it leaves the whole product in the first part. */
export const matmulPartsOp: OpSpec = { ...matmulOp, name: "matmulParts", halves: [0, 1] };

export const sumPartsOp: OpSpec = {
  name: "sumParts",
  access: ["read", "write"],
  units: (p) => p["size"]!,
  cpu: (b, p, start, end) =>
    sumPartsTwin(
      b[0] as Floats,
      b[1] as Floats,
      { size: p["size"]!, splits: 1, accumulate: p["accumulate"]! },
      start,
      end,
    ),
  gpu: (p) => {
    const lanes = p["size"]! % 4 === 0 ? 4 : 1;
    const size = p["size"]! / lanes;
    return {
      code: `alias Real = ${lanes === 4 ? "vec4f" : "f32"};\n${partsCode}`,
      entryPoint: "sumParts",
      constants: {},
      uniforms: [size, p["splits"]!, p["accumulate"]!],
      workgroups: gridFor(size, 256),
    };
  },
};

export const sumPartsAccumulateOp: OpSpec = {
  ...sumPartsOp,
  name: "sumPartsAccumulate",
  access: ["read", "readWrite"],
};

export interface Matmul {
  /** [batch, m, k], or [batch, k, m] with transposeA. */
  readonly a: Tensor;
  /** [batch, k, n], or [batch, n, k] with transposeB. */
  readonly b: Tensor;
  /** [batch, m, n]. */
  readonly out: Tensor;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA?: 0 | 1;
  readonly transposeB?: 0 | 1;
  /** 1 adds to out. */
  readonly accumulate?: 0 | 1;
  readonly batch?: number;
  /** reluSquared stores max(x, 0)²; reluSquaredBackward multiplies by 2·√hidden, hidden [batch, m, n] being that;
   *  blend stores shares.hidden·hidden + shares.product·x. */
  readonly epilogue?: "reluSquared" | "reluSquaredBackward" | "blend";
  readonly hidden?: Tensor;
  readonly shares?: { readonly hidden: number; readonly product: number };
  /** For tests and benches: which entry of the tile table to use, −1 for the kernel for few rows, or
   *  −2 for the one that slices k. */
  readonly tile?: number;
  /** Likewise of the matrix tiles; f32 operands are then rounded to f16. */
  readonly matrixTile?: number;
}

/** out (+)= op(a)·op(b). Every entry is one fma chain over ascending k (in parts for long transposeA forms; 16
 *  products at a time on matrix units, which take operands of which at least one is held in f16, and round the
 *  other); throws where a tensor's size does not fit m, k, n and batch. */
export function matmul(g: Graph, x: Matmul): void {
  const { m, k, n } = x;
  const batch = x.batch ?? 1;
  const transposeA = x.transposeA ?? 0;
  const transposeB = x.transposeB ?? 0;
  const accumulate = x.accumulate ?? 0;
  expectSize("matmul", "a", x.a, batch * m * k);
  expectSize("matmul", "b", x.b, batch * k * n);
  expectSize("matmul", "out", x.out, batch * m * n);
  const named = x.tile !== undefined || x.matrixTile !== undefined;
  const tuned = named ? undefined : g.products?.choose(productOf(x));
  const { tile = tuned?.tile, matrixTile = tuned?.matrixTile } = x;
  const common: Record<string, number> = { m, k, n, batch, transposeA, transposeB, accumulate };
  if (tile !== undefined) common["tile"] = tile;
  if (matrixTile !== undefined) common["matrixTile"] = matrixTile;
  if (x.epilogue !== undefined) {
    invariant(accumulate === 0 && transposeA === 0, `matmul: ${x.epilogue} of a sum is not made`);
    const whole = { ...common, splits: 1, chunk: k, epilogue: EPILOGUES.indexOf(x.epilogue) };
    if (x.epilogue === "reluSquared") {
      g.add(matmulOp, [x.a, x.b, x.out], whole);
      return;
    }
    invariant(x.hidden !== undefined, `matmul: ${x.epilogue} needs the hidden layer`);
    expectSize("matmul", "hidden", x.hidden, batch * m * n);
    if (x.epilogue === "blend") {
      const { hidden: hiddenShare, product: productShare } = x.shares ?? { hidden: 1, product: 1 };
      const params = { ...whole, hiddenShare, productShare };
      g.add(matmulBlendOp, [x.a, x.b, x.out, x.hidden], params);
      return;
    }
    g.add(matmulReluSquaredBackwardOp, [x.a, x.b, x.out, x.hidden], whole);
    return;
  }
  const halves = x.matrixTile !== undefined || holdsHalves(x.a.dtype, x.b.dtype);
  const { splits, chunk } =
    transposeA === 0
      ? { splits: 1, chunk: k }
      : partsOf(k, tuned?.splits ?? modelSplits(halves, { m, k, n, batch }));
  if (splits === 1) {
    const op = accumulate === 1 ? matmulAccumulateOp : matmulOp;
    g.add(op, [x.a, x.b, x.out], { ...common, splits: 1, chunk: k, epilogue: accumulate });
    return;
  }
  const parts = g.temp("matmul parts", [splits, batch, m, n]);
  g.add(matmulPartsOp, [x.a, x.b, parts], {
    ...common,
    splits,
    chunk,
    accumulate: 0,
    epilogue: 0,
  });
  const sum = accumulate === 1 ? sumPartsAccumulateOp : sumPartsOp;
  g.add(sum, [parts, x.out], { size: x.out.size, splits, accumulate });
}

/** The product of these operands, as what was tuned about it is found. */
export function productOf(x: Matmul): Product {
  return {
    ...{ m: x.m, k: x.k, n: x.n, batch: x.batch ?? 1 },
    ...{ transposeA: x.transposeA ?? 0, transposeB: x.transposeB ?? 0 },
    ...{ a: x.a.dtype as Real, b: x.b.dtype as Real, out: x.out.dtype as Real },
    ...(x.hidden === undefined ? {} : { hidden: x.hidden.dtype as Real }),
    epilogue: x.epilogue ?? (x.accumulate === 1 ? "accumulate" : "none"),
    parted: 0,
  };
}

/** Operands of which either is held in halves go to matrix units where there are some. */
export const holdsHalves = (a: DType, b: DType): boolean => a === "f16" || b === "f16";

/** Into how many ranges to cut a long k. A product with few tiles leaves multiprocessors idle; parts of k fill them. */
export const modelSplits = (
  halves: boolean,
  { m, k, n, batch }: { m: number; k: number; n: number; batch: number },
): number => (halves ? pickSplits(m, k, n, batch) : registerSplits(m, k, n, batch));

/** About so many ranges of k, and how long each is but the last. */
export function partsOf(
  k: number,
  wanted: number,
): { readonly splits: number; readonly chunk: number } {
  if (wanted < 2) return { splits: 1, chunk: k };
  const chunk = Math.ceil(k / wanted / 64) * 64;
  return { splits: Math.ceil(k / chunk), chunk };
}
