/**
 * Several batches of matrix products of one form and of different sizes in one dispatch: small ones that would each leave
 * most of a GPU idle fill it together. All operands are held in halves, those of one kind one after the other in one
 * tensor. For GPUs with matrix units; others run a plain kernel.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type GpuCaps,
  type Graph,
  type OpSpec,
  type Params,
  type Stored,
  type Tensor,
} from "../graph.ts";
import { matmul as twin } from "../cpu/matmul.ts";
import { invariant } from "../errors.ts";
import { matrixSource, type MatrixTile } from "./matmulMatrix.ts";
import { enableHalves, operandSource, outputSource, type Epilogue } from "./matmulOutput.ts";
import plainCode from "./matmulGroupsPlain.wgsl";
import { matrixTiles } from "./matmulTiles.ts";

/** Sizes of one batch. */
export interface GroupSize {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly batch: number;
}

interface Placed extends GroupSize {
  /** Elements at which its a, b and out start. */
  readonly a: number;
  readonly b: number;
  readonly out: number;
}

const FIELDS = ["m", "k", "n", "batch", "a", "b", "out"] as const;
const groupsOf = (p: Params): Placed[] =>
  Array.from({ length: p["groups"]! }, (_, i) => {
    const of = Object.fromEntries(FIELDS.map((name) => [name, p[`${name}${i}`]!]));
    return of as unknown as Placed;
  });

const tilesOf = (g: GroupSize, t: Pick<MatrixTile, "tileM" | "tileN">): number =>
  Math.ceil(g.m / t.tileM) * Math.ceil(g.n / t.tileN) * g.batch;

/** The largest tiles, by k in slices of 64 where b lies along k: of ten the best, or as good as it, for every product of
 *  Muon's polynomials on the matrices of `small` and `base` (H200, LOG.md). Small matrices fill them badly, and together
 *  they fill the GPU all the same. */
const pickTile = (transposeB: number): MatrixTile => matrixTiles[transposeB === 1 ? 1 : 0]!;

/** For each: m, k, n, batch, and where its workgroups, a, b and out start. */
function uniformsOf(
  groups: readonly Placed[],
  workgroupsOf: (g: Placed) => number,
): { uniforms: number[]; workgroups: number } {
  let workgroups = 0;
  const uniforms = groups.flatMap((g) => {
    const begin = workgroups;
    workgroups += workgroupsOf(g);
    return [g.m, g.k, g.n, g.batch, begin, g.a, g.b, g.out];
  });
  return { uniforms, workgroups };
}

const PLAIN_THREADS = 64;

function kernel(p: Params, caps: GpuCaps, stored: readonly Stored[]): ReturnType<OpSpec["gpu"]> {
  const groups = groupsOf(p);
  const [a, b, out, hidden = "f32"] = stored as [Stored, Stored, Stored, Stored | undefined];
  const transposeB = p["transposeB"]!;
  const epilogue: Epilogue = stored.length > 3 ? "blend" : "none";
  const constants: Record<string, number> =
    epilogue === "blend"
      ? { hiddenShare: p["hiddenShare"]!, productShare: p["productShare"]! }
      : {};
  if (!caps.subgroupMatrix || !stored.every((s) => s === "f16")) {
    const output = { out, hidden, epilogue };
    const { uniforms, workgroups } = uniformsOf(groups, (g) =>
      Math.ceil((g.batch * g.m * g.n) / PLAIN_THREADS),
    );
    return {
      code:
        enableHalves(stored) +
        operandSource("a", 0, a, 1) +
        operandSource("b", 1, b, 1) +
        outputSource(output, 1) +
        `const GROUPS = ${groups.length}u;
const TRANSPOSED = ${transposeB === 1};
@group(0) @binding(${stored.length}) var<uniform> sizes: array<vec4u, ${2 * groups.length}>;
` +
        plainCode,
      entryPoint: "plain",
      constants,
      uniforms,
      workgroups: gridFor(workgroups, 1),
    };
  }
  const tile = p["matrixTile"] === undefined ? pickTile(transposeB) : matrixTiles[p["matrixTile"]]!;
  const { uniforms, workgroups } = uniformsOf(groups, (g) => tilesOf(g, tile));
  const whole = (name: "m" | "n" | "k", by: number): boolean =>
    groups.every((g) => g[name] % by === 0);
  return {
    code: matrixSource(tile, {
      ...{ transposeA: 0, transposeB, a, b, out, hidden, epilogue },
      ...{ singlesA: false, singlesB: false, together: 8 },
      wholeM: whole("m", tile.tileM),
      wholeN: whole("n", tile.tileN),
      wholeK: whole("k", tile.tileK),
      groups: groups.length,
    }),
    entryPoint: "main",
    constants,
    uniforms,
    workgroups: gridFor(workgroups, 1),
  };
}

export const matmulGroupsOp: OpSpec = {
  name: "matmulGroups",
  access: ["read", "read", "write"],
  halves: [0, 1, 2],
  units: (p) => groupsOf(p).reduce((sum, g) => sum + g.batch * g.m, 0),
  flop: (p) => groupsOf(p).reduce((sum, g) => sum + 2 * g.batch * g.m * g.k * g.n, 0),
  cpu: (buffers, p, start, end) => {
    const [a, b, out, hidden] = buffers as readonly Floats[];
    let first = 0;
    for (const g of groupsOf(p)) {
      const rows = g.batch * g.m;
      const from = Math.max(0, start - first);
      const to = Math.min(rows, end - first);
      first += rows;
      if (from >= to) continue;
      const size = rows * g.n;
      const part = (x: Floats, at: number, n: number): Floats => x.subarray(at, at + n);
      const shape = { ...g, transposeA: 0, transposeB: p["transposeB"]!, accumulate: 0 };
      twin(
        part(a!, g.a, g.batch * g.m * g.k),
        part(b!, g.b, g.batch * g.k * g.n),
        part(out!, g.out, size),
        shape,
        from,
        to,
        hidden === undefined
          ? undefined
          : {
              kind: "blend",
              hidden: part(hidden, g.out, size),
              hiddenShare: p["hiddenShare"]!,
              productShare: p["productShare"]!,
            },
      );
    }
  },
  gpu: kernel,
};

export const matmulGroupsBlendOp: OpSpec = {
  ...matmulGroupsOp,
  name: "matmulGroupsBlend",
  access: ["read", "read", "write", "read"],
  halves: [0, 1, 2, 3],
};

export interface MatmulGroups {
  /** f16; [batch, m, k] of each group, one after the other. */
  readonly a: Tensor;
  /** [batch, k, n], or [batch, n, k] with transposeB. */
  readonly b: Tensor;
  /** [batch, m, n]. */
  readonly out: Tensor;
  /** Multiples of 8 in m, k and n: rows of halves start on 16 bytes. */
  readonly groups: readonly GroupSize[];
  readonly transposeB?: 0 | 1;
  /** As out: what is stored is shares.hidden·hidden + shares.product·a·op(b). */
  readonly blend?: {
    readonly hidden: Tensor;
    readonly shares: { readonly hidden: number; readonly product: number };
  };
  /** For tests and benches: which entry of the table of matrix tiles to use. */
  readonly matrixTile?: number;
}

/** out = a·op(b), or blended, for every group; throws where sizes do not fit. */
export function matmulGroups(g: Graph, x: MatmulGroups): void {
  const at = { a: 0, b: 0, out: 0 };
  const fields = x.groups.flatMap((size, i): [string, number][] => {
    const { m, k, n, batch } = size;
    invariant(
      [m, k, n].every((side) => side % 8 === 0),
      `matmulGroups: ${m}×${k}×${n} is no product of rows that start on 16 bytes`,
    );
    const placed: Placed = { ...size, ...at };
    at.a += batch * m * k;
    at.b += batch * k * n;
    at.out += batch * m * n;
    return FIELDS.map((name) => [`${name}${i}`, placed[name]]);
  });
  expectSize("matmulGroups", "a", x.a, at.a);
  expectSize("matmulGroups", "b", x.b, at.b);
  expectSize("matmulGroups", "out", x.out, at.out);
  const params: Record<string, number> = {
    groups: x.groups.length,
    transposeB: x.transposeB ?? 0,
    ...Object.fromEntries(fields),
    ...(x.matrixTile === undefined ? {} : { matrixTile: x.matrixTile }),
  };
  if (x.blend === undefined) {
    g.add(matmulGroupsOp, [x.a, x.b, x.out], params);
    return;
  }
  const { hidden, shares } = x.blend;
  expectSize("matmulGroups", "hidden", hidden, at.out);
  g.add(matmulGroupsBlendOp, [x.a, x.b, x.out, hidden], {
    ...params,
    hiddenShare: shares.hidden,
    productShare: shares.product,
  });
}
